//! The log in memory.
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::MemoryStore;
use super::disk::Change;
use crate::{Flushed, Health, LogBounds, LogRecord, LogStore, StorageError};

impl LogStore for MemoryStore {
    fn append(&self, records: Vec<LogRecord>, flushed: Flushed) {
        self.change(Change::Append(records), Some(flushed));
    }

    fn truncate_from(&self, index: u64, flushed: Flushed) {
        self.change(Change::Truncate(index), Some(flushed));
    }

    fn purge(&self, index: u64, id: Arc<[u8]>, flushed: Flushed) {
        self.change(Change::Purge(index, id), Some(flushed));
        self.flush_behind();
    }

    fn save_vote(&self, vote: Arc<[u8]>, flushed: Flushed) {
        self.change(Change::Vote(vote), Some(flushed));
    }

    fn save_committed(&self, committed: Option<Arc<[u8]>>) {
        self.change(Change::Committed(committed), None);
    }

    fn vote(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        Ok(self.usable()?.now.vote.clone())
    }

    fn committed(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        Ok(self.usable()?.now.committed.clone())
    }

    fn is_queue_full(&self) -> bool {
        false
    }

    fn purged(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        Ok(self.usable()?.now.purged().map(|(_, id)| id.clone()))
    }

    fn bounds(&self) -> Result<LogBounds, StorageError> {
        let core = self.usable()?;
        let last = core.now.log.range(core.first()..).next_back();
        let last = last.map(|(index, bytes)| LogRecord { index: *index, bytes: bytes.clone() });
        Ok(LogBounds { last, purged: core.now.purged().map(|(_, id)| id.clone()) })
    }

    fn read_memory(
        &self,
        range: Range<u64>,
        limit_bytes: usize,
    ) -> Result<Option<Vec<LogRecord>>, StorageError> {
        self.read(range, limit_bytes).map(Some)
    }

    fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<LogRecord>, StorageError> {
        let core = self.usable()?;
        let from = range.start.max(core.first());
        let mut records = Vec::new();
        let mut bytes_read = 0usize;
        for (index, bytes) in core.now.log.range(from..range.end.max(from)) {
            bytes_read += bytes.len();
            if bytes_read > limit_bytes && !records.is_empty() {
                break;
            }
            records.push(LogRecord { index: *index, bytes: bytes.clone() });
        }
        Ok(records)
    }

    fn wait_durable(&self, _index: u64) -> Result<(), StorageError> {
        self.usable().map(drop)
    }

    fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    fn health(&self) -> Health {
        let core = self.core();
        match &core.failed {
            Some(error) => Health::Failed(error.clone()),
            None if core.full => Health::Full,
            None => Health::Ready,
        }
    }
}
