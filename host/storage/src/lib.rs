//! The store of a member: the Raft log, the machine's state in generations, and snapshots; on
//! RocksDB, and in memory for tests and the simulator.
//!
//! Two traits, [`LogStore`] and [`StateStore`], and the [`IdentityFile`] beside the databases are
//! all that the rest of the host sees. It knows neither Raft (records, votes and positions are
//! bytes and numbers) nor what rows mean.
mod budget;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod log;
mod mark;
mod memory;
mod rocks;
mod snapshot;
mod state;
mod step;

pub use error::{Health, StorageError};
pub use identity::{Databases, IdentityFile, Joined, MemberIdentity};
pub use log::{Flushed, LogBounds, LogRecord, LogStore};
pub use memory::{MemoryIncoming, MemoryStore, MemoryView};
pub use rocks::{RocksIncoming, RocksOptions, RocksStore, RocksView};
pub use snapshot::{Checkpoint, ContentHash, Manifest, ManifestFile, Receiving, Wanted};
pub use state::{AppliedMark, StateStore, Verify, receive_here};
pub use step::{Step, StepHook};
pub use synod_machine::{Fatal, StateView};
