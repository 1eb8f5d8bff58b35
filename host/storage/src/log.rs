//! The Raft log and its vote, as bytes.
//!
//! One writer owns append, truncate, purge and vote, first in first out. It drains its queue into
//! one batch, writes it unsynced, syncs the write-ahead log once, publishes what is durable, and
//! then completes the callbacks, the newest first: one fsync per batch, whatever the number of
//! appends in it.
use std::ops::Range;
use std::sync::Arc;

use crate::{Health, StorageError};

/// A record of the log: the position is known to the store, the bytes are the consensus's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its index; consecutive.
    pub index: u64,
    /// The encoded entry, which begins with its encoded id.
    pub bytes: Arc<[u8]>,
}

impl LogRecord {
    /// Whether it is the entry with this encoded id.
    pub fn has_id(&self, id: &[u8]) -> bool {
        self.bytes.starts_with(id)
    }
}

/// What the log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBounds {
    /// The last record, if there is any.
    pub last: Option<LogRecord>,
    /// Encoded id of the last purged entry.
    pub purged: Option<Arc<[u8]>>,
}

/// Called once, when what it was given with is on disk, or surely never will be.
pub type Flushed = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// A log. Clones share it. The methods that change it only enqueue, in a bounded queue, and show
/// their effect on return; they wait for the disk only while the queue is full. After a fatal error
/// it refuses everything.
pub trait LogStore: Clone + Send + Sync + 'static {
    /// Appends records; they can be read on return. `flushed` is called when they are on disk.
    fn append(&self, records: Vec<LogRecord>, flushed: Flushed);
    /// Removes every record from `index` on.
    fn truncate_from(&self, index: u64, flushed: Flushed);
    /// Removes every record up to `index`, included, and remembers `id` as the last purged. Readers
    /// see it at once; the disk follows when the state up to `index` is on disk, which it is asked
    /// for, so after a crash before that the records are back. `flushed` waits for what was
    /// enqueued before it, not for the removal.
    fn purge(&self, index: u64, id: Arc<[u8]>, flushed: Flushed);
    /// Saves the vote.
    fn save_vote(&self, vote: Arc<[u8]>, flushed: Flushed);
    /// Saves the committed position, without waiting for the disk.
    fn save_committed(&self, committed: Option<Arc<[u8]>>);
    /// The saved vote.
    fn vote(&self) -> Result<Option<Arc<[u8]>>, StorageError>;
    /// The saved committed position.
    fn committed(&self) -> Result<Option<Arc<[u8]>>, StorageError>;
    /// Whether the next change would wait for room in the queue. While one thread makes all changes
    /// but those of an install, one that follows a false does not wait.
    fn is_queue_full(&self) -> bool;
    /// Encoded id of the last purged entry. In memory.
    fn purged(&self) -> Result<Option<Arc<[u8]>>, StorageError>;
    /// First and last. May read the disk.
    fn bounds(&self) -> Result<LogBounds, StorageError>;
    /// What [`read`](Self::read) returns, if it is in memory; none if the disk would be read.
    fn read_memory(
        &self,
        range: Range<u64>,
        limit_bytes: usize,
    ) -> Result<Option<Vec<LogRecord>>, StorageError>;
    /// Records of `range` that are there, from its start, up to `limit_bytes`, but at least one.
    /// May read the disk.
    fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<LogRecord>, StorageError>;
    /// Blocks until every record up to `index` is on disk: state may then be written behind it. An
    /// index that the log does not have (state that came with a snapshot) needs no waiting.
    fn wait_durable(&self, index: u64) -> Result<(), StorageError>;
    /// Batches synced since the start, for `synod bench`.
    fn syncs(&self) -> u64;
    /// Whether it takes writes. While the disk is full nothing is lost: appends that were handed
    /// over wait for space, with their callbacks; whoever takes in new work asks here first and
    /// refuses it.
    fn health(&self) -> Health;
}
