//! One suite for both stores, which must show the same in every line.
use std::fmt::Write as _;

use synod_abi::Direction;
use synod_machine::{RangeLimit, StateView, Table, Write};
use synod_storage::{Health, LogStore, MemoryStore, StateStore, StorageError, receive_here};

use crate::support::{all_rows, append, commit, flush, id, install, mark, open, payload, put, records};

/// Writes down what can be seen of a store, a line each time.
macro_rules! show {
    ($seen:ident, $($shown:expr),*) => {{
        $(write!($seen, "{:?} ", $shown).expect("a string grows");)*
        $seen.push('\n');
    }};
}

/// Runs the suite, and writes down everything that can be seen.
fn transcript<S: LogStore + StateStore>(store: S, reopen: impl Fn(S) -> S) -> String {
    let mut written = String::new();
    let seen = &mut written;
    show!(
        seen,
        "new",
        store.bounds(),
        store.vote(),
        store.committed(),
        store.applied(),
        store.read(0..100, 1_000)
    );
    append_and_truncate(&store, seen);
    let mut store = reopen(store);
    show!(seen, "reopened", store.bounds(), store.vote(), store.committed(), store.read(0..99, usize::MAX));
    store = purge(store, &reopen, seen);
    read_rows(&store, seen);
    exchange_snapshots(&store, seen);
    store = reopen(store);
    show!(
        seen,
        "goes on",
        store.applied(),
        all_rows(&store.view().expect("view")),
        store.bounds(),
        store.read(0..99, 99)
    );
    store = reopen(store);
    break_it(&store, seen);
    written
}

fn ok(result: Result<(), StorageError>) {
    result.expect("flushed");
}

fn append_and_truncate(store: &impl LogStore, seen: &mut String) {
    append(store, records(0, 20, 100));
    show!(
        seen,
        "appended",
        store.bounds(),
        store.read(0..5, 1),
        store.read(3..9, 350),
        store.read(15..99, usize::MAX),
        store.read(30..40, 10)
    );
    ok(flush(|flushed| store.append(Vec::new(), flushed)));
    ok(flush(|flushed| store.save_vote((*b"vote 1").into(), flushed)));
    store.save_committed(Some((*b"at 7").into()));
    show!(seen, "voted", store.vote(), store.committed());
    ok(flush(|flushed| store.truncate_from(12, flushed)));
    show!(seen, "cut", store.bounds(), store.read(0..99, usize::MAX));
    append(store, records(12, 3, 10));
    ok(flush(|flushed| store.truncate_from(99, flushed)));
}

fn purge<S: LogStore + StateStore>(mut store: S, reopen: &impl Fn(S) -> S, seen: &mut String) -> S {
    commit(&store, 5, 12);
    ok(flush(|flushed| store.purge(5, id(5), flushed)));
    show!(seen, "purged", store.bounds(), store.read(0..99, 300));
    ok(flush(|flushed| store.purge(9, id(9), flushed)));
    show!(seen, "purged ahead of the state", store.bounds(), store.read(0..99, 300));
    store = reopen(store);
    show!(seen, "is back", store.bounds(), store.read(0..99, 300));
    ok(flush(|flushed| store.purge(9, id(9), flushed)));
    ok(flush(|flushed| store.purge(3, id(3), flushed)));
    commit(&store, 9, 12);
    store = reopen(store);
    show!(seen, "is gone", store.bounds(), store.read(0..99, 300), store.applied());
    show!(
        seen,
        "waits for nothing",
        store.wait_durable(3),
        store.wait_durable(14),
        store.wait_durable(1_000)
    );
    store
}

fn read_rows(store: &impl StateStore, seen: &mut String) {
    let writes = [
        put(Table::State, "a", "1"),
        put(Table::State, "ab", "2"),
        put(Table::State, "b", "3"),
        put(Table::Events, "a", "event"),
        Write::Put { table: Table::State, key: vec![255, 255, 1], value: b"high".to_vec() },
        Write::Delete { table: Table::State, key: b"b".to_vec() },
        Write::DeletePrefix { table: Table::State, prefix: b"row".to_vec() },
        put(Table::State, "row-after", "4"),
    ];
    store.commit(&writes, &mark(14)).expect("commit");
    let view = store.view().expect("view");
    let latest = store.latest().expect("latest");
    let row = RangeLimit { rows: 1, bytes: 1_000 };
    for direction in [Direction::Forward, Direction::Backward] {
        show!(
            seen,
            view.range(Table::State, b"", b"", direction, row),
            view.range(Table::State, b"a", b"b", direction, row)
        );
        show!(seen, view.range(Table::State, b"a", b"b", direction, RangeLimit { rows: 9, bytes: 4 }));
        show!(seen, view.range(Table::State, b"", b"", direction, RangeLimit { rows: 0, bytes: 0 }));
        show!(
            seen,
            view.range(Table::State, b"b", b"a", direction, row),
            view.range(Table::State, b"b", b"b", direction, row)
        );
        show!(seen, view.range(Table::State, b"ab", b"", direction, RangeLimit { rows: 9, bytes: 900 }));
    }
    let prefix = Write::DeletePrefix { table: Table::State, prefix: vec![255, 255] };
    store.commit(&[prefix, put(Table::State, "a", "9")], &mark(15)).expect("commit");
    show!(seen, "before", view.get(Table::State, b"a"), view.get(Table::State, b"nothing"), all_rows(&view));
    show!(seen, "after", latest.get(Table::State, b"a"), all_rows(&latest));
    drop((view, latest));
}

