//! Where the log is read and waited for: never on a worker of the runtime.
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use synod_abi::MemberId;
use synod_storage::{Flushed, Health, LogBounds, LogRecord, LogStore, MemoryStore, StorageError};

use super::cluster::{Cluster, eventually};
use super::disk::Disk;
use crate::Settings;

/// Records that are in memory.
const TAIL: u64 = 4;

/// What happened to a [`SlowLog`].
#[derive(Default)]
struct Seen {
    /// Reads of its disk.
    reads: AtomicUsize,
    /// Changes while its queue was full.
    changes: AtomicUsize,
    /// Whatever else may wait.
    others: AtomicUsize,
    /// What was read or waited for on the runtime's worker.
    on_worker: Mutex<Vec<&'static str>>,
}

/// A log of which only the newest records are in memory, and whose queue is full at times.
#[derive(Clone)]
struct SlowLog {
    store: MemoryStore,
    worker: ThreadId,
    is_full: Arc<AtomicBool>,
    seen: Arc<Seen>,
}

impl SlowLog {
    /// Notes a read, or a wait, of the disk.
    fn visit(&self, what: &'static str, count: &AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
        if std::thread::current().id() == self.worker {
            self.seen.on_worker.lock().unwrap().push(what);
        }
    }

    /// A change, which waits if the queue is full. Then it is not full for a change.
    fn change(&self, what: &'static str) {
        if self.is_full.fetch_xor(true, Ordering::Relaxed) {
            self.visit(what, &self.seen.changes);
        }
    }
}

impl LogStore for SlowLog {
    fn append(&self, records: Vec<LogRecord>, flushed: Flushed) {
        self.change("append");
        self.store.append(records, flushed);
    }

    fn truncate_from(&self, index: u64, flushed: Flushed) {
        self.change("truncate");
        self.store.truncate_from(index, flushed);
    }

    fn purge(&self, index: u64, id: Arc<[u8]>, flushed: Flushed) {
        self.change("purge");
        self.store.purge(index, id, flushed);
    }

    fn save_vote(&self, vote: Arc<[u8]>, flushed: Flushed) {
        self.change("vote");
        self.store.save_vote(vote, flushed);
    }

    fn save_committed(&self, committed: Option<Arc<[u8]>>) {
        self.change("committed");
        self.store.save_committed(committed);
    }

    fn vote(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        self.store.vote()
    }

    fn committed(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        self.store.committed()
    }

    fn is_queue_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    fn purged(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        self.store.purged()
    }

    fn bounds(&self) -> Result<LogBounds, StorageError> {
        self.visit("bounds", &self.seen.others);
        self.store.bounds()
    }

    fn read_memory(&self, range: Range<u64>, limit: usize) -> Result<Option<Vec<LogRecord>>, StorageError> {
        let last = self.store.bounds()?.last.map_or(0, |last| last.index);
        if range.start + TAIL <= last { Ok(None) } else { self.store.read_memory(range, limit) }
    }

    fn read(&self, range: Range<u64>, limit: usize) -> Result<Vec<LogRecord>, StorageError> {
        self.visit("read", &self.seen.reads);
        self.store.read(range, limit)
    }

    fn wait_durable(&self, index: u64) -> Result<(), StorageError> {
        self.visit("durable", &self.seen.others);
        self.store.wait_durable(index)
    }

    fn syncs(&self) -> u64 {
        self.store.syncs()
    }

    fn health(&self) -> Health {
        self.store.health()
    }
}

/// The disk of a [`SlowLog`], whose worker is the thread that makes it.
struct Slow {
    store: Mutex<MemoryStore>,
    worker: ThreadId,
    seen: Arc<Seen>,
}

impl Disk for Slow {
    type Log = SlowLog;
    type State = MemoryStore;

    fn blank() -> Self {
        let store = Mutex::new(MemoryStore::new());
        Self { store, worker: std::thread::current().id(), seen: Arc::default() }
    }

    async fn open(&self) -> (SlowLog, MemoryStore) {
        let mut store = self.store.lock().unwrap();
        *store = store.reopen();
        let log = SlowLog {
            store: store.clone(),
            worker: self.worker,
            is_full: Arc::default(),
            seen: self.seen.clone(),
        };
        (log, store.clone())
    }
}

#[tokio::test]
async fn nothing_is_read_or_waited_for_on_a_worker_of_the_runtime() {
    let mut cluster = Cluster::<Slow>::of_three(Settings::default()).await;
    let away = MemberId(3);
    cluster.write("first").await;
    cluster.cut(away);
    let mut last = cluster.write("while one is away").await;
    for n in 0..50 {
        last = cluster.write(&format!("{n}")).await;
    }
    cluster.heal(away);
    cluster.applied_everywhere(last).await;
    for id in [1, 2, 3].map(MemberId) {
        cluster.stop(id).await;
        cluster.start(id).await;
        last = cluster.write("after a restart").await;
    }
    cluster.applied_everywhere(last).await;
    let seen: Vec<_> = cluster.disks.values().map(|disk| disk.seen.clone()).collect();
    let reads = || seen.iter().map(|seen| seen.reads.load(Ordering::Relaxed)).sum::<usize>();
    eventually("old entries are read", || (reads() > 1).then_some(())).await;
    cluster.shut_down().await;
    for seen in seen {
        assert!(seen.changes.load(Ordering::Relaxed) > 2, "queues were full at times");
        assert_eq!(*seen.on_worker.lock().unwrap(), Vec::<&str>::new());
    }
}
