//! Rows that are taken out one after the other, always the smallest: what was taken before is
//! stepped over once, and its space is freed without more being written.
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use synod_abi::Direction;
use synod_machine::{RangeLimit, StateView, Table, Write};
use synod_storage::{AppliedMark, RocksStore, StateStore};

use crate::support::{end_of_queue, open, queue_key as key, until};

const ROWS: u32 = 5_000;

fn put(n: u32, bytes: usize) -> Write {
    Write::Put { table: Table::State, key: key(n), value: vec![n as u8; bytes] }
}

fn delete(n: u32) -> Write {
    Write::Delete { table: Table::State, key: key(n) }
}

fn commit(store: &RocksStore, writes: &[Write]) {
    store.commit(writes, &AppliedMark::default()).expect("they are written");
}

/// The first row of the queue, and how many deleted ones were stepped over to find it.
fn first(view: &impl StateView) -> (Option<Vec<u8>>, u64) {
    end_of_queue(view, Direction::Forward)
}

#[test]
fn the_thread_that_writes_steps_over_what_it_deleted_once() {
    let root = tempfile::tempdir().expect("a folder");
    let store = open(root.path());
    commit(&store, &(0..ROWS).map(|n| put(n, 8)).collect::<Vec<_>>());
    let before = store.view().expect("it is open");
    let mut passed = 0;
    for n in 0..ROWS {
        let (found, deleted) = first(&store.latest().expect("it is open"));
        assert_eq!(found, Some(key(n)));
        passed += deleted;
        commit(&store, &[delete(n)]);
    }
    assert!(passed < u64::from(ROWS) * 40, "{passed} deleted rows were stepped over");
    assert_eq!(first(&store.latest().expect("it is open")).0, None);
    assert_eq!(first(&before).0, Some(key(0)), "a view of a former moment sees what was there");
    let (found, deleted) = first(&store.view().expect("it is open"));
    assert_eq!((found, deleted >= u64::from(ROWS)), (None, true), "and one of the present steps over all");
    commit(&store, &[put(7, 8), put(3, 8)]);
    assert_eq!(first(&store.latest().expect("it is open")).0, Some(key(3)), "rows that come again are found");
    commit(&store, &[delete(3)]);
    assert_eq!(first(&store.latest().expect("it is open")).0, Some(key(7)));
}

#[test]
fn the_thread_that_writes_steps_over_what_it_deleted_once_from_the_other_end_too() {
    let root = tempfile::tempdir().expect("a folder");
    let store = open(root.path());
    let last = || end_of_queue(&store.latest().expect("it is open"), Direction::Backward);
    commit(&store, &(0..ROWS).map(|n| put(n, 8)).collect::<Vec<_>>());
    commit(&store, &(1..ROWS).map(delete).collect::<Vec<_>>());
    assert!(last().1 >= u64::from(ROWS) - 1, "the first time it walks");
    assert_eq!(last(), (Some(key(0)), 0));
    commit(&store, &[put(9, 8)]);
    assert_eq!(last().0, Some(key(9)), "a row that comes again is found");
    commit(&store, &[delete(9), delete(0)]);
    assert_eq!(last().0, None);
    assert!(last().1 < 32, "nothing is left to walk");
    commit(&store, &[put(ROWS, 8)]);
    assert_eq!(last().0, Some(key(ROWS)));
}

/// The rows of the queue from the end that `direction` names, and how many deleted ones were
/// stepped over to find them.
fn all(store: &RocksStore, direction: Direction) -> (Vec<Vec<u8>>, u64) {
    let view = store.latest().expect("it is open");
    let limit = RangeLimit { rows: 64, bytes: usize::MAX };
    let mut counters = PerfContext::default();
    set_perf_stats(PerfStatsLevel::EnableCount);
    counters.reset();
    let (rows, _) = view.range(Table::State, b"queue/", b"queue0", direction, limit).expect("it can be read");
    let passed = counters.metric(PerfMetric::InternalDeleteSkippedCount);
    (rows.into_iter().map(|(key, _)| key).collect(), passed)
}

#[test]
fn what_is_deleted_in_the_middle_of_a_range_is_stepped_over_once() {
    for direction in [Direction::Forward, Direction::Backward] {
        let root = tempfile::tempdir().expect("a folder");
        let store = open(root.path());
        let kept = |n: &u32| n.is_multiple_of(1_000);
        commit(&store, &(0..ROWS).map(|n| put(n, 8)).collect::<Vec<_>>());
        commit(&store, &(0..ROWS).filter(|n| !kept(n)).map(delete).collect::<Vec<_>>());
        let expected = |extra: &[u32]| -> Vec<Vec<u8>> {
            let mut rows: Vec<u32> = (0..ROWS).filter(kept).chain(extra.iter().copied()).collect();
            rows.sort_unstable();
            if direction == Direction::Backward {
                rows.reverse();
            }
            rows.into_iter().map(key).collect()
        };
        let (rows, passed) = all(&store, direction);
        assert_eq!((rows, passed >= u64::from(ROWS) - 5), (expected(&[]), true), "the first time it walks");
        let (rows, passed) = all(&store, direction);
        assert_eq!(rows, expected(&[]));
        assert!(passed < 64, "{passed} deleted rows were stepped over again");
        commit(&store, &[put(1_500, 8), put(3_001, 8), put(4_999, 8)]);
        assert_eq!(
            all(&store, direction).0,
            expected(&[1_500, 3_001, 4_999]),
            "rows that come again are found"
        );
        commit(&store, &[delete(1_500), delete(2_000)]);
        let without: Vec<_> =
            expected(&[3_001, 4_999]).into_iter().filter(|row| *row != key(2_000)).collect();
        assert_eq!(all(&store, direction).0, without);
        let (rows, passed) = all(&store, direction);
        assert_eq!(rows, without);
        assert!(passed < 64, "{passed} deleted rows were stepped over again");
    }
}

/// More than a table of the small store keeps in memory, so that rows and deletions are in files.
#[test]
fn files_of_deletions_are_compacted_without_further_writes() {
    let root = tempfile::tempdir().expect("a folder");
    let store = open(root.path());
    let chunk =
        |from: u32, write: &dyn Fn(u32) -> Write| -> Vec<Write> { (from..from + 500).map(write).collect() };
    for from in (0..ROWS).step_by(500) {
        commit(&store, &chunk(from, &|n| put(n, 1_000)));
    }
    for from in (0..ROWS).step_by(500) {
        commit(&store, &chunk(from, &delete));
    }
    store.close();
    drop(store);
    let store = open(root.path());
    until("the deletions are compacted away", || {
        let (found, passed) = first(&store.view().expect("it is open"));
        assert_eq!(found, None);
        passed < 256
    });
}
