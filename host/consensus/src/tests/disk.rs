//! What a member keeps over a restart, in memory or in RocksDB.
use std::sync::Mutex;

use synod_storage::{LogStore, MemoryStore, StateStore};

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
