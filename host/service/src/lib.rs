//! A member's logic between gRPC and consensus: it takes calls in, proposes them in batches,
//! applies what was committed, answers those who wait, and serves reads.
//!
//! Everything it needs from outside is a trait in [`ports`]: tasks and time, the log, the store,
//! query threads. So the same code runs under tokio in the node, and under a virtual clock in the
//! tests and the simulator. Two ways lead through it: [`Member::call`] → [`Proposer`] → the log →
//! [`Executor`] → the waiter; and [`Member::query`] → [`Reader`] → one view. Beside them, a
//! leader's clock says which sessions end and when timers are due.
//!
//! It knows no gRPC, no Raft messages, no RocksDB and no wasmtime, and starts no thread.
#![forbid(unsafe_code)]

mod directory;
mod executor;
mod failure;
mod forward;
mod fuel;
mod lead;
mod ledger;
mod logs;
mod member;
mod packing;
mod parked;
pub mod ports;
mod progress;
mod proposer;
mod reader;
mod retention;
mod sessions;
pub mod transcode;
mod waiters;
pub mod watch;

pub use directory::{DirectoryCache, Kind, RecipeEntry, SpaceEntry};
pub use executor::{AppliedState, Committed, DIGESTS, DigestRecord, Executor, MachineReplica, Payload};
pub use failure::{CallFailure, Limit, ProposalError, Reason, Rejected, UnavailableReason, Value};
pub use forward::{FORWARD_FRAME_BYTES, ForwardError};
pub use ledger::{
    ENTRIES_IN_FLIGHT, FORWARDED_BYTES, FORWARDED_COMMANDS, OWN_BYTES, OWN_COMMANDS, ProposerLimits,
    ProposerStats,
};
pub use logs::{LogRecord, LogRing};
pub use member::{
    Args, Bound, CallAnswer, CompactionDone, Created, Installed, Member, MemberParts, NamedBinding,
    NewSession, NewSpace, QueryOptions, RetentionChange, SessionAnswer, SessionOpened, SpaceDescription,
    SpaceListing, SpaceMade, Status, Waiting,
};
pub use parked::{WAITERS_PER_REQUEST, WAITING_CALL_BYTES, WAITING_CALLS};
pub use ports::Ports;
pub use progress::{Progress, Reach};
pub use proposer::{Proposal, Proposer};
pub use reader::{Consistency, Reader, WAITING_READS};
pub use sessions::SessionKey;
pub use sessions::touches::{TOUCHES_PER_BUNDLE, WAITING_TOUCHES};

#[cfg(test)]
mod testing;
