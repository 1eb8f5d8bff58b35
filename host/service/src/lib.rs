//! A member's logic between gRPC and consensus: it takes calls in, proposes them in batches,
//! applies what was committed, answers those who wait, and serves reads.
//!
//! Everything it needs from outside is a trait in [`ports`]: tasks and time, the log, the store,
//! query threads. So the same code runs under tokio in the node, and under a virtual clock in the
//! tests and the simulator. Two ways lead through it: [`Member::call`] → [`Proposer`] → the log →
//! [`Executor`] → the waiter; and [`Member::query`] → [`Reader`] → one view. Beside them, a
//! leader's clock says which sessions end and when timers are due.
//!
//! The rooms, from the top; each imports only rooms below it:
//!
//! 1. `member`: what the gRPC shell asks for
//! 2. `apply`: from the log to the rows, and the order in which an applied entry is published
//! 3. `watch`: clients that follow events
//! 4. `parked`: callers that wait for parked calls
//! 5. `sessions`: who is alive, the leader's deadlines, touches on their way to it
//! 6. `propose`: from a command to the log, on a leader and on a follower
//! 7. `lead`: who leads, cluster time, what only a leader decides
//! 8. `agreement`: whether this member's digests are those of the others, and of its rows
//! 9. `read`: how far the state is, when a read may be served, spaces and schemas
//! 10. `transcode`: values between JSON and postcard
//! 11. `clocks`: what the members' clocks show, measured all the time
//! 12. `availability`: whether this member can do its work, and what follows
//! 13. `failure`: why there is no answer
//! 14. `progress`: waiting for a number, and for a cause
//! 15. `ports`: what is needed from outside
//!
//! Above them all is `fuzzing`: what tests throw arbitrary bytes at.
//!
//! It knows no gRPC, no Raft messages, no RocksDB and no wasmtime, and starts no thread.
#![forbid(unsafe_code)]

mod agreement;
mod apply;
mod availability;
mod clocks;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod lead;
mod member;
mod parked;
pub mod ports;
mod progress;
mod propose;
mod read;
mod sessions;
pub mod transcode;
pub mod watch;

pub use agreement::Divergence;
pub use agreement::scrubs::{ScrubPace, ScrubReport, ScrubStatus};
pub use apply::{Executor, LogRecord, LogRing, MachineReplica};
pub use availability::{Availability, BEHIND_LIMIT, Observed, Problem, Standing, UNCONFIRMED_LIMIT};
pub use clocks::{OwnClocks, WRONG_OFFSET_MS};
pub use failure::{
    CallFailure, Limit, ProposalError, ProposalResult, Reason, Rejected, UnavailableReason, Value,
};
pub use member::{
    Args, Asker, Bound, CallAnswer, CompactionDone, Created, Installed, Lease, Member, MemberParts,
    NamedBinding, NewSession, NewSpace, NewWatch, QueryOptions, RetentionChange, SessionAnswer,
    SessionOpened, SpaceDescription, SpaceListing, SpaceMade, Status, UserRequest, Waiting, WatchStart,
    WatchStream,
};
pub use parked::{WAITERS_PER_REQUEST, WAITING_CALL_BYTES, WAITING_CALLS};
pub use ports::Ports;
pub use progress::{Progress, Reach};
pub use propose::{
    ENTRIES_IN_FLIGHT, FORWARD_FRAME_BYTES, FORWARDED_BYTES, FORWARDED_COMMANDS, ForwardError, OWN_BYTES,
    OWN_COMMANDS, Proposer, ProposerLimits, ProposerStats,
};
pub use read::{
    AppliedState, Consistency, DIGESTS, DirectoryCache, Kind, Reader, RecipeEntry, SpaceEntry, WAITING_READS,
};
pub use sessions::SessionKey;
pub use sessions::touches::{TOUCHES_PER_BUNDLE, WAITING_TOUCHES};

#[cfg(test)]
mod testing;
