//! Installing a snapshot: it is prepared as a new generation beside the present one, however long
//! that takes; then one synced batch of the log switches.
//!
//! Before the switch nothing refers to the new generation, after it nothing to the old one: opening
//! the store removes whatever is not the present one. The batch goes the way of every change of the
//! log, so nothing that was queued before it comes after it. Readers of the old generation keep it
//! until they are done.
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use rocksdb::WriteBatch;

use super::generation::Generation;
use super::shared::{Change, closed};
use super::store::RocksStore;
use super::tables::with_key;
use crate::{AppliedMark, InstallStep, LogStore, SnapshotFile, SnapshotMeta, StorageError, snapshot};

/// Rows are written to the new generation in batches of about this size.
const BATCH_BYTES: usize = 1_024 * 1_024;

/// A received snapshot as a generation of its own, on disk, to which nothing refers yet. It is
/// removed if it is dropped.
pub struct RocksIncoming {
    generation: Generation,
    index: u64,
    mark: AppliedMark,
}

impl RocksStore {
    /// Prepares and installs a snapshot, calling `on_step` after each step.
    ///
    /// # Errors
    /// [`StorageError::BadSnapshot`] and [`StorageError::Full`] leave everything as it was.
    pub fn install_snapshot_with(
        &self,
        file: &SnapshotFile,
        on_step: &dyn Fn(InstallStep),
    ) -> Result<(), StorageError> {
        self.install_with(self.prepare_with(file, on_step)?, on_step)
    }

    pub(crate) fn prepare_with(
        &self,
        file: &SnapshotFile,
        on_step: &dyn Fn(InstallStep),
    ) -> Result<RocksIncoming, StorageError> {
        let inner = self.inner();
        let _one_at_a_time = inner.preparing();
        self.shared().usable()?;
        let bad = |what: &str| {
            StorageError::BadSnapshot(format!("the snapshot file {} {what}", file.path.display()))
        };
        let meta = snapshot::read_rows(&file.path, &mut |_, _, _| Ok(()))?;
        if meta != file.meta {
            return Err(bad("is not of what was announced"));
        }
        let index = meta.mark.index.ok_or_else(|| bad("is of no entry"))?;
        self.step(InstallStep::Verified, on_step);

        let number = inner.next_generation.fetch_add(1, Ordering::Relaxed);
        let generation = Generation::create(&self.shared().directory, &inner.prepared, number)?;
        self.step(InstallStep::GenerationCreated, on_step);

        let loaded = load(file, &generation, &|| self.shared().room_for(BATCH_BYTES as u64))?;
        if loaded != meta {
            return Err(bad("changed while it was read"));
        }
        self.step(InstallStep::Loaded, on_step);

        generation.flush()?;
        self.step(InstallStep::Flushed, on_step);
        Ok(RocksIncoming { generation, index, mark: meta.mark })
    }

    pub(crate) fn install_with(
        &self,
        incoming: RocksIncoming,
        on_step: &dyn Fn(InstallStep),
    ) -> Result<(), StorageError> {
        let inner = self.inner();
        let _turn = inner.turn();
        self.shared().usable()?;
        let old = Arc::clone(&inner.generation());
        self.switch(incoming)?;
        self.step(InstallStep::Switched, on_step);
        old.retire();
        drop(old);
        self.step(InstallStep::OldDropped, on_step);
        Ok(())
    }

    fn step(&self, step: InstallStep, on_step: &dyn Fn(InstallStep)) {
        tracing::debug!(step = step.name(), "installing a snapshot");
        on_step(step);
        if let Some(hook) = &self.inner().on_install_step {
            hook(step);
        }
    }

    /// The one batch that makes the new generation the present one.
    fn switch(&self, incoming: RocksIncoming) -> Result<(), StorageError> {
        let RocksIncoming { generation, index, mark } = incoming;
        let (inner, shared) = (self.inner(), self.shared());
        generation.keep();
        if let Err(error) = self.queue_switch(generation.number, index, &mark.id) {
            // Whether it was written is not known, so neither generation may go.
            return Err(shared.fail(error));
        }
        *inner.generation_to_switch() = Arc::new(generation);
        inner.set_mark(mark);
        shared.installed(index + 1);
        Ok(())
    }

    /// Queues the switch behind every change that was queued before, and waits until it is on disk.
    fn queue_switch(&self, generation: u64, index: u64, id: &Arc<[u8]>) -> Result<(), StorageError> {
        let shared = self.shared();
        let (sender, done) = mpsc::channel();
        loop {
            let seen = shared.state().book.version();
            let records = self.read(index..index + 1, usize::MAX)?;
            let follows = records.first().is_some_and(|record| record.index == index && record.has_id(id));
            let mut state = shared.room()?;
            if state.book.version() != seen {
                continue;
            }
            let end = state.book.install(index, id.clone(), follows);
            let change = Change::Install { generation, index, id: id.clone(), end };
            shared.push(&mut state, change, Some(Box::new(move |result| drop(sender.send(result)))));
            break;
        }
        done.recv().unwrap_or_else(|_| Err(closed()))
    }
}

/// Writes the rows and the mark into the new generation, asking for room before each batch.
fn load(
    file: &SnapshotFile,
    generation: &Generation,
    room: &dyn Fn() -> Result<(), StorageError>,
) -> Result<SnapshotMeta, StorageError> {
    let mut batch = WriteBatch::default();
    let meta = snapshot::read_rows(&file.path, &mut |table, key, value| {
        with_key(table, key, |key| batch.put(key, value));
        if batch.size_in_bytes() >= BATCH_BYTES {
            room()?;
            generation.write_batch(std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    generation.write_batch(batch)?;
    generation.write_mark(&meta.mark)?;
    Ok(meta)
}
