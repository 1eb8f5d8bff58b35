//! Installing a snapshot: its files become a new generation beside the present one, which is opened
//! and verified, however long that takes; then one synced batch of the log switches.
//!
//! Before the switch nothing refers to the new generation, after it nothing to the old one: opening
//! the store removes whatever is not the present one. The batch goes the way of every change of the
//! log, so nothing that was queued before it comes after it. Readers of the old generation keep it
//! until they are done.
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use super::generation::Generation;
use super::handles::OwnedSnapshot;
use super::shared::{Change, closed};
use super::state::RocksView;
use super::store::RocksStore;
use crate::{AppliedMark, LogStore, Receiving, Step, StorageError, Verify};

/// A received snapshot as a generation of its own, on disk, to which nothing refers yet. It is
/// removed if it is dropped.
pub struct RocksIncoming {
    generation: Arc<Generation>,
    index: u64,
    mark: AppliedMark,
}

impl RocksStore {
    pub(crate) fn prepare_received(
        &self,
        received: Receiving,
        verify: &Verify<RocksView>,
    ) -> Result<RocksIncoming, StorageError> {
        let inner = self.inner();
        let _one_at_a_time = inner.preparing();
        self.shared().usable()?;
        self.step(Step::InstallReceived);
        let prepared = self.adopt(&received, verify);
        if matches!(prepared, Err(StorageError::BadSnapshot(_))) {
            inner.inbox.clear()?;
        }
        prepared
    }

    fn adopt(&self, received: &Receiving, verify: &Verify<RocksView>) -> Result<RocksIncoming, StorageError> {
        let bad = |what: String| StorageError::BadSnapshot(format!("the snapshot is bad: {what}"));
        let (inner, directory) = (self.inner(), &self.shared().directory);
        let number = inner.next_generation.fetch_add(1, Ordering::Relaxed);
        let generation = Generation::adopt(directory, &inner.prepared, number, received, || {
            self.step(Step::InstallPlaced);
        })?;
        let mark = generation.mark(None).map_err(|error| bad(error.to_string()))?;
        let announced = &received.manifest().mark;
        if mark != *announced {
            return Err(bad(format!("it is of entry {:?}, announced was {:?}", mark.index, announced.index)));
        }
        let index = mark.index.ok_or_else(|| bad("it is of no entry".to_owned()))?;
        self.step(Step::InstallOpened);

        let generation = Arc::new(generation);
        let moment = OwnedSnapshot::take(&generation.database);
        verify(&RocksView::new(Arc::clone(&generation), Some(moment))).map_err(bad)?;
        self.step(Step::InstallVerified);
        Ok(RocksIncoming { generation, index, mark })
    }

    pub(crate) fn install_incoming(&self, incoming: RocksIncoming) -> Result<(), StorageError> {
        let inner = self.inner();
        let _turn = inner.turn();
        self.shared().usable()?;
        let old = Arc::clone(&inner.generation());
        self.switch(incoming)?;
        self.step(Step::InstallSwitched);
        old.retire();
        drop(old);
        inner.inbox.clear()?;
        self.step(Step::InstallOldDropped);
        Ok(())
    }

    fn step(&self, step: Step) {
        tracing::debug!(step = step.name(), "installing a snapshot");
        self.shared().reach(step);
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
        *inner.generation_to_switch() = generation;
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
