//! Consensus: Raft for Synod, and the only crate that names openraft.
//!
//! [`Raft`] keeps one replicated log of opaque payloads over any
//! [`LogStore`](synod_storage::LogStore) and [`StateStore`](synod_storage::StateStore), hands what
//! is committed to an [`Applier`], and talks to its peers through a [`PeerNetwork`] that only moves
//! bytes. Encodings on disk and on the wire are ours, not those of a library's types.
//!
//! It knows neither commands nor recipes nor gRPC, starts no thread and reads no clock of its own:
//! tasks, timers and channels come from the runtime type, so that a simulator can drive whole
//! clusters, many members in one process.
#![forbid(unsafe_code)]

mod apply;
mod codec;
mod error;
mod failover;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod log;
mod members;
mod network;
mod pending;
mod raft;
mod receive;
mod retention;
mod send;
mod serve;
mod settings;
mod snapshot;
mod state_machine;
mod status;
mod term;
mod types;

#[cfg(test)]
mod tests;

pub use apply::{Applier, CommittedEntry, CommittedPayload};
pub use codec::payload_of_record;
pub use error::{
    DecodeError, InitializeError, NotProposed, ReadIndexError, ServeError, StartError, Stopped, TransferError,
};
pub use members::ChangeError;
pub use network::{Peer, PeerError, PeerNetwork};
pub use pending::{PendingEntry, ProposalOutcome, Refusal};
pub use raft::Raft;
pub use settings::{BadSettings, Blocking, Settings};
pub use status::{PeerProgress, Status};
pub use term::{Role, TermState, TermWatch};
pub use types::{EntryId, MemberInfo};

/// The traits of an async runtime: tasks, timers, channels. Everything that must run in simulation
/// goes through them.
pub mod runtime {
    pub use openraft::async_runtime::watch::{RecvError, SendError as WatchSendError};
    pub use openraft::async_runtime::{
        Instant, Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Mutex, Oneshot, OneshotSender, Select2,
        Select3, Watch, WatchReceiver, WatchSender,
    };
    pub use openraft::{AsyncRuntime, OptionalSend, OptionalSync};
}

/// The runtime of the `synod` binary.
#[cfg(any(test, feature = "tokio-rt"))]
#[allow(
    deprecated,
    reason = "the successor's path is another crate's, and this crate alone names openraft"
)]
pub use openraft::TokioRuntime;

/// Longest payload of one entry: a batch of commands, or one module with what surrounds it.
pub const PAYLOAD_BYTES: usize = 2 * 1_024 * 1_024;

/// Longest frame between peers. Batches end at 1 MiB, but one entry always fits.
pub const FRAME_BYTES: usize = 4 * 1_024 * 1_024;
