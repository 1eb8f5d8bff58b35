//! The thread that keeps the state: it flushes it when a purge of the log waits for that, and looks
//! whether its flushes and compactions, which nobody waits for, have failed, how much of the disk
//! is free, and whether the folder is still there. It removes snapshots that were sent, and what
//! was received of one that is not needed any more.
use std::sync::Arc;
use std::time::Duration;

use super::directory::Place;
use super::generation::Generation;
use super::shared::{Keep, Shared};
use crate::snapshot::{Inbox, Trash};
use crate::{Step, StorageError};

/// How often the state is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// See the module.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    trash: Arc<Trash>,
    present: Box<dyn Fn() -> Option<Arc<Generation>> + Send>,
    /// The generation that was looked at last, and its errors then.
    seen: (u64, u64),
    /// Where the log is.
    place: Place,
}

impl Keeper {
    /// `present` is the generation of the moment; none when the store has ended.
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Arc<Inbox>,
        trash: Arc<Trash>,
        present: impl Fn() -> Option<Arc<Generation>> + Send + 'static,
    ) -> Result<Self, StorageError> {
        let place = shared.directory.place()?;
        Ok(Self { shared, inbox, trash, present: Box::new(present), seen: (0, 0), place })
    }

    /// Works until the store is closed or fails.
    pub(crate) fn run(mut self) {
        let _end = EndOfThread::new(&self.shared, "keeps");
        loop {
            self.trash.empty();
            self.shared.look_at_space();
            let next = self.shared.wait_to_keep(LOOK_EVERY);
            let there = || self.shared.directory.check_is_there(self.place);
            let kept = match (next, (self.present)()) {
                (Keep::End, _) => return,
                (_, None) => Ok(()),
                (Keep::Flush, Some(generation)) => there().and_then(|()| flush(&self.shared, &generation)),
                (Keep::Look, Some(generation)) => there().and_then(|()| self.look(&generation)),
            };
            if let Err(error) = kept
                && let StorageError::Fatal(_) = self.shared.fail(error)
            {
                return;
            }
        }
    }

    /// Errors of the background show in nothing else until something is written.
    fn look(&mut self, generation: &Generation) -> Result<(), StorageError> {
        let now = (generation.number, generation.background_errors()?);
        let before = if self.seen.0 == now.0 { self.seen.1 } else { 0 };
        self.seen = now;
        if now.1 > before || self.shared.is_state_full() {
            return flush(&self.shared, generation);
        }
        let flushed = generation.flushed()?.index;
        self.shared.set_flushed(flushed.map_or(0, |index| index + 1));
        self.inbox.outgrown(flushed)
    }
}

/// Flushes the state, and tells how far it is on disk. That there is no space for it is not an
/// error: RocksDB tries it again, and how that stands is asked again.
pub(crate) fn flush(shared: &Shared, generation: &Generation) -> Result<(), StorageError> {
    shared.reach(Step::FlushBegun);
    match generation.flush() {
        Ok(()) => shared.set_state_full(false),
        Err(StorageError::Full { .. }) => shared.set_state_full(true),
        Err(error) => return Err(error),
    }
    shared.reach(Step::FlushDone);
    shared.set_flushed(generation.flushed()?.index.map_or(0, |index| index + 1));
    Ok(())
}

/// However a thread of the state ends, nobody relies on it any more.
pub(crate) struct EndOfThread {
    shared: Arc<Shared>,
    does: &'static str,
}

impl EndOfThread {
    /// Of the thread that `does` this to the state.
    pub(crate) fn new(shared: &Arc<Shared>, does: &'static str) -> Self {
        Self { shared: Arc::clone(shared), does }
    }
}

impl Drop for EndOfThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let does = self.does;
            self.shared.fail(StorageError::Fatal(format!("the thread that {does} the state has panicked")));
        }
    }
}
