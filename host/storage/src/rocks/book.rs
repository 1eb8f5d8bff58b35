//! What the log holds by name: its bounds, and the newest records in memory.
//!
//! Every change shows here at once, while the writer thread brings it to disk later. Records that
//! are not written yet are always in memory; of the others, as many as fit. It reads and writes no
//! disk.
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::{LogRecord, StorageError};

/// Memory of a kept record beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// Purges that wait for the state; a further one takes the place of the last.
const WAITING_PURGES: usize = 64;

/// Bounds and newest records.
pub(crate) struct Book {
    first: u64,
    end: u64,
    purged: Option<(u64, Arc<[u8]>)>,
    waiting_purges: VecDeque<(u64, Arc<[u8]>)>,
    tail: VecDeque<Kept>,
    tail_bytes: usize,
    limit_bytes: usize,
    dropped_unwritten: u64,
    changes: u64,
}

struct Kept {
    record: LogRecord,
    sequence: u64,
}

/// Where the next records of a read are.
pub(crate) enum Source {
    /// In memory; these.
    Memory(Vec<LogRecord>),
    /// On disk, in this range; `changes` tells whether the log was cut meanwhile.
    Disk { range: Range<u64>, changes: u64 },
    /// Nowhere.
    End,
}

impl Book {
    /// The log as found on disk: its records `first..end`, the last of them, and the last purged
    /// position.
    pub(crate) fn new(
        first: u64,
        last: Option<LogRecord>,
        purged: Option<(u64, Arc<[u8]>)>,
        limit_bytes: usize,
    ) -> Self {
        let end = last.as_ref().map_or(first, |last| last.index + 1);
        let (waiting_purges, tail) = (VecDeque::new(), VecDeque::new());
        let mut book = Self {
            first,
            end,
            purged,
            waiting_purges,
            tail,
            tail_bytes: 0,
            limit_bytes,
            dropped_unwritten: 0,
            changes: 0,
        };
        if let Some(record) = last {
            book.keep(record, 0);
        }
        book
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn purged(&self) -> Option<&(u64, Arc<[u8]>)> {
        self.purged.as_ref()
    }

    /// The last record: in memory, or the index of one on disk.
    pub(crate) fn last(&self) -> Option<Result<LogRecord, u64>> {
        match self.tail.back() {
            Some(kept) => Some(Ok(kept.record.clone())),
            None => (self.end > self.first).then(|| Err(self.end - 1)),
        }
    }

    /// Counts truncations and purges.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Differs if anything was changed meanwhile.
    pub(crate) fn version(&self) -> (u64, u64) {
        (self.changes, self.end)
    }

    /// Whether `index` is at or behind the end of the log.
    pub(crate) fn is_beyond(&self, index: u64) -> bool {
        index >= self.end
    }

    /// The first purge that waits for the state.
    pub(crate) fn next_purge(&self) -> Option<u64> {
        self.waiting_purges.front().map(|(index, _)| *index)
    }

    pub(crate) fn append(&mut self, records: &[LogRecord], sequence: u64) -> Result<(), StorageError> {
        for record in records {
            if self.end == self.first {
                (self.first, self.end) = (record.index, record.index);
            }
            if record.index != self.end {
                return Err(StorageError::Fatal(format!(
                    "record {} was appended to the log where record {} is due; the consensus broke its order",
                    record.index, self.end
                )));
            }
            self.end += 1;
            self.keep(record.clone(), sequence);
        }
        Ok(())
    }

    /// Cuts the log; returns what must go from the disk.
    pub(crate) fn truncate_from(&mut self, index: u64) -> Range<u64> {
        let (from, end) = (index.max(self.first), self.end);
        if from >= end {
            return end..end;
        }
        self.changes += 1;
        self.end = from;
        while let Some(kept) = self.tail.pop_back_if(|kept| kept.record.index >= from) {
            self.tail_bytes -= weight(&kept.record);
        }
        from..end
    }

    /// Forgets the log up to `index`; false if that was purged before.
    pub(crate) fn purge(&mut self, index: u64, id: Arc<[u8]>) -> bool {
        if self.purged.as_ref().is_some_and(|(purged, _)| index <= *purged) {
            return false;
        }
        self.changes += 1;
        if self.waiting_purges.len() == WAITING_PURGES {
            self.waiting_purges.pop_back();
        }
        self.waiting_purges.push_back((index, id.clone()));
        self.begin_behind(index, id);
        true
    }

    /// The log goes on behind `index`, whose state came from elsewhere; what it holds behind that
    /// stays if it `follows`. Returns the end of what goes.
    pub(crate) fn install(&mut self, index: u64, id: Arc<[u8]>, follows: bool) -> u64 {
        let end = if follows { index + 1 } else { self.end.max(index + 1) };
        if !follows {
            self.truncate_from(index + 1);
        }
        self.changes += 1;
        self.waiting_purges.clear();
        self.begin_behind(index, id);
        end
    }

    fn begin_behind(&mut self, index: u64, id: Arc<[u8]>) {
        self.purged = Some((index, id));
        self.first = self.first.max(index + 1);
        self.end = self.end.max(self.first);
        while let Some(kept) = self.tail.pop_front_if(|kept| kept.record.index <= index) {
            self.tail_bytes -= weight(&kept.record);
            self.dropped_unwritten = self.dropped_unwritten.max(kept.sequence);
        }
    }

    /// The last purge that waits for no state at or behind `end`: it may go to disk now.
    pub(crate) fn take_purge_below(&mut self, end: u64) -> Option<(u64, Arc<[u8]>)> {
        let mut taken = None;
        while let Some(purge) = self.waiting_purges.pop_front_if(|(index, _)| *index < end) {
            taken = Some(purge);
        }
        taken
    }

    /// Drops records from memory that were written and do not fit; the last one stays.
    pub(crate) fn evict(&mut self, written: u64) {
        while self.tail_bytes > self.limit_bytes && self.tail.len() > 1 {
            let Some(kept) = self.tail.pop_front_if(|kept| kept.sequence <= written) else {
                return;
            };
            self.tail_bytes -= weight(&kept.record);
        }
    }

    /// The number of the change with which `index` is written; 0 if it is.
    pub(crate) fn sequence_of(&self, index: u64) -> u64 {
        let from = self.tail_start();
        if index < from {
            return self.dropped_unwritten;
        }
        self.tail.get((index - from) as usize).map_or(0, |kept| kept.sequence)
    }

    /// Where to read from `at`, up to `end` and, in memory, `limit_bytes`.
    pub(crate) fn source(&self, at: u64, end: u64, limit_bytes: usize) -> Source {
        let (end, from) = (end.min(self.end), self.tail_start());
        if at < self.first || at >= end {
            return Source::End;
        }
        if at < from {
            return Source::Disk { range: at..end.min(from), changes: self.changes };
        }
        let mut bytes = 0usize;
        let records = self.tail.range((at - from) as usize..(end - from) as usize).enumerate().take_while(
            |(nth, kept)| {
                bytes += kept.record.bytes.len();
                *nth == 0 || bytes <= limit_bytes
            },
        );
        Source::Memory(records.map(|(_, kept)| kept.record.clone()).collect())
    }

    fn tail_start(&self) -> u64 {
        self.end - self.tail.len() as u64
    }

    fn keep(&mut self, record: LogRecord, sequence: u64) {
        self.tail_bytes += weight(&record);
        self.tail.push_back(Kept { record, sequence });
    }
}

fn weight(record: &LogRecord) -> usize {
    record.bytes.len() + RECORD_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
