//! Processes that are killed, and write-ahead logs that are damaged.
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use synod_storage::{LogRecord, LogStore, RocksStore, StateStore, StorageError};

use crate::support::{
    append, argument, assert_whole, commit, flush, open, payload, records, role, small, spawn,
};

const ROWS: u64 = 12;
const ROUNDS: u64 = 8;
const ACKNOWLEDGED_BEFORE_KILL: usize = 400;

/// As a child: appends and commits until it is killed, and says what is on disk.
#[test]
fn every_flushed_record_is_there_after_kill_9() {
    if role().is_some() {
        return append_for_ever(&argument("DIR"));
    }
    let folder = tempfile::tempdir().expect("folder");
    let mut acknowledged = None;
    for round in 0..ROUNDS {
        let mut child =
            spawn("crash::every_flushed_record_is_there_after_kill_9", "appender", &[("DIR", folder.path())]);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let told = lines.filter_map(|line| line.strip_prefix("on disk ")?.parse::<u64>().ok());
        acknowledged = told.take(ACKNOWLEDGED_BEFORE_KILL + 37 * round as usize).last().max(acknowledged);
        child.kill().expect("killed");
        child.wait().expect("reaped");

        let store = open(folder.path());
        let last = store.bounds().expect("bounds").last.expect("records").index;
        assert!(
            acknowledged.is_some_and(|acknowledged| acknowledged <= last),
            "{acknowledged:?} was acknowledged, {last} is there"
        );
        let read = store.read(0..u64::MAX, usize::MAX).expect("read");
        assert_eq!(read.len() as u64, last + 1);
        assert!(read.iter().all(|record| record.bytes.starts_with(format!("{}/", record.index).as_bytes())));
        let applied = assert_whole(&store, ROWS);
        assert!(applied <= Some(last), "the state, {applied:?}, is ahead of the log, {last}");
    }
}

fn append_for_ever(root: &Path) {
    let store = open(root);
    let from = store.bounds().expect("bounds").last.map_or(0, |last| last.index + 1);
    for index in from.. {
        let record = LogRecord { index, bytes: payload(index, 0, (index % 700) as usize) };
        store.append(
            vec![record],
            Box::new(move |result| {
                result.expect("flushed");
                let mut out = std::io::stdout().lock();
                writeln!(out, "on disk {index}").and_then(|()| out.flush()).expect("the parent listens");
            }),
        );
        commit(&store, index, ROWS);
    }
}

/// A store with records whose write-ahead log is not in table files.
fn with_wal(count: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    for index in 0..count {
        append(&store, records(index, 1, 200));
    }
    drop(store);
    let wal = std::fs::read_dir(folder.path().join("log"))
        .expect("listed")
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let wal = wal.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let wal =
        wal.max_by_key(|path| path.metadata().map(|of| of.len()).unwrap_or_default()).expect("there is one");
    assert!(wal.metadata().expect("metadata").len() > 200 * count);
    (folder, wal)
}

#[test]
fn a_torn_last_write_is_dropped_and_the_rest_is_there() {
    for cut in [1, 50, 3_000] {
        let (folder, wal) = with_wal(100);
        let file = OpenOptions::new().write(true).open(&wal).expect("opened");
        let length = file.metadata().expect("metadata").len();
        file.set_len(length - cut).expect("cut");
        // A write is torn by a power cut, and then the watermark was not written back either.
        std::fs::remove_file(folder.path().join("WATERMARK")).expect("removed");
        let store = open(folder.path());
        let read = store.read(0..1_000, usize::MAX).expect("read");
        let lost = 100 - read.len() as u64;
        assert!(lost >= 1 && lost <= 1 + cut / 200, "{lost} lost by cutting {cut} bytes");
        assert_eq!(read, records(0, read.len() as u64, 200));
        append(&store, records(read.len() as u64, 3, 10));
    }
}

#[test]
fn a_flipped_bit_in_the_log_is_refused() {
    for place in [30, 50, 90] {
        let (folder, wal) = with_wal(100);
        let file = OpenOptions::new().read(true).write(true).open(&wal).expect("opened");
        let at = file.metadata().expect("metadata").len() * place / 100;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("read");
        file.write_all_at(&[byte[0] ^ 4], at).expect("written");
        match RocksStore::open(folder.path(), &small()) {
            Err(StorageError::Fatal(message)) => assert!(message.contains("--replace-lost"), "{message}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("opened with a flipped bit at {place} %"),
        }
    }
}

#[test]
fn appends_are_written_in_few_syncs_and_called_back_newest_first() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    let (sender, receiver) = std::sync::mpsc::channel();
    let held = store.clone();
    let (gate, wait) = std::sync::mpsc::channel::<()>();
    store.append(records(0, 1, 10), Box::new(move |_| wait.recv().expect("opened")));
    crate::support::until("the first record is written", || held.syncs() == 1);
    for index in 1..=100 {
        let sender = sender.clone();
        store.append(records(index, 1, 10), Box::new(move |_| sender.send(index).expect("heard")));
    }
    assert_eq!(store.read(0..200, usize::MAX).expect("read").len(), 101, "readable on return");
    gate.send(()).expect("opened");
    let order: Vec<u64> = receiver.iter().take(100).collect();
    assert_eq!(order, (1..=100).rev().collect::<Vec<_>>());
    assert_eq!(store.syncs(), 2);
    store.close();
    assert!(flush(|flushed| store.append(records(101, 1, 1), flushed)).is_err());
    assert!(store.view().is_err());
}
