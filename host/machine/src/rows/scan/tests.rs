//! A scan hands out every row of its range once, in order, however many pages they take.
use super::{PAGE, Scan};
use crate::{MemoryState, StateView, Table, Write};

fn state(rows: u32) -> MemoryState {
    let mut state = MemoryState::default();
    for n in 0..rows {
        let key = [b"k".as_slice(), &n.to_be_bytes()].concat();
        state.commit(&[Write::Put { table: Table::State, key, value: Vec::new() }]);
    }
    state.commit(&[Write::Put { table: Table::State, key: b"l".to_vec(), value: Vec::new() }]);
    state
}

fn keys(mut scan: Scan, view: &impl StateView) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    while let Some(rows) = scan.next_page(view).unwrap() {
        assert!(!rows.is_empty() && rows.len() <= PAGE.rows);
        keys.extend(rows.into_iter().map(|(key, _)| key));
    }
    assert!(!scan.has_more());
    keys
}

#[test]
fn every_row_of_the_range_comes_once() {
    for rows in [0, 1, PAGE.rows, PAGE.rows + 1, 2 * PAGE.rows] {
        let state = state(rows as u32);
        let found = keys(Scan::prefix(Table::State, b"k".to_vec()), &state);
        assert_eq!(found.len(), rows);
        assert!(found.is_sorted());
    }
}

#[test]
fn a_range_without_an_end_reads_the_rest_of_the_table() {
    assert_eq!(keys(Scan::range(Table::State, Vec::new(), Vec::new()), &state(3)).len(), 4);
}

#[test]
fn rows_may_be_deleted_between_pages() {
    let mut state = state(PAGE.rows as u32 + 5);
    let mut scan = Scan::prefix(Table::State, b"k".to_vec());
    let mut seen = 0;
    while let Some(rows) = scan.next_page(&state).unwrap() {
        seen += rows.len();
        let delete = |(key, _)| Write::Delete { table: Table::State, key };
        state.commit(&rows.into_iter().map(delete).collect::<Vec<_>>());
    }
    assert_eq!((seen, state.rows(Table::State).count()), (PAGE.rows + 5, 1));
}
