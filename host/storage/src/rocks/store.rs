//! The store as its users hold it, and how it closes.
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use synod_abi::ClusterId;

use super::compactor::Compactor;
use super::directory::DirectoryLock;
use super::generation::Generation;
use super::keeper::{self, Keeper};
use super::open::Opened;
use super::options::{Prepared, RocksOptions};
use super::shared::Shared;
use super::writer::Writer;
use crate::snapshot::{Budget, Inbox, Trash};
use crate::{AppliedMark, IdentityFile, StorageError};

/// A member's store on RocksDB: log and state. Clones share it; the last one closes it,
/// as [`close`](RocksStore::close) does at once. Views keep their state open after that.
#[derive(Clone)]
pub struct RocksStore {
    inner: Arc<Inner>,
}

/// The generation of the moment; whoever reads it keeps it.
type Present = Arc<RwLock<Arc<Generation>>>;

pub(crate) struct Inner {
    shared: Arc<Shared>,
    generation: Present,
    mark: Mutex<AppliedMark>,
    turn: Mutex<()>,
    preparing: Mutex<()>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) trash: Arc<Trash>,
    /// The number of the generation that is created next.
    pub(crate) next_generation: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
    compactor: Mutex<Option<JoinHandle<()>>>,
    pub(crate) prepared: Prepared,
    identity: Option<Arc<IdentityFile>>,
    /// Counts snapshots that were made.
    pub(crate) checkpoints: AtomicU64,
    _lock: DirectoryLock,
}

impl RocksStore {
    /// Opens the data directory `root`, creating it if it is new or empty.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] if it is in use, not Synod's, or of another format: then nothing
    /// was changed. [`StorageError::Fatal`] if its data is damaged or lost.
    pub fn open(root: &Path, options: &RocksOptions) -> Result<Self, StorageError> {
        let opened = Opened::new(root, options)?;
        let Opened { directory, lock, prepared, database, log, disk_first, watermark, generation, mark } =
            opened;
        let flushed = mark.index.map_or(0, |index| index + 1);
        let received = directory.received();
        let shared = Arc::new(Shared::new(database, directory, log, flushed, options)?);
        let budget: Arc<dyn Budget> = Arc::<Shared>::clone(&shared);
        let inbox = Arc::new(Inbox::open(received, budget)?);
        let trash = Arc::<Trash>::default();
        let next_generation = AtomicU64::new(generation.number + 1);
        shared.look_at_space();
        let generation: Present = Arc::new(RwLock::new(Arc::new(generation)));
        let writer = Writer::new(Arc::clone(&shared), disk_first, watermark);
        let weak = Arc::downgrade(&generation);
        let present = move || {
            let present = weak.upgrade()?;
            let generation = present.read().unwrap_or_else(PoisonError::into_inner);
            Some(Arc::clone(&generation))
        };
        let compactor = Compactor::new(Arc::clone(&shared), present.clone());
        let keeper = Keeper::new(Arc::clone(&shared), Arc::clone(&inbox), Arc::clone(&trash), present)?;
        let writer = start("synod-log", move || writer.run())?;
        let inner = Inner {
            shared,
            generation,
            mark: Mutex::new(mark),
            turn: Mutex::new(()),
            preparing: Mutex::new(()),
            inbox,
            trash,
            next_generation,
            threads: Mutex::new(vec![writer]),
            compactor: Mutex::new(None),
            prepared,
            identity: options.identity.clone(),
            checkpoints: AtomicU64::new(0),
            _lock: lock,
        };
        inner.threads().push(start("synod-state", move || keeper.run())?);
        let compactor = start("synod-compact", move || compactor.run())?;
        *inner.compactor.lock().unwrap_or_else(PoisonError::into_inner) = Some(compactor);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Brings what is queued and the state to disk, and refuses everything after it. Blocks until
    /// that is done.
    pub fn close(&self) {
        self.inner.close();
    }

    /// How often a stretch of the state was compacted, because ranges stepped over many deleted
    /// rows in it.
    pub fn compactions(&self) -> u64 {
        self.inner.shared.compactions.load(Ordering::Relaxed)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

impl Inner {
    /// The cluster that the member has promised itself to by now.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.identity.as_ref().and_then(|identity| identity.cluster())
    }

    pub(crate) fn generation(&self) -> RwLockReadGuard<'_, Arc<Generation>> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn generation_to_switch(&self) -> RwLockWriteGuard<'_, Arc<Generation>> {
        self.generation.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mark(&self) -> MutexGuard<'_, AppliedMark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_mark(&self, mark: AppliedMark) {
        *self.mark() = mark;
    }

    /// One commit or install at a time.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One snapshot is prepared at a time.
    pub(crate) fn preparing(&self) -> MutexGuard<'_, ()> {
        self.preparing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state goes to disk first, so that the log is purged as far as it may be. If there is no
    /// space for it, the log has what is missing. A compaction that runs is given up, once
    /// nobody flushes any more.
    fn close(&self) {
        if self.shared.usable().is_ok() {
            let generation = Arc::clone(&self.generation());
            if let Err(error) = keeper::flush(&self.shared, &generation) {
                self.shared.fail(error);
            }
        }
        self.shared.begin_close();
        let threads = std::mem::take(&mut *self.threads());
        threads.into_iter().for_each(join);
        let compactor = self.compactor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(compactor) = compactor {
            self.generation().database.cancel_all_background_work(false);
            join(compactor);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits for the end of a thread, unless it is this one.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() {
        let _ = thread.join();
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StorageError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|error| StorageError::Fatal(format!("cannot start the thread {name}: {error}")))
}
