//! One suite for both stores; they must tell the same story.
use std::fmt::Write as _;

use synod_abi::{ClusterId, Direction, MemberId};
use synod_machine::{RangeLimit, StateView, Table, Write};
use synod_storage::{Health, LogStore, MemoryStore, MetaStore, StateStore, StorageError};

use crate::support::{all_rows, append, commit, flush, id, mark, open, payload, put, records};

/// Runs the suite, and writes down everything that can be seen.
fn story<S: LogStore + StateStore + MetaStore>(mut store: S, reopen: impl Fn(S) -> S) -> String {
    let mut told = String::new();
    macro_rules! tell {
        ($($said:expr),*) => {{ $(write!(told, "{:?} ", $said).expect("told");)* told.push('\n'); }};
    }
    let ok = |result: Result<(), StorageError>| result.expect("flushed");
    tell!("new", store.bounds(), store.vote(), store.committed(), store.applied(), store.read(0..100, 1_000));
    tell!("identity", store.incarnation(), store.cluster_id(), store.member_id(), store.meta_get("k"));

    append(&store, records(0, 20, 100));
    tell!(
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
    tell!("voted", store.vote(), store.committed());
    ok(flush(|flushed| store.truncate_from(12, flushed)));
    tell!("cut", store.bounds(), store.read(0..99, usize::MAX));
    append(&store, records(12, 3, 10));
    ok(flush(|flushed| store.truncate_from(99, flushed)));
    store = reopen(store);
    tell!(
        "reopened",
        store.incarnation(),
        store.bounds(),
        store.vote(),
        store.committed(),
        store.read(0..99, usize::MAX)
    );

    commit(&store, 5, 12);
    ok(flush(|flushed| store.purge(5, id(5), flushed)));
    tell!("purged", store.bounds(), store.read(0..99, 300));
    ok(flush(|flushed| store.purge(9, id(9), flushed)));
    tell!("purged ahead of the state", store.bounds(), store.read(0..99, 300));
    store = reopen(store);
    tell!("is back", store.bounds(), store.read(0..99, 300));
    ok(flush(|flushed| store.purge(9, id(9), flushed)));
    ok(flush(|flushed| store.purge(3, id(3), flushed)));
    commit(&store, 9, 12);
    store = reopen(store);
    tell!("is gone", store.bounds(), store.read(0..99, 300), store.applied());
    tell!("waits for nothing", store.wait_written(3), store.wait_written(14), store.wait_written(1_000));

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
        tell!(
            view.range(Table::State, b"", b"", direction, row),
            view.range(Table::State, b"a", b"b", direction, row)
        );
        tell!(view.range(Table::State, b"a", b"b", direction, RangeLimit { rows: 9, bytes: 4 }));
        tell!(view.range(Table::State, b"", b"", direction, RangeLimit { rows: 0, bytes: 0 }));
        tell!(
            view.range(Table::State, b"b", b"a", direction, row),
            view.range(Table::State, b"b", b"b", direction, row)
        );
        tell!(view.range(Table::State, b"ab", b"", direction, RangeLimit { rows: 9, bytes: 900 }));
    }
    store
        .commit(
            &[
                Write::DeletePrefix { table: Table::State, prefix: vec![255, 255] },
                put(Table::State, "a", "9"),
            ],
            &mark(15),
        )
        .expect("commit");
    tell!("before", view.get(Table::State, b"a"), view.get(Table::State, b"nothing"), all_rows(&view));
    tell!("after", latest.get(Table::State, b"a"), all_rows(&latest));
    drop((view, latest));

    let snapshot = store.build_snapshot().expect("built");
    tell!(
        "snapshot",
        snapshot.meta,
        snapshot.length_bytes,
        std::fs::read(&snapshot.path).map(|bytes| bytes.len()).ok()
    );
    store.commit(&[put(Table::State, "late", "row")], &mark(16)).expect("commit");
    let received = store.receive_path().expect("path");
    std::fs::copy(&snapshot.path, &received).expect("copied");
    let received = store.open_snapshot(&received).expect("received");
    let before = store.view().expect("view");
    store.install_snapshot(&received).expect("installed");
    tell!("held", before.get(Table::State, b"late"));
    drop(before);
    tell!("installed", store.applied(), all_rows(&store.view().expect("view")), store.bounds());
    drop((snapshot, received));
    ok(flush(|flushed| store.purge(15, id(15), flushed)));
    tell!("behind the log", store.bounds(), store.read(0..99, 99));
    append(&store, vec![synod_storage::LogRecord { index: 16, bytes: payload(16, 1, 5) }]);
    store = reopen(store);
    tell!(
        "goes on",
        store.applied(),
        all_rows(&store.view().expect("view")),
        store.bounds(),
        store.read(0..99, 99)
    );

    ok(store.set_cluster_id(ClusterId([7; 16])).and_then(|()| store.set_cluster_id(ClusterId([7; 16]))));
    ok(store.set_member_id(MemberId(3)).and_then(|()| store.meta_put("k", b"v")));
    tell!(matches!(store.set_cluster_id(ClusterId([8; 16])), Err(StorageError::Unusable(_))));
    tell!(matches!(store.set_member_id(MemberId(4)), Err(StorageError::Unusable(_))));
    store = reopen(store);
    tell!("remembers", store.incarnation(), store.cluster_id(), store.member_id(), store.meta_get("k"));
    tell!(matches!(store.health(), Health::Ready));
    let late = flush(|flushed| store.append(records(40, 1, 1), flushed));
    tell!(
        "out of order",
        matches!(late, Err(StorageError::Fatal(_))),
        matches!(store.health(), Health::Failed(_))
    );
    tell!(
        flush(|flushed| store.save_vote((*b"x").into(), flushed)).is_err(),
        store.bounds().is_err(),
        store.read(0..1, 1).is_err()
    );
    tell!(store.view().is_err(), store.commit(&[], &mark(17)).is_err(), store.build_snapshot().is_err());
    told
}

#[test]
fn both_stores_tell_the_same_story() {
    let folder = tempfile::tempdir().expect("folder");
    let rocks = story(open(folder.path()), |store| {
        drop(store);
        open(folder.path())
    });
    let memory = story(MemoryStore::new(), |store| store.reopen());
    for (rocks, memory) in rocks.lines().zip(memory.lines()) {
        assert_eq!(rocks, memory);
    }
    assert_eq!(rocks, memory);
    assert!(!rocks.contains("Err("), "{rocks}");
}

#[test]
fn snapshots_go_from_one_store_to_the_other() {
    let folder = tempfile::tempdir().expect("folder");
    let (rocks, memory) = (open(folder.path()), MemoryStore::new());
    append(&rocks, records(0, 8, 10));
    commit(&rocks, 7, 1_000);
    memory.install_snapshot(&rocks.build_snapshot().expect("built")).expect("installed");
    assert_eq!(all_rows(&memory.view().expect("view")), all_rows(&rocks.view().expect("view")));
    commit(&memory, 8, 500);
    let back = memory.build_snapshot().expect("built");
    rocks.install_snapshot(&back).expect("installed");
    assert_eq!(all_rows(&memory.view().expect("view")), all_rows(&rocks.view().expect("view")));
    assert_eq!(rocks.build_snapshot().expect("built").meta, back.meta);
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
    assert_eq!(again.incarnation(), 3);
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
