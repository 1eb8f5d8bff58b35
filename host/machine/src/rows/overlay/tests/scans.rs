//! What repeated scans over deleted rows read of the store: counted, because time is not exact.
use core::cell::Cell;

use super::*;
use crate::ports::Fatal;

/// Rows in memory, and how often and how much of them was read by ranges.
#[derive(Default)]
struct Counted {
    state: MemoryState,
    ranges: Cell<usize>,
    rows: Cell<usize>,
}

impl StateView for Counted {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        self.state.get(table, key)
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        let found = self.state.range(table, from, to, direction, limit)?;
        self.ranges.set(self.ranges.get() + 1);
        self.rows.set(self.rows.get() + found.0.len());
        Ok(found)
    }
}

fn row(n: usize) -> Vec<u8> {
    format!("k{n:06}").into_bytes()
}

/// So many committed rows, none of them changed.
fn rows(count: usize) -> (Overlay, Counted) {
    let mut counted = Counted::default();
    let rows = (0..count).map(|n| (row(n), vec![7; 20])).collect();
    counted.state.commit(&puts(&rows));
    (Overlay::default(), counted)
}

/// The first row from the end that `direction` names, as a recipe asks for it.
fn first(overlay: &Overlay, view: &Counted, direction: Direction) -> Option<Vec<u8>> {
    let mut found = None;
    let limit = RangeLimit { rows: 2, bytes: 1_024 };
    let wanted = Range { table: Table::State, from: b"k", to: b"l", direction, limit };
    overlay
        .range(view, wanted, |key, _| {
            let wanted = found.is_none();
            found.get_or_insert_with(|| key.to_vec());
            wanted
        })
        .unwrap();
    found
}

#[test]
fn asking_again_for_the_first_row_does_not_read_what_was_deleted_before_it() {
    let (mut overlay, view) = rows(6_100);
    (0..6_000).for_each(|n| overlay.delete(Table::State, &row(n)));
    for _ in 0..5_000 {
        assert_eq!(first(&overlay, &view, Direction::Forward), Some(row(6_000)));
    }
    assert!(view.ranges.get() < 2 * 5_000 + 200, "{} ranges", view.ranges.get());
    assert!(view.rows.get() < 3 * 5_000 + 2 * 6_000, "{} rows", view.rows.get());
}

#[test]
fn taking_one_row_after_another_reads_each_a_few_times() {
    for direction in [Direction::Forward, Direction::Backward] {
        let (mut overlay, view) = rows(4_000);
        let mut taken = 0;
        while let Some(key) = first(&overlay, &view, direction) {
            overlay.delete(Table::State, &key);
            taken += 1;
        }
        assert_eq!(taken, 4_000);
        assert!(view.ranges.get() < 4 * 4_000, "{direction:?}: {} ranges", view.ranges.get());
        assert!(view.rows.get() < 12 * 4_000, "{direction:?}: {} rows", view.rows.get());
    }
}

#[test]
fn a_scan_over_deleted_rows_reads_many_at_a_time() {
    let (mut overlay, view) = rows(6_000);
    (0..6_000).for_each(|n| overlay.delete(Table::State, &row(n)));
    assert_eq!(first(&overlay, &view, Direction::Forward), None);
    assert!(view.ranges.get() < 6_000 / 64 + 10, "{} ranges", view.ranges.get());
}

#[test]
fn what_a_rolled_back_command_learnt_is_forgotten_and_what_was_known_before_is_not() {
    let (mut overlay, view) = rows(3_000);
    (0..1_000).for_each(|n| overlay.delete(Table::State, &row(n)));
    assert_eq!(first(&overlay, &view, Direction::Forward), Some(row(1_000)));
    let read_before = view.rows.get();
    for _ in 0..1_000 {
        let savepoint = overlay.savepoint();
        (1_000..1_020).for_each(|n| overlay.delete(Table::State, &row(n)));
        overlay.put(Table::State, &row(500), vec![1]);
        assert_eq!(first(&overlay, &view, Direction::Forward), Some(row(500)));
        overlay.delete(Table::State, &row(500));
        assert_eq!(first(&overlay, &view, Direction::Forward), Some(row(1_020)));
        overlay.rollback(savepoint);
        assert_eq!(first(&overlay, &view, Direction::Forward), Some(row(1_000)));
    }
    let read = view.rows.get() - read_before;
    assert!(read < 1_000 * 150, "{read} rows");
}
