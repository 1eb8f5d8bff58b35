//! What the tests share: stores to open, calls that wait for their callback, and child processes.
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use synod_abi::Direction;
use synod_machine::{RangeLimit, Row, StateView, Table, Write};
use synod_storage::{
    AppliedMark, Flushed, LogRecord, LogStore, RocksOptions, RocksStore, StateStore, StorageError,
    receive_here,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const ROLE: &str = "SYNOD_STORAGE_TEST_ROLE";

/// Small limits, so that little data reaches the disk and every path.
pub(crate) fn small() -> RocksOptions {
    RocksOptions {
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 4 << 20,
        wal_bytes: 12 << 20,
        log_tail_bytes: 600,
        reserve_bytes: 0,
        ..RocksOptions::default()
    }
}

pub(crate) fn open(root: &Path) -> RocksStore {
    RocksStore::open(root, &small()).expect("the store opens")
}

/// Opens a store whose process dies at the step of that name.
pub(crate) fn open_to_die(root: &Path, step: String) -> RocksStore {
    let mut options = small();
    options.on_step = Some(Arc::new(move |at| {
        if at.name() == step {
            std::process::abort();
        }
    }));
    RocksStore::open(root, &options).expect("the store opens")
}

/// The payload of a record, which tells its index and begins with its id.
pub(crate) fn payload(index: u64, generation: u64, length: usize) -> Arc<[u8]> {
    let mut bytes = format!("{index}/{generation}/").into_bytes();
    bytes.resize(bytes.len().max(length), b'x');
    bytes.into()
}

pub(crate) fn records(from: u64, count: u64, length: usize) -> Vec<LogRecord> {
    (from..from + count).map(|index| LogRecord { index, bytes: payload(index, 0, length) }).collect()
}

pub(crate) fn id(index: u64) -> Arc<[u8]> {
    format!("{index}/").into_bytes().into()
}

pub(crate) fn mark(index: u64) -> AppliedMark {
    AppliedMark { index: Some(index), id: id(index), membership: (*b"a,b,c").into() }
}

pub(crate) fn callback() -> (Flushed, Receiver<Result<(), StorageError>>) {
    let (sender, receiver) = mpsc::channel();
    (Box::new(move |result| drop(sender.send(result))), receiver)
}

/// Runs a change and waits for its callback.
pub(crate) fn flush(change: impl FnOnce(Flushed)) -> Result<(), StorageError> {
    let (flushed, done) = callback();
    change(flushed);
    done.recv_timeout(PATIENCE).expect("the callback is called")
}

pub(crate) fn append<S: LogStore>(store: &S, records: Vec<LogRecord>) {
    flush(|flushed| store.append(records, flushed)).expect("the append is on disk");
}

pub(crate) fn put(table: Table, key: &str, value: &str) -> Write {
    Write::Put { table, key: key.into(), value: value.into() }
}

pub(crate) fn all_rows<V: StateView>(view: &V) -> Vec<(Table, Row)> {
    let limit = RangeLimit { rows: usize::MAX, bytes: usize::MAX };
    let rows = |table| view.range(table, b"", b"", Direction::Forward, limit).expect("rows are read").0;
    Table::ALL.into_iter().flat_map(|table| rows(table).into_iter().map(move |row| (table, row))).collect()
}

/// The state of entry `index` of a made-up machine: rows that all tell how far they are.
pub(crate) fn commit<S: StateStore>(store: &S, index: u64, rows: u64) {
    let tables = Table::ALL.len() as u64;
    let writes: Vec<_> = (0..rows)
        .map(|row| {
            put(Table::ALL[(row % tables) as usize], &format!("row{row:06}"), &format!("as of {index}"))
        })
        .collect();
    store.commit(&writes, &mark(index)).expect("the state is written");
}

/// Checks that every row is as of the mark.
pub(crate) fn assert_whole<S: StateStore>(store: &S, rows: u64) -> Option<u64> {
    let applied = store.applied().expect("applied").index;
    let found = all_rows(&store.view().expect("view"));
    match applied {
        None => assert!(found.is_empty()),
        Some(index) => {
            assert_eq!(found.len() as u64, rows, "all rows at {index}");
            assert!(
                found.iter().all(|(_, (_, value))| *value == format!("as of {index}").into_bytes()),
                "one moment: {index}"
            );
        }
    }
    applied
}

/// The key of row `n` of a queue.
pub(crate) fn queue_key(n: u32) -> Vec<u8> {
    [b"queue/".as_slice(), &n.to_be_bytes()].concat()
}

/// The row of the queue that `direction` begins at, and how many deleted ones were stepped over to
/// find it.
pub(crate) fn end_of_queue(view: &impl StateView, direction: Direction) -> (Option<Vec<u8>>, u64) {
    let limit = RangeLimit { rows: 1, bytes: usize::MAX };
    let mut counters = PerfContext::default();
    set_perf_stats(PerfStatsLevel::EnableCount);
    counters.reset();
    let (rows, _) = view.range(Table::State, b"queue/", b"queue0", direction, limit).expect("it can be read");
    let passed = counters.metric(PerfMetric::InternalDeleteSkippedCount);
    (rows.into_iter().next().map(|(key, _)| key), passed)
}

/// Makes the state of `from` that of `to`.
pub(crate) fn install<S: StateStore>(to: &S, from: &impl StateStore) -> Result<(), StorageError> {
    let received = receive_here(to, &from.checkpoint()?)?;
    to.install(to.prepare(received, &|_| Ok(()))?)
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::yield_now();
    }
}

/// Starts this binary again, to run only the test `name`, in `role`.
pub(crate) fn spawn(name: &str, role: &str, arguments: &[(&str, &Path)]) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.envs(arguments.iter().copied());
    command.spawn().expect("the child starts")
}

/// The role of this process, if it is a child.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

pub(crate) fn argument(name: &str) -> std::path::PathBuf {
    std::env::var_os(name).expect("the parent sets it").into()
}
