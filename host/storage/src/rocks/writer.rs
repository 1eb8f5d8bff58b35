//! The thread that brings log changes to disk: many in one batch, one sync per batch.
//!
//! It takes what is queued, writes it unsynced, syncs the write-ahead log once, publishes that (the
//! state may follow), and then completes the callbacks, the newest first, because a newer one
//! answers for the older. It purges behind what the state has on disk.
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;

use super::record;
use super::shared::{Change, Queued, Shared, Work, closed};
use super::watermark::Watermark;
use crate::{Step, StorageError};

/// Purged records are removed from disk in steps of at least so many: each step is a range
/// tombstone.
const PURGE_STEP_RECORDS: u64 = 1_024;

/// The writer's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Lowest index that may be on disk.
    disk_first: u64,
    watermark: Watermark,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, disk_first: u64, watermark: Watermark) -> Self {
        Self { shared, disk_first, watermark }
    }

    /// Works until the store is closed or fails.
    pub(crate) fn run(mut self) {
        let _ = self.shared.writer.set(std::thread::current().id());
        let end = EndOfWriter(Arc::clone(&self.shared));
        loop {
            let done = match self.shared.take_work() {
                Ok(Work::Changes(changes)) => self.write(changes).and_then(|()| self.purge()),
                Ok(Work::Close) => {
                    let _ = self.purge().and_then(|()| self.shared.sync());
                    break;
                }
                Err(error) => Err(error),
            };
            if done.is_err() {
                break;
            }
        }
        drop(end);
    }

    fn write(&mut self, mut changes: Vec<Queued>) -> Result<(), StorageError> {
        let Some(last) = changes.last().map(|queued| queued.sequence) else {
            return Ok(());
        };
        let callbacks: Vec<_> = changes.iter_mut().filter_map(|queued| queued.flushed.take()).collect();
        let result = self.persist(&changes, last);
        for flushed in callbacks.into_iter().rev() {
            flushed(result.clone());
        }
        result
    }

    fn persist(&mut self, changes: &[Queued], last: u64) -> Result<(), StorageError> {
        let (end, lowest) = ends(self.watermark.end(), changes);
        self.mark(|watermark| watermark.lower(lowest))?;
        let steps = self.steps(changes);
        self.reach(steps.iter().map(|[begun, _, _]| *begun));
        self.shared.write(&|| self.batch(changes))?;
        self.shared.publish_written(last);
        self.reach(steps.iter().map(|[_, written, _]| *written));
        if changes.iter().any(|queued| !matches!(queued.change, Change::Committed(_))) {
            self.shared.sync()?;
            self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        }
        self.reach(steps.iter().map(|[_, _, synced]| *synced));
        self.mark(|watermark| watermark.raise(end))?;
        self.shared.publish_durable(last);
        let begins = changes.iter().filter_map(|queued| match &queued.change {
            Change::Install { index, .. } | Change::Purge { beyond_end: Some((index, _)) } => Some(index + 1),
            _ => None,
        });
        if let Some(first) = begins.max() {
            self.removed_below(first);
        }
        Ok(())
    }

    /// The steps of writing these changes that somebody wants to know of; mostly none.
    fn steps(&self, changes: &[Queued]) -> Vec<[Step; 3]> {
        if !self.shared.tells_steps() {
            return Vec::new();
        }
        let steps = changes.iter().filter_map(|queued| match &queued.change {
            Change::Truncate { from, end } if from < end => Some(Step::TRUNCATING),
            Change::Purge { beyond_end: Some(_) } => {
                Some([Step::PurgeBegun, Step::PurgeWritten, Step::PurgeSynced])
            }
            Change::Install { .. } => Some([Step::SwitchBegun, Step::SwitchWritten, Step::SwitchSynced]),
            Change::Append(_) => Some(Step::APPENDING),
            Change::Vote(_) => Some(Step::VOTING),
            _ => None,
        });
        steps.collect()
    }

    fn reach(&self, steps: impl Iterator<Item = Step>) {
        steps.for_each(|step| self.shared.reach(step));
    }

    /// Changes the watermark. That there is no space for it is no error: it has its place on disk.
    fn mark(&mut self, change: impl FnOnce(&mut Watermark) -> io::Result<()>) -> Result<(), StorageError> {
        let root = &self.shared.directory.root;
        match change(&mut self.watermark) {
            Ok(()) => Ok(()),
            Err(error) => match StorageError::from_io("cannot write the watermark in", root, &error) {
                StorageError::Full { .. } => Ok(()),
                error => Err(self.shared.fail(error)),
            },
        }
    }

    /// The records below `first` were deleted: frees their files.
    fn removed_below(&mut self, first: u64) {
        if first <= self.disk_first {
            return;
        }
        let (from, to) = (record::key(self.disk_first), record::key(first - 1));
        let removed = self.shared.database.delete_file_in_range_cf(self.shared.log.get(), from, to);
        if let Err(error) = removed {
            tracing::warn!(%error, "cannot remove files of purged records; compaction will");
        }
        self.disk_first = first;
        let mut state = self.shared.state();
        state.purged = state.purged.max(first);
    }

    fn batch(&self, changes: &[Queued]) -> WriteBatch {
        let mut batch = WriteBatch::default();
        let (log, meta) = (self.shared.log.get(), self.shared.meta.get());
        for queued in changes {
            match &queued.change {
                Change::Append(records) => {
                    for record in records {
                        batch.put_cf(log, record::key(record.index), record::encode(record));
                    }
                }
                Change::Truncate { from, end } if from < end => {
                    batch.delete_range_cf(log, record::key(*from), record::key(*end))
                }
                Change::Truncate { .. } | Change::Purge { beyond_end: None } => {}
                Change::Purge { beyond_end: Some((index, id)) } => {
                    self.begin_behind(&mut batch, *index, id, index + 1);
                }
                Change::Install { generation, index, id, end } => {
                    batch.put_cf(meta, super::KEY_GENERATION, generation.to_be_bytes());
                    self.begin_behind(&mut batch, *index, id, *end);
                }
                Change::Vote(vote) => batch.put_cf(meta, super::KEY_VOTE, vote),
                Change::Committed(Some(committed)) => batch.put_cf(meta, super::KEY_COMMITTED, committed),
                Change::Committed(None) => batch.delete_cf(meta, super::KEY_COMMITTED),
            }
        }
        batch
    }

    /// The log begins behind `index`; its records below `end` go.
    fn begin_behind(&self, batch: &mut WriteBatch, index: u64, id: &[u8], end: u64) {
        let (from, to) = (record::key(self.disk_first), record::key(end));
        batch.put_cf(self.shared.meta.get(), super::KEY_PURGED, record::encode_position(index, id));
        if from < to {
            batch.delete_range_cf(self.shared.log.get(), from, to);
        }
    }

    /// Purges what the book has purged, as far as the state is on disk.
    fn purge(&mut self) -> Result<(), StorageError> {
        let flushed = self.shared.flushed.load(Ordering::Acquire);
        let mut state = self.shared.state();
        let (Some((index, id)), purged) = (state.book.take_purge_below(flushed), state.purged) else {
            return Ok(());
        };
        drop(state);
        let end = index + 1;
        if end <= purged {
            return Ok(());
        }
        let (log, meta) = (self.shared.log.get(), self.shared.meta.get());
        let remove = end.saturating_sub(self.disk_first) >= PURGE_STEP_RECORDS;
        let (from, to) = (record::key(self.disk_first), record::key(end));
        self.shared.reach(Step::PurgeBegun);
        self.shared.write(&|| {
            let mut batch = WriteBatch::default();
            batch.put_cf(meta, super::KEY_PURGED, record::encode_position(index, &id));
            if remove {
                batch.delete_range_cf(log, from, to);
            }
            batch
        })?;
        self.shared.reach(Step::PurgeWritten);
        self.shared.sync()?;
        self.shared.reach(Step::PurgeSynced);
        self.shared.state().purged = end;
        if remove {
            self.removed_below(end);
            self.shared.reach(Step::PurgeRemoved);
        }
        Ok(())
    }
}

/// Where a log that ended at `end` ends after `changes`, and the least where it ended on the way.
fn ends(end: u64, changes: &[Queued]) -> (u64, u64) {
    let mut ends = (end, end);
    for queued in changes {
        let end = match &queued.change {
            Change::Append(records) => records.last().map_or(ends.0, |last| last.index + 1),
            Change::Truncate { from, end } if from < end => *from,
            Change::Purge { beyond_end: Some((index, _)) } => index + 1,
            Change::Install { index, end, .. } if *end > index + 1 => index + 1,
            Change::Install { index, .. } => ends.0.max(index + 1),
            _ => ends.0,
        };
        ends = (end, ends.1.min(end));
    }
    ends
}

/// However the writer ends, nobody waits for it any more.
struct EndOfWriter(Arc<Shared>);

impl Drop for EndOfWriter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(StorageError::Fatal("the thread that writes the log has panicked".into()));
        }
        self.0.end();
        let error = self.0.usable().err().unwrap_or_else(closed);
        for flushed in self.0.abandon() {
            flushed(Err(error.clone()));
        }
    }
}
