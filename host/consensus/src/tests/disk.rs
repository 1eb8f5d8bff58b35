//! What a member keeps over a restart, in memory or in RocksDB.
use std::sync::Mutex;

use synod_storage::{Health, LogStore, MemoryStore, RocksOptions, RocksStore, StateStore, StorageError};

use super::cluster::eventually;

/// A member's disk.
pub(super) trait Disk: Send + Sync + 'static {
    type Log: LogStore;
    type State: StateStore;
    /// An empty one.
    fn blank() -> Self;
    /// Opens it, once whoever had it open has let go of it.
    fn open(&self) -> impl Future<Output = (Self::Log, Self::State)> + Send;
}

pub(super) struct InMemory(Mutex<MemoryStore>);

impl Disk for InMemory {
    type Log = MemoryStore;
    type State = MemoryStore;

    fn blank() -> Self {
        Self(Mutex::new(MemoryStore::new()))
    }

    async fn open(&self) -> (MemoryStore, MemoryStore) {
        let mut store = self.0.lock().unwrap();
        *store = store.reopen();
        (store.clone(), store.clone())
    }
}

impl InMemory {
    pub(super) fn store(&self) -> MemoryStore {
        self.0.lock().unwrap().clone()
    }
}

pub(super) struct OnDisk(tempfile::TempDir);

impl Disk for OnDisk {
    type Log = RocksStore;
    type State = RocksStore;

    fn blank() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> (RocksStore, RocksStore) {
        let options = RocksOptions {
            block_cache_bytes: 8 << 20,
            write_buffer_bytes: 8 << 20,
            wal_bytes: 32 << 20,
            ..RocksOptions::default()
        };
        let open = || match RocksStore::open(self.0.path(), &options) {
            Ok(store) => Some(store),
            Err(StorageError::Unusable(why)) if why.contains("in use") => None,
            Err(error) => panic!("{error}"),
        };
        let store = eventually("the last holder has let go of the store", open).await;
        (store.clone(), store)
    }
}

/// A disk that forgets what was not synced when the power goes, and of the state what was not
/// flushed. It syncs whenever the runtime gets round to it.
pub(super) struct Unsteady(Mutex<MemoryStore>);

impl Disk for Unsteady {
    type Log = MemoryStore;
    type State = MemoryStore;

    fn blank() -> Self {
        Self(Mutex::new(MemoryStore::manual()))
    }

    async fn open(&self) -> (MemoryStore, MemoryStore) {
        let store = self.0.lock().unwrap().clone();
        let syncing = store.clone();
        tokio::spawn(async move {
            while !matches!(syncing.health(), Health::Failed(_)) {
                syncing.sync();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        });
        (store.clone(), store)
    }
}

impl Unsteady {
    /// The power goes: of what is not synced, the first `kept` changes are on disk all the same.
    pub(super) fn lose_power(&self, kept: usize) {
        let mut store = self.0.lock().unwrap();
        *store = store.crash(kept);
    }
}
