//! The store of a member: the Raft log, the machine's state in generations, and snapshots; on RocksDB, and in memory
//! for tests and the simulator.
//!
//! Two traits, [`LogStore`] and [`StateStore`], are all that the rest of the host sees. It knows neither Raft (records,
//! votes and positions are bytes and numbers) nor what rows mean.
mod error;
mod log;
mod state;

pub use error::StorageError;
pub use log::{Flushed, LogBounds, LogRecord, LogStore};
pub use state::{AppliedMark, SnapshotFile, SnapshotMeta, StateStore};
