//! The store in memory: the twin of the RocksDB one, for tests and the simulator.
//!
//! It has no thread and no clock. Either every change is durable when its call returns
//! ([`MemoryStore::new`]), or changes of the log queue up until the test calls
//! [`MemoryStore::sync`], and a commit is durable with a flush that is queued behind it
//! ([`MemoryStore::manual`]); [`MemoryStore::crash`] forgets what was not synced, and the state
//! goes back to the last flush. Snapshots are files, as with RocksDB, which the other twin cannot
//! read. It never waits: with a full disk, appends are held back and commits go on. Reading a row
//! with a [flipped](MemoryStore::flip) bit fails, as in RocksDB, which has checksums.
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use self::disk::{Change, Core, Disk, Place, Tables};
use crate::snapshot::{Budget, Inbox};
use crate::{AppliedMark, Flushed, StorageError};

mod disk;
mod log;
mod state;

pub use self::state::MemoryView;

/// A member's store in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
}

/// A received snapshot of a [`MemoryStore`].
pub struct MemoryIncoming {
    tables: Box<Tables>,
    mark: AppliedMark,
}

struct Shared {
    core: Mutex<Core>,
    folder: PathBuf,
    syncs: AtomicU64,
}

static STORES: AtomicU64 = AtomicU64::new(0);

impl MemoryStore {
    /// An empty store on which everything is durable at once.
    pub fn new() -> Self {
        Self::start(Disk::default(), None, None)
    }

    /// An empty store on which the log is durable when [`sync`](Self::sync) is called, and the
    /// state then as of the flushes before.
    pub fn manual() -> Self {
        Self::start(Disk::default(), Some(Disk::default()), None)
    }

    fn start(now: Disk, durable: Option<Disk>, flipped: Option<Place>) -> Self {
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("synod-memory-{}-{number}", std::process::id()));
        let pending = VecDeque::new();
        let core = Core { now, durable, pending, waiting: None, full: false, failed: None, flipped };
        let shared = Arc::new(Shared { core: Mutex::new(core), folder, syncs: AtomicU64::new(0) });
        let budget: Arc<dyn Budget> = Arc::<Shared>::clone(&shared);
        let inbox = Arc::new(Inbox::new(shared.folder.join("received"), budget));
        Self { shared, inbox }
    }

    /// Changes that are not durable yet.
    pub fn pending(&self) -> usize {
        self.core().pending.len()
    }

    /// Waits until there are changes that are not durable yet. One task may wait.
    pub async fn changed(&self) {
        poll_fn(|cx| {
            let mut core = self.core();
            if !core.pending.is_empty() {
                return Poll::Ready(());
            }
            core.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Makes everything durable and completes the callbacks, newest first.
    pub fn sync(&self) {
        let mut core = self.core();
        if core.full || core.failed.is_some() {
            return;
        }
        let pending = std::mem::take(&mut core.pending);
        let mut callbacks = Vec::new();
        for (change, flushed) in pending {
            if let Some(durable) = core.durable.as_mut() {
                durable.apply(&change);
            }
            callbacks.extend(flushed);
        }
        drop(core);
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        callbacks.into_iter().rev().for_each(|flushed| flushed(Ok(())));
    }

    /// The member as it comes back after power was lost with the first `kept` unsynced changes on
    /// disk. Callbacks of lost changes are never called. The old store refuses everything from now
    /// on.
    pub fn crash(&self, kept: usize) -> Self {
        let mut core = self.core();
        let manual = core.durable.is_some();
        let mut disk = core.durable.take().unwrap_or_else(|| core.now.clone());
        for (change, _) in core.pending.drain(..).take(kept) {
            disk.apply(&change);
        }
        core.pending.clear();
        disk.forget_purges();
        core.failed = Some(StorageError::Fatal("the store has crashed".into()));
        let flipped = core.flipped.take().filter(|place| disk.has(place));
        drop(core);
        Self::start(disk.clone(), manual.then_some(disk), flipped)
    }

    /// The member as it comes back after an orderly stop: nothing is lost.
    pub fn reopen(&self) -> Self {
        self.crash(usize::MAX)
    }

    /// Makes the disk full, or frees space: then what was held back becomes durable, at once or
    /// with the next [`sync`](Self::sync).
    pub fn set_full(&self, full: bool) {
        let mut core = self.core();
        core.full = full;
        let manual = core.durable.is_some();
        drop(core);
        if !full && !manual {
            self.sync();
        }
    }

    /// Flips a bit of a row that `chance` picks. Reads of that row fail until it is written again.
    /// Returns false if there is no row.
    pub fn flip(&self, chance: u64) -> bool {
        let mut core = self.core();
        core.flipped = core.now.pick(chance);
        core.flipped.is_some()
    }

    /// Whether a row has a flipped bit.
    pub fn is_flipped(&self) -> bool {
        self.core().flipped.is_some()
    }

    /// Breaks the disk: everything pending and everything from now on fails with `message`.
    pub fn fail(&self, message: &str) {
        let error = StorageError::Fatal(message.to_owned());
        let mut core = self.core();
        core.failed = Some(error.clone());
        let pending = std::mem::take(&mut core.pending);
        drop(core);
        pending
            .into_iter()
            .rev()
            .filter_map(|(_, flushed)| flushed)
            .for_each(|flushed| flushed(Err(error.clone())));
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.core()
    }

    fn usable(&self) -> Result<MutexGuard<'_, Core>, StorageError> {
        let core = self.core();
        match &core.failed {
            Some(error) => Err(error.clone()),
            None => Ok(core),
        }
    }

    fn change(&self, change: Change, flushed: Option<Flushed>) {
        let mut core = self.core();
        if let Some(error) = core.failed.clone() {
            drop(core);
            if let Some(flushed) = flushed {
                flushed(Err(error));
            }
            return;
        }
        if let Err(error) = core.take_in(&change) {
            core.failed = Some(error.clone());
            drop(core);
            if let Some(flushed) = flushed {
                flushed(Err(error));
            }
            return;
        }
        let now = core.durable.is_none() && !core.full;
        if now {
            drop(core);
            if let Some(flushed) = flushed {
                self.shared.syncs.fetch_add(1, Ordering::Relaxed);
                flushed(Ok(()));
            }
        } else {
            core.pending.push_back((change, flushed));
            let waiting = core.waiting.take();
            drop(core);
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Queues a flush of the state, if it is not durable anyway.
    fn flush_behind(&self) {
        let core = self.core();
        if core.durable.is_none() {
            return;
        }
        let flush = Change::Flush(Box::new(core.now.tables.clone()), core.now.mark.clone());
        drop(core);
        self.change(flush, None);
    }

    fn new_folder(&self) -> Result<PathBuf, StorageError> {
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        let folder = self.shared.folder.join(format!("snapshot-{number}"));
        std::fs::create_dir_all(&folder)
            .map_err(|error| StorageError::from_io("cannot create the folder", &folder, &error))?;
        Ok(folder)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget for Shared {
    fn reserve(&self, _bytes: u64) -> Result<(), StorageError> {
        let full = self.core().full;
        if full { Err(StorageError::Full { path: self.folder.clone() }) } else { Ok(()) }
    }

    fn release(&self, _bytes: u64) {}
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