fn exchange_snapshots<S: LogStore + StateStore>(store: &S, seen: &mut String) {
    let checkpoint = store.checkpoint().expect("made");
    show!(seen, "snapshot", checkpoint.manifest().mark, checkpoint.handles());
    store.commit(&[put(Table::State, "late", "row")], &mark(16)).expect("commit");
    let received = receive_here(store, &checkpoint).expect("received");
    let before = store.view().expect("view");
    let refused = store.prepare(received, &|_| Err("no".to_owned())).map(drop);
    show!(seen, "refused", matches!(refused, Err(StorageError::BadSnapshot(_))), store.applied());
    let received = receive_here(store, &checkpoint).expect("received");
    let rows = |view: &S::View| match all_rows(view).is_empty() {
        true => Err("it is empty".to_owned()),
        false => Ok(()),
    };
    store.install(store.prepare(received, &rows).expect("prepared")).expect("installed");
    show!(seen, "held", before.get(Table::State, b"late"));
    drop(before);
    show!(seen, "installed", store.applied(), all_rows(&store.view().expect("view")), store.bounds());
    drop(checkpoint);
    ok(flush(|flushed| store.purge(15, id(15), flushed)));
    show!(seen, "behind the log", store.bounds(), store.read(0..99, 99));
    append(store, vec![synod_storage::LogRecord { index: 16, bytes: payload(16, 1, 5) }]);
}

fn break_it<S: LogStore + StateStore>(store: &S, seen: &mut String) {
    show!(seen, matches!(store.health(), Health::Ready));
    let late = flush(|flushed| store.append(records(40, 1, 1), flushed));
    show!(
        seen,
        "out of order",
        matches!(late, Err(StorageError::Fatal(_))),
        matches!(store.health(), Health::Failed(_))
    );
    show!(
        seen,
        flush(|flushed| store.save_vote((*b"x").into(), flushed)).is_err(),
        store.bounds().is_err(),
        store.read(0..1, 1).is_err()
    );
    show!(seen, store.view().is_err(), store.commit(&[], &mark(17)).is_err(), store.checkpoint().is_err());
}

#[test]
fn both_stores_show_the_same() {
    let folder = tempfile::tempdir().expect("folder");
    let rocks = transcript(open(folder.path()), |store| {
        drop(store);
        open(folder.path())
    });
    let memory = transcript(MemoryStore::new(), |store| store.reopen());
    for (rocks, memory) in rocks.lines().zip(memory.lines()) {
        assert_eq!(rocks, memory);
    }
    assert_eq!(rocks, memory);
    assert!(!rocks.contains("Err("), "{rocks}");
}

#[test]
fn a_store_refuses_a_snapshot_of_the_other_kind_before_it_comes() {
    let folder = tempfile::tempdir().expect("folder");
    let (rocks, memory) = (open(folder.path()), MemoryStore::new());
    append(&rocks, records(0, 8, 10));
    commit(&rocks, 7, 100);
    commit(&memory, 7, 100);
    let refused = [install(&memory, &rocks), install(&rocks, &memory)];
    for refused in refused {
        let why = refused.expect_err("it cannot read the files").to_string();
        assert!(why.contains("members must run the same version of synod"), "{why}");
    }
    let other = MemoryStore::new();
    install(&other, &memory).expect("installed");
    assert!(all_rows(&other.view().expect("view")) == all_rows(&rocks.view().expect("view")));
}

#[test]
fn memory_loses_what_was_not_synced_in_the_order_of_the_log() {
    let store = MemoryStore::manual();
    let (flushed, first) = crate::support::callback();
    store.append(records(0, 1, 5), flushed);
    store.sync();
    first.try_recv().expect("called").expect("flushed");
    let (flushed, lost) = crate::support::callback();
    store.append(records(1, 1, 5), flushed);
    commit(&store, 1, 3);
    assert_eq!(store.flush().expect("queued").index, None, "not on disk yet");
    store.append(records(2, 1, 5), Box::new(|_| ()));
    assert_eq!((store.pending(), store.read(0..9, 99).expect("read").len()), (3, 3));
    let kept = store.crash(2);
    assert_eq!(
        (kept.read(0..9, 99).expect("read").len(), kept.applied().expect("applied").index),
        (2, Some(1))
    );
    assert!(lost.try_recv().is_err() && store.bounds().is_err());
    append_unsynced(&kept);
    let again = kept.crash(0);
    assert_eq!(again.bounds().expect("bounds").last.map(|last| last.index), Some(1));
}

#[test]
fn memory_goes_back_to_what_was_flushed_of_the_state() {
    let store = MemoryStore::manual();
    store.append(records(0, 3, 5), Box::new(|_| ()));
    commit(&store, 0, 3);
    store.flush().expect("queued");
    commit(&store, 2, 3);
    store.sync();
    assert_eq!(
        (store.applied().expect("applied").index, store.flush().expect("queued").index),
        (Some(2), Some(0))
    );
    let again = store.crash(0);
    assert_eq!(crate::support::assert_whole(&again, 3), Some(0));
    assert_eq!(again.bounds().expect("bounds").last.map(|last| last.index), Some(2));
}

fn append_unsynced(store: &MemoryStore) {
    store.append(records(2, 1, 5), Box::new(|_| ()));
}

#[test]
fn memory_holds_appends_back_while_it_is_full() {
    let store = MemoryStore::new();
    store.set_full(true);
    let (flushed, done) = crate::support::callback();
    store.append(records(0, 1, 5), flushed);
    assert!(matches!(store.health(), Health::Full) && done.try_recv().is_err());
    store.set_full(false);
    done.try_recv().expect("called").expect("flushed");
    assert!(matches!(store.health(), Health::Ready));
}
