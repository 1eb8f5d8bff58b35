//! Stretches of deleted rows that ranges stepped over are compacted in the background, though
//! nothing more is written.
use synod_abi::Direction;
use synod_machine::{StateView, Table, Write};
use synod_storage::{AppliedMark, RocksOptions, RocksStore, StateStore};

use crate::support::{end_of_queue, queue_key as key, until};

const ROWS: u32 = 30_000;

fn put(n: u32) -> Write {
    Write::Put { table: Table::State, key: key(n), value: vec![n as u8; 8] }
}

fn delete(n: u32) -> Write {
    Write::Delete { table: Table::State, key: key(n) }
}

fn commit(store: &RocksStore, writes: impl IntoIterator<Item = Write>) {
    let writes: Vec<Write> = writes.into_iter().collect();
    store.commit(&writes, &AppliedMark::default()).expect("they are written");
}

/// A store whose buffers hold all rows of a test: nothing is flushed by itself. It has the rows of
/// a queue, and rows before and behind it.
fn filled(root: &std::path::Path) -> RocksStore {
    let options = RocksOptions { reserve_bytes: 0, ..RocksOptions::default() };
    let store = RocksStore::open(root, &options).expect("the store opens");
    let around = [b"queue".to_vec(), b"queue0".to_vec()];
    commit(&store, around.map(|key| Write::Put { table: Table::State, key, value: b"neighbour".to_vec() }));
    commit(&store, (0..ROWS).map(put));
    store
}

fn assert_neighbours(store: &RocksStore) {
    let view = store.view().expect("it is open");
    for key in [b"queue".as_slice(), b"queue0"] {
        assert_eq!(view.get(Table::State, key).expect("it is read").as_deref(), Some(&b"neighbour"[..]));
    }
}

#[test]
fn what_a_walk_stepped_over_is_compacted_and_not_stepped_over_again() {
    for direction in [Direction::Forward, Direction::Backward] {
        let root = tempfile::tempdir().expect("a folder");
        let store = filled(root.path());
        let left = if direction == Direction::Forward { ROWS - 1 } else { 0 };
        commit(&store, (0..ROWS).filter(|n| *n != left).map(delete));
        let walked = end_of_queue(&store.latest().expect("it is open"), direction);
        assert_eq!(walked, (Some(key(left)), u64::from(ROWS) - 1));
        until("it is compacted", || store.compactions() == 1);
        let (found, passed) = end_of_queue(&store.view().expect("it is open"), direction);
        assert_eq!(found, Some(key(left)));
        assert!(passed < 100, "{passed} deleted rows were stepped over again");
        assert_neighbours(&store);
    }
}

#[test]
fn what_a_view_of_a_moment_stepped_over_is_compacted_once_it_is_gone() {
    let root = tempfile::tempdir().expect("a folder");
    let store = filled(root.path());
    commit(&store, (0..ROWS).map(delete));
    let view = store.view().expect("it is open");
    assert_eq!(end_of_queue(&view, Direction::Forward), (None, u64::from(ROWS)));
    drop(view);
    until("it is compacted", || store.compactions() == 1);
    let (found, passed) = end_of_queue(&store.view().expect("it is open"), Direction::Forward);
    assert_eq!(found, None);
    assert!(passed < 100, "{passed} deleted rows were stepped over again");
    assert_neighbours(&store);
}

#[test]
fn rows_that_are_taken_out_a_few_at_a_time_are_compacted_when_they_were_many() {
    let root = tempfile::tempdir().expect("a folder");
    let store = filled(root.path());
    for part in 0..ROWS / 1_000 - 1 {
        let (found, passed) = end_of_queue(&store.latest().expect("it is open"), Direction::Forward);
        assert_eq!(found, Some(key(part * 1_000)));
        assert!(passed <= 1_000, "{passed} deleted rows were stepped over again");
        commit(&store, (part * 1_000..(part + 1) * 1_000).map(delete));
    }
    until("it is compacted", || store.compactions() == 1);
    let (found, passed) = end_of_queue(&store.view().expect("it is open"), Direction::Forward);
    assert_eq!(found, Some(key(ROWS - 1_000)));
    assert!(passed < u64::from(ROWS) / 2, "{passed} deleted rows were stepped over again");
}

#[test]
fn a_store_closes_while_a_stretch_waits_or_is_compacted() {
    let root = tempfile::tempdir().expect("a folder");
    for _ in 0..3 {
        let store = filled(root.path());
        commit(&store, (0..ROWS).map(delete));
        end_of_queue(&store.latest().expect("it is open"), Direction::Forward);
        store.close();
        drop(store);
    }
    let store = filled(root.path());
    assert_eq!(end_of_queue(&store.latest().expect("it is open"), Direction::Forward).0, Some(key(0)));
}
