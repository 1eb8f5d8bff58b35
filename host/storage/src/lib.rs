//! The store of a member: the Raft log, the machine's state in generations, and snapshots; on
//! RocksDB, and in memory for tests and the simulator.
//!
//! Three traits, [`LogStore`], [`StateStore`] and [`MetaStore`], are all that the rest of the host
//! sees. It knows neither Raft (records, votes and positions are bytes and numbers) nor what rows
//! mean.
mod error;
mod log;
mod memory;
mod meta;
mod rocks;
mod snapshot;
mod state;

pub use error::{Health, StorageError};
pub use log::{Flushed, LogBounds, LogRecord, LogStore};
pub use memory::{MemoryStore, MemoryView};
pub use meta::MetaStore;
pub use rocks::{InstallHook, RocksOptions, RocksStore, RocksView};
pub use state::{AppliedMark, InstallStep, SnapshotFile, SnapshotMeta, StateStore};
pub use synod_machine::Fatal;
