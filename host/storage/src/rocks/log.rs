//! The log on RocksDB: changes go through the book and the queue; reads come from memory, older
//! ones from disk.
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::ReadOptions;

use super::book::Source;
use super::record;
use super::shared::{Change, Shared};
use super::store::RocksStore;
use crate::{Flushed, Health, LogBounds, LogRecord, LogStore, StorageError};

/// Bytes that a long read asks the disk for at once.
const READAHEAD_BYTES: usize = 1_024 * 1_024;

impl LogStore for RocksStore {
    fn append(&self, records: Vec<LogRecord>, flushed: Flushed) {
        self.shared().enqueue(Some(flushed), |state, sequence| {
            state.book.append(&records, sequence)?;
            Ok(Change::Append(records))
        });
    }

    fn truncate_from(&self, index: u64, flushed: Flushed) {
        self.shared().enqueue(Some(flushed), |state, _| {
            let gone = state.book.truncate_from(index);
            Ok(Change::Truncate { from: gone.start, end: gone.end })
        });
    }

    fn purge(&self, index: u64, id: Arc<[u8]>, flushed: Flushed) {
        self.shared().enqueue(Some(flushed), |state, _| {
            let beyond_end = state.book.is_beyond(index).then(|| (index, id.clone()));
            let is_new = state.book.purge(index, id);
            match beyond_end.filter(|_| is_new) {
                Some(beyond_end) => {
                    state.book.take_purge_below(index + 1);
                    Ok(Change::Purge { beyond_end: Some(beyond_end) })
                }
                None => {
                    self.shared().want_flushed(state, index);
                    Ok(Change::Purge { beyond_end: None })
                }
            }
        });
    }

    fn save_vote(&self, vote: Arc<[u8]>, flushed: Flushed) {
        self.shared().enqueue(Some(flushed), |state, _| {
            state.vote = Some(vote.clone());
            Ok(Change::Vote(vote))
        });
    }

    fn save_committed(&self, committed: Option<Arc<[u8]>>) {
        self.shared().enqueue(None, |state, _| {
            state.committed.clone_from(&committed);
            Ok(Change::Committed(committed))
        });
    }

    fn vote(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        self.shared().usable()?;
        Ok(self.shared().state().vote.clone())
    }

    fn committed(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        self.shared().usable()?;
        Ok(self.shared().state().committed.clone())
    }

    fn is_queue_full(&self) -> bool {
        self.shared().state().is_nearly_full()
    }

    fn purged(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        self.shared().usable()?;
        Ok(self.shared().state().book.purged().map(|(_, id)| id.clone()))
    }

    fn bounds(&self) -> Result<LogBounds, StorageError> {
        let shared = self.shared();
        loop {
            shared.usable()?;
            let state = shared.state();
            let purged = state.book.purged().map(|(_, id)| id.clone());
            let (last, changes) = (state.book.last(), state.book.changes());
            drop(state);
            let last = match last {
                None => None,
                Some(Ok(record)) => Some(record),
                Some(Err(index)) => match read_disk(shared, index..index + 1, usize::MAX, changes)?.pop() {
                    Some(record) => Some(record),
                    None => continue,
                },
            };
            return Ok(LogBounds { last, purged });
        }
    }

    fn read_memory(
        &self,
        range: Range<u64>,
        limit_bytes: usize,
    ) -> Result<Option<Vec<LogRecord>>, StorageError> {
        self.shared().usable()?;
        let state = self.shared().state();
        Ok(match state.book.source(range.start.max(state.book.first()), range.end, limit_bytes) {
            Source::Memory(records) => Some(records),
            Source::Disk { .. } => None,
            Source::End => Some(Vec::new()),
        })
    }

    fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<LogRecord>, StorageError> {
        let shared = self.shared();
        let mut records: Vec<LogRecord> = Vec::new();
        let mut taken = 0usize;
        loop {
            shared.usable()?;
            let state = shared.state();
            let at = records.last().map_or(range.start.max(state.book.first()), |last| last.index + 1);
            let left = limit_bytes.saturating_sub(taken);
            let source = state.book.source(at, range.end, left);
            drop(state);
            let (more, wanted) = match source {
                Source::End => return Ok(records),
                Source::Memory(more) => (more, 0),
                Source::Disk { range, changes } => {
                    let wanted = range.end - range.start;
                    let more = read_disk(shared, range, left, changes)?;
                    if more.is_empty() {
                        records.clear();
                        taken = 0;
                        continue;
                    }
                    (more, wanted)
                }
            };
            let cut = wanted == 0 || (more.len() as u64) < wanted;
            for record in more {
                taken += record.bytes.len();
                if !records.is_empty() && taken > limit_bytes {
                    return Ok(records);
                }
                records.push(record);
            }
            if cut {
                return Ok(records);
            }
        }
    }

    fn wait_durable(&self, index: u64) -> Result<(), StorageError> {
        self.shared().wait_durable(index)
    }

    fn syncs(&self) -> u64 {
        self.shared().syncs.load(Ordering::Relaxed)
    }

    fn health(&self) -> Health {
        self.shared().health()
    }
}

/// Reads records of `range` from disk, at least one, up to `limit_bytes`. None if the log was cut
/// meanwhile: then what is missing is not lost, and the caller looks again.
fn read_disk(
    shared: &Shared,
    range: Range<u64>,
    limit_bytes: usize,
    changes: u64,
) -> Result<Vec<LogRecord>, StorageError> {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    options.set_iterate_upper_bound(record::key(range.end));
    if range.end - range.start > 1 {
        options.set_readahead_size(READAHEAD_BYTES);
    }
    let mut iterator = shared.database.raw_iterator_cf_opt(shared.log.get(), options);
    iterator.seek(record::key(range.start));
    let mut records = Vec::new();
    let mut bytes = 0usize;
    for index in range {
        let found = iterator.item().filter(|(key, _)| record::index(key) == Some(index));
        let Some((_, value)) = found else {
            iterator.status().map_err(|error| shared.fail(shared.sort("cannot read the log in", &error)))?;
            if shared.state().book.changes() != changes {
                return Ok(Vec::new());
            }
            return Err(damaged(shared, index, "is missing"));
        };
        let record =
            record::decode(index, value).ok_or_else(|| damaged(shared, index, "has a wrong checksum"))?;
        bytes += record.bytes.len();
        if !records.is_empty() && bytes > limit_bytes {
            break;
        }
        records.push(record);
        iterator.next();
    }
    Ok(records)
}

/// A damaged record may have been acknowledged: this member must neither vote nor lead with it
/// gone.
fn damaged(shared: &Shared, index: u64, what: &str) -> StorageError {
    let root = shared.directory.root.display();
    shared
        .fail(StorageError::Fatal(format!("record {index} of the log in {root} {what}: {}", super::REPLACE)))
}

#[cfg(test)]
mod tests;
