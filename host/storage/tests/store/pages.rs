//! Ranges that are read page by page: one iterator is opened for all pages, and shows the rows that
//! a new one would.
use std::time::Instant;

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use synod_abi::Direction;
use synod_machine::{RangeLimit, StateView, Table, Write};
use synod_storage::{AppliedMark, RocksStore, StateStore};

use crate::support::open;

const ROWS: u32 = 100_000;
const PAGE: RangeLimit = RangeLimit { rows: 64, bytes: usize::MAX };

fn key(n: u32) -> Vec<u8> {
    [b"row/".as_slice(), &n.to_be_bytes()].concat()
}

fn put(n: u32) -> Write {
    Write::Put { table: Table::State, key: key(n), value: n.to_be_bytes().to_vec() }
}

fn delete(n: u32) -> Write {
    Write::Delete { table: Table::State, key: key(n) }
}

fn commit(store: &RocksStore, writes: &[Write]) {
    store.commit(writes, &AppliedMark::default()).expect("they are written");
}

/// Where the next page of `row/` begins and ends, after one that ended with `last`.
fn next(last: &[u8], direction: Direction) -> (Vec<u8>, Vec<u8>) {
    match direction {
        Direction::Forward => ([last, &[0]].concat(), b"row0".to_vec()),
        Direction::Backward => (b"row/".to_vec(), last.to_vec()),
    }
}

/// The keys of `row/` from one end, page by page; `between` runs after each page.
fn paged(view: &impl StateView, direction: Direction, mut between: impl FnMut(&[u8])) -> Vec<Vec<u8>> {
    let (mut from, mut to) = (b"row/".to_vec(), b"row0".to_vec());
    let mut keys = Vec::new();
    loop {
        let (rows, more) = view.range(Table::State, &from, &to, direction, PAGE).expect("it can be read");
        let Some((last, _)) = rows.last() else { return keys };
        (from, to) = next(last, direction);
        between(last);
        keys.extend(rows.into_iter().map(|(key, _)| key));
        if !more {
            return keys;
        }
    }
}

/// How often this thread's iterators looked for a key since the last time.
fn sought(counters: &mut PerfContext) -> u64 {
    let seeks = counters.metric(PerfMetric::SeekOnMemtableCount);
    counters.reset();
    set_perf_stats(PerfStatsLevel::EnableCount);
    seeks
}

#[test]
fn all_pages_of_a_range_are_read_with_one_search() {
    let root = tempfile::tempdir().expect("a folder");
    let store = open(root.path());
    commit(&store, &(0..ROWS).map(put).collect::<Vec<_>>());
    let mut counters = PerfContext::default();
    for view in [store.latest().expect("it is open"), store.view().expect("it is open")] {
        for direction in [Direction::Forward, Direction::Backward] {
            sought(&mut counters);
            let begun = Instant::now();
            let keys = paged(&view, direction, |_| set_perf_stats(PerfStatsLevel::EnableCount));
            let took = begun.elapsed();
            let seeks = sought(&mut counters);
            eprintln!("{ROWS} rows {direction:?} in {took:?}, {seeks} searches");
            assert_eq!(keys.len(), ROWS as usize);
            assert!(seeks < 10, "the pages of a range took {seeks} searches");
        }
    }
}

#[test]
fn a_page_shows_what_was_written_since_the_last_one_unless_the_view_is_of_a_moment() {
    let root = tempfile::tempdir().expect("a folder");
    let store = open(root.path());
    commit(&store, &(0..1_000).map(|n| put(2 * n)).collect::<Vec<_>>());
    let number = |key: &[u8]| u32::from_be_bytes(*key.last_chunk().expect("keys end with a number"));
    for direction in [Direction::Forward, Direction::Backward] {
        let latest = store.latest().expect("it is open");
        let pinned = store.view().expect("it is open");
        let before = paged(&pinned, direction, |_| {});
        let step = |last: &[u8], by: i32| number(last).saturating_add_signed(by);
        let sign = if direction == Direction::Forward { 1 } else { -1 };
        let mut expected: Vec<Vec<u8>> = Vec::new();
        let keys = paged(&latest, direction, |last| {
            let ahead = step(last, 3 * sign);
            if (2..1_998).contains(&ahead) {
                commit(&store, &[put(ahead), delete(step(last, 2 * sign))]);
                expected.push(key(ahead));
            }
        });
        assert!(expected.len() > 10 && expected.iter().all(|key| keys.contains(key)), "new rows are there");
        let gone = expected.iter().map(|key| self::key(step(key, -sign)));
        assert!(gone.into_iter().all(|key| !keys.contains(&key)), "deleted ones are not");
        assert_eq!(paged(&pinned, direction, |_| {}), before);
        commit(&store, &expected.iter().map(|key| delete(number(key))).collect::<Vec<_>>());
        commit(&store, &(0..1_000).map(|n| put(2 * n)).collect::<Vec<_>>());
    }
}

#[test]
fn ranges_that_overlap_end_or_turn_around_show_the_rows_of_each() {
    let root = tempfile::tempdir().expect("a folder");
    let store = open(root.path());
    commit(&store, &(0..500).map(put).collect::<Vec<_>>());
    let view = store.view().expect("it is open");
    let mut dice = 1_u32;
    let mut roll = |below: u32| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (dice >> 8) % below
    };
    let ends: Vec<u32> = (0..6).map(|_| roll(520)).collect();
    for round in 0..5_000 {
        let (from, to) = (ends[roll(6) as usize], ends[roll(6) as usize]);
        let from = if roll(2) == 0 { from } else { from.saturating_add(roll(30)) };
        let to = if roll(3) == 0 { to.saturating_sub(roll(30)) } else { to };
        let direction = if roll(2) == 0 { Direction::Forward } else { Direction::Backward };
        let wanted = roll(40) as usize + 1;
        let limit = RangeLimit { rows: wanted, bytes: usize::MAX };
        let end = if to > 510 { Vec::new() } else { key(to) };
        let (rows, more) = view.range(Table::State, &key(from), &end, direction, limit).expect("it is read");
        let last = if end.is_empty() { 500 } else { to.min(500) };
        let all: Vec<u32> = match direction {
            Direction::Forward => (from..last).collect(),
            Direction::Backward => (from..last).rev().collect(),
        };
        let expected: Vec<Vec<u8>> = all.iter().take(wanted).map(|n| key(*n)).collect();
        let keys: Vec<Vec<u8>> = rows.into_iter().map(|(key, _)| key).collect();
        assert_eq!((keys, more), (expected, all.len() > wanted), "round {round}: {from}..{to} {direction:?}");
    }
}
