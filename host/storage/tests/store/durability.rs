//! In which order things get to disk: the log before the state, the state before a purge, and what
//! was queued before a switch of generations before it.
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::sync::mpsc;

use synod_storage::{Flushed, LogRecord, LogStore, Receiving, StateStore, StorageError, receive_here};

use crate::support::{
    append, argument, assert_whole, callback, commit, flush, id, open, payload, records, role, spawn, until,
};

const ROWS: u64 = 12;
const ROUNDS: usize = 6;
const PURGE_EVERY: u64 = 40;

/// A callback that holds the log's writer up until the sender is dropped or sends.
fn gate() -> (Flushed, mpsc::Sender<()>) {
    let (open, wait) = mpsc::channel::<()>();
    let held: Flushed = Box::new(move |result: Result<(), StorageError>| {
        result.expect("flushed");
        let _ = wait.recv();
    });
    (held, open)
}

#[test]
fn the_state_waits_for_the_log() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    let (held, open) = gate();
    store.append(records(0, 1, 10), held);
    until("the writer is held up", || store.syncs() == 1);
    let (flushed, done) = callback();
    store.append(records(1, 1, 10), flushed);
    let committing = std::thread::spawn({
        let store = store.clone();
        move || commit(&store, 1, ROWS)
    });
    assert_eq!(assert_whole(&store, ROWS), None, "nothing is committed before its entry is on disk");
    assert!(!committing.is_finished() && done.try_recv().is_err());
    drop(open);
    committing.join().expect("committed");
    assert_eq!((assert_whole(&store, ROWS), store.syncs()), (Some(1), 2));
}

#[test]
fn a_flush_tells_how_far_the_state_is_on_disk() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    assert_eq!(store.flush().expect("flushed").index, None);
    append(&store, records(0, 9, 10));
    commit(&store, 8, ROWS);
    assert_eq!(store.flush().expect("flushed").index, Some(8));
}

/// As a child: appends, commits and purges right behind the state until it is killed.
#[test]
fn killed_while_it_purges_the_log_still_has_what_the_state_lacks() {
    if role().is_some() {
        return purge_for_ever(&argument("DIR"));
    }
    let folder = tempfile::tempdir().expect("folder");
    for round in 0..ROUNDS {
        let name = "durability::killed_while_it_purges_the_log_still_has_what_the_state_lacks";
        let mut child = spawn(name, "purger", &[("DIR", folder.path())]);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let told = lines.filter_map(|line| line.strip_prefix("purged ")?.parse::<u64>().ok());
        told.take(5 + 7 * round).last().expect("it purges");
        child.kill().expect("killed");
        child.wait().expect("reaped");

        let store = open(folder.path());
        let applied = assert_whole(&store, ROWS);
        let bounds = store.bounds().expect("bounds");
        let last = bounds.last.expect("records").index;
        let kept = store.read(0..u64::MAX, usize::MAX).expect("read");
        let first = kept.first().expect("records").index;
        assert!(kept.len() as u64 == last + 1 - first, "no hole between {first} and {last}");
        assert!(applied.is_none_or(|applied| first <= applied + 1 && applied <= last), "{applied:?}");
        (applied.map_or(0, |applied| applied + 1)..=last).for_each(|index| commit(&store, index, ROWS));
        assert_eq!(assert_whole(&store, ROWS), Some(last));
    }
}

fn purge_for_ever(root: &Path) {
    let store = open(root);
    let from = store.bounds().expect("bounds").last.map_or(0, |last| last.index + 1);
    for index in from.. {
        append(&store, vec![LogRecord { index, bytes: payload(index, 0, 300) }]);
        commit(&store, index, ROWS);
        if index % PURGE_EVERY == PURGE_EVERY - 1 {
            flush(|flushed| store.purge(index, id(index), flushed)).expect("purged");
            let mut out = std::io::stdout().lock();
            writeln!(out, "purged {index}").and_then(|()| out.flush()).expect("the parent listens");
        }
    }
}

/// A snapshot of another member's state at 10, received.
fn foreign<S: StateStore>(store: &S) -> Receiving {
    let folder = tempfile::tempdir().expect("folder");
    let other = open(folder.path());
    append(&other, records(0, 11, 10));
    commit(&other, 10, ROWS);
    receive_here(store, &other.checkpoint().expect("made")).expect("received")
}

fn install<S: StateStore>(store: &S, received: Receiving) {
    let incoming = store.prepare(received, &|_| Ok(())).expect("prepared");
    store.install(incoming).expect("installed");
}

#[test]
fn a_truncation_that_was_queued_before_a_switch_comes_before_it() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    append(&store, records(0, 8, 10));
    let (held, gate) = gate();
    store.append(records(8, 1, 10), held);
    until("the writer is held up", || store.syncs() == 2);
    store.truncate_from(5, Box::new(|result| result.expect("flushed")));
    let received = foreign(&store);
    let installing = std::thread::spawn({
        let store = store.clone();
        move || install(&store, received)
    });
    until("the log begins behind the snapshot", || store.bounds().expect("bounds").purged.is_some());
    assert_eq!(store.applied().expect("applied").index, None, "the switch waits for what is queued");
    store.append(records(11, 2, 10), Box::new(|result| result.expect("flushed")));
    drop(gate);
    installing.join().expect("installed");
    drop(store);
    let store = open(folder.path());
    assert_eq!(assert_whole(&store, ROWS), Some(10));
    assert_eq!(store.read(0..99, usize::MAX).expect("read"), records(11, 2, 10));
}

#[test]
fn a_log_that_has_the_snapshots_entry_keeps_what_follows_it() {
    for same in [true, false] {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        append(&store, records(0, 10, 10));
        let id = if same { payload(10, 0, 10) } else { (*b"other").into() };
        append(&store, vec![LogRecord { index: 10, bytes: id }]);
        append(&store, records(11, 3, 10));
        install(&store, foreign(&store));
        let left = if same { records(11, 3, 10) } else { Vec::new() };
        assert_eq!(store.read(0..99, usize::MAX).expect("read"), left);
        drop(store);
        let store = open(folder.path());
        assert_eq!(store.read(0..99, usize::MAX).expect("read"), left);
        assert_eq!(store.bounds().expect("bounds").purged, Some(crate::support::id(10)));
        assert_eq!(assert_whole(&store, ROWS), Some(10));
    }
}

#[test]
fn records_behind_a_purge_beyond_the_end_are_never_there_without_its_mark() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    append(&store, records(0, 3, 10));
    let (held, gate) = gate();
    store.append(records(3, 1, 10), held);
    until("the writer is held up", || store.syncs() == 2);
    store.purge(20, id(20), Box::new(|result| result.expect("flushed")));
    let (flushed, done) = callback();
    store.append(records(21, 1, 10), flushed);
    drop(gate);
    done.recv().expect("called").expect("flushed");
    assert_eq!(store.syncs(), 3, "one batch holds both");
    assert_eq!(store.bounds().expect("bounds").purged, Some(id(20)));
}
