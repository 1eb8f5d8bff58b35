//! State handles against a `BTreeMap`, with chunks of every size.
mod common;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use common::Local;
use proptest::prelude::*;
use synod_sdk::abi::Fault;
use synod_sdk::prelude::*;
use synod_sdk::state::Position;

#[data(key)]
#[derive(Hash)]
enum Side {
    Left,
    Right(String),
    Both { a: i32, b: u8 },
}

#[data]
#[derive(Copy)]
struct Point {
    x: i32,
}

#[data]
struct Ends {
    first: Option<(String, u32)>,
    last: Option<(String, u32)>,
    len: u32,
    empty: bool,
}

#[recipe(name = "every-handle", version = 1)]
struct Every {
    cell: Cell<Point>,
    signed: Counter,
    unsigned: Counter<u64>,
    map: Map<String, u32>,
    #[state(name = "old")]
    tuples: Map<(String, i64, Side), u32>,
    queue: Queue<String, u32>,
}

#[ops]
impl Every {
    #[op]
    fn cell_and_counters(&self, cx: &mut Ctx) -> (Option<Point>, i64, u64, Option<i64>) {
        assert!(self.cell.get(cx).is_none());
        self.cell.put(cx, &Point { x: -3 });
        let set = self.cell.get(cx);
        self.cell.delete(cx);
        assert!(self.cell.get(cx).is_none());
        self.signed.add(cx, -5);
        self.signed.add(cx, 2);
        self.unsigned.set(cx, 7);
        let overflow = self.signed.checked_add(cx, i64::MIN);
        (set, self.signed.get(cx), self.unsigned.add(cx, 1), overflow)
    }

    #[op]
    fn fill(&self, cx: &mut Ctx, rows: Vec<(String, u32)>) {
        for (key, value) in &rows {
            self.map.put(cx, key, value);
        }
    }

    #[op]
    fn fill_tuples(&self, cx: &mut Ctx, rows: Vec<((String, i64, Side), u32)>) {
        for (key, value) in &rows {
            self.tuples.put(cx, key, value);
        }
    }

    #[query]
    fn map_range(
        &self,
        cx: &QueryCtx,
        from: Option<String>,
        to: Option<String>,
        inclusive: bool,
        reverse: bool,
    ) -> Vec<(String, u32)> {
        let bounds = bounds(from, to, inclusive);
        if reverse { self.map.range_rev(cx, bounds).collect() } else { self.map.range(cx, bounds).collect() }
    }

    #[query]
    fn map_ends(&self, cx: &QueryCtx, limit: u32) -> Ends {
        Ends {
            first: self.map.first(cx),
            last: self.map.last(cx),
            len: self.map.len_at_most(cx, limit as usize) as u32,
            empty: self.map.is_empty(cx),
        }
    }

    #[query]
    fn starting_with(&self, cx: &QueryCtx, text: String) -> Vec<(String, u32)> {
        self.map.starting_with(cx, &text).collect()
    }

    #[query]
    fn tuple_prefixes(&self, cx: &QueryCtx, first: String, second: i64) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let values = |rows: synod_sdk::state::Range<'_, '_, _, u32>| rows.map(|(_, value)| value).collect();
        (
            values(self.tuples.prefix(cx, first.as_str())),
            values(self.tuples.prefix2(cx, first.as_str(), &second)),
            values(self.tuples.iter_rev(cx)),
        )
    }

    #[op]
    fn push(&self, cx: &mut Ctx, key: String, item: u32) -> u64 {
        self.queue.push_back(cx, &key, &item).0
    }

    #[op]
    fn pop(&self, cx: &mut Ctx, key: String) -> Option<u32> {
        let front = self.queue.front(cx, &key);
        let popped = self.queue.pop_front(cx, &key);
        assert_eq!(front, popped);
        popped
    }

    #[op]
    fn remove(&self, cx: &mut Ctx, key: String, position: u64) -> Option<u32> {
        self.queue.remove(cx, &key, Position(position))
    }

    #[query]
    fn items(&self, cx: &QueryCtx, key: String) -> (Vec<u32>, u32, bool) {
        let items = self.queue.iter(cx, &key).map(|(_, item)| item).collect();
        (items, self.queue.len_at_most(cx, &key, 3) as u32, self.queue.is_empty(cx, &key))
    }

    #[query]
    fn take_some(&self, cx: &QueryCtx, rows: u32) -> u32 {
        self.map.iter(cx).take(rows as usize).map(|(_, value)| value).sum()
    }
}

fn bounds(from: Option<String>, to: Option<String>, inclusive: bool) -> (Bound<String>, Bound<String>) {
    let bound = |key: Option<String>| match (key, inclusive) {
        (None, _) => Bound::Unbounded,
        (Some(key), true) => Bound::Included(key),
        (Some(key), false) => Bound::Excluded(key),
    };
    (bound(from), bound(to))
}

fn key() -> impl Strategy<Value = String> {
    "[\u{0}a-c]{0,3}"
}

#[test]
fn cells_and_counters() {
    let space = Local::<Every>::new(10);
    let (set, signed, unsigned, overflow) = Every::blocking(&space, "s").cell_and_counters().unwrap();
    assert_eq!((set, signed, unsigned, overflow), (Some(Point { x: -3 }), -3, 8, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn maps_are_btree_maps(
        rows in prop::collection::vec((key(), any::<u32>()), 0..40),
        from in prop::option::of(key()),
        to in prop::option::of(key()),
        inclusive: bool,
        chunk in 1usize..20,
        limit in 0u32..50,
    ) {
        let space = Local::<Every>::new(chunk);
        let every = Every::blocking(&space, "s");
        let model: BTreeMap<String, u32> = rows.iter().cloned().collect();
        every.fill(rows).unwrap();
        let wanted: Vec<_> = model
            .iter()
            .filter(|(key, _)| {
                let above = from.as_ref().is_none_or(|from| *key > from || inclusive && *key == from);
                above && to.as_ref().is_none_or(|to| *key < to || inclusive && *key == to)
            })
            .map(|(key, value)| (key.clone(), *value))
            .collect();
        let got = every.map_range(from.clone(), to.clone(), inclusive, false).unwrap();
        prop_assert_eq!(&got, &wanted);
        let mut backward = every.map_range(from.clone(), to.clone(), inclusive, true).unwrap();
        backward.reverse();
        prop_assert_eq!(&backward, &wanted);

        let owned = |(key, value): (&String, &u32)| (key.clone(), *value);
        let (first, last) = (model.first_key_value().map(owned), model.last_key_value().map(owned));
        let ends = Ends { first, last, len: limit.min(model.len() as u32), empty: model.is_empty() };
        prop_assert_eq!(every.map_ends(limit).unwrap(), ends);

        let text = from.unwrap_or_default();
        let starting: Vec<_> = model.iter().filter(|(key, _)| key.starts_with(&text)).map(owned).collect();
        prop_assert_eq!(every.starting_with(text.as_str()).unwrap(), starting);
    }

    #[test]
    fn tuples_have_prefixes(
        rows in prop::collection::vec(
            (
                (key(), -2i64..2, prop_oneof![
                    Just(Side::Left),
                    key().prop_map(Side::Right),
                    (any::<i32>(), any::<u8>()).prop_map(|(a, b)| Side::Both { a, b }),
                ]),
                any::<u32>(),
            ),
            0..40,
        ),
        first in key(),
        second in -2i64..2,
    ) {
        let space = Local::<Every>::new(7);
        let every = Every::blocking(&space, "s");
        let model: BTreeMap<_, u32> = rows.iter().cloned().collect();
        every.fill_tuples(rows).unwrap();
        let (ones, twos, mut all) = every.tuple_prefixes(first.as_str(), second).unwrap();
        all.reverse();
        let of_first = model.iter().filter(|(key, _)| key.0 == first);
        let of_both = of_first.clone().filter(|(key, _)| key.1 == second);
        prop_assert_eq!(ones, of_first.map(|(_, value)| *value).collect::<Vec<_>>());
        prop_assert_eq!(twos, of_both.map(|(_, value)| *value).collect::<Vec<_>>());
        prop_assert_eq!(all, model.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn queues_are_fifos(steps in prop::collection::vec((0u8..3, "[ab]", any::<u32>()), 0..60)) {
        let space = Local::<Every>::new(5);
        let every = Every::blocking(&space, "s");
        let mut model: BTreeMap<String, VecDeque<(u64, u32)>> = BTreeMap::new();
        let mut last = None;
        for (step, key, n) in steps {
            let queue = model.entry(key.clone()).or_default();
            match step {
                0 => {
                    let position = every.push(key.as_str(), n).unwrap();
                    prop_assert!(last < Some(position));
                    last = Some(position);
                    queue.push_back((position, n));
                }
                1 => {
                    let front = queue.pop_front().map(|(_, item)| item);
                    prop_assert_eq!(every.pop(key.as_str()).unwrap(), front);
                }
                _ => {
                    let at = n as usize % (queue.len() + 1);
                    let position = queue.get(at).map_or(12, |(position, _)| *position);
                    let removed = every.remove(key.as_str(), position).unwrap();
                    prop_assert_eq!(removed, queue.remove(at).map(|(_, item)| item));
                }
            }
            let items: Vec<_> = queue.iter().map(|(_, item)| *item).collect();
            let (len, empty) = (items.len().min(3) as u32, items.is_empty());
            prop_assert_eq!(every.items(key.as_str()).unwrap(), (items, len, empty));
        }
    }
}

#[test]
fn a_range_reads_no_more_chunks_than_asked() {
    let space = Local::<Every>::new(1_024);
    let every = Every::blocking(&space, "s");
    every.fill((0..10_000u32).map(|n| (format!("{n:05}"), 1)).collect()).unwrap();
    let calls = |rows: u32| {
        space.host.borrow_mut().record.range_calls = 0;
        assert_eq!(every.take_some(rows).unwrap(), rows);
        space.host.borrow().record.range_calls
    };
    assert_eq!(calls(0), 0);
    assert_eq!(calls(16), 1);
    assert_eq!(calls(17), 2);
    assert_eq!(calls(10_000), 13);
}

#[test]
fn what_does_not_decode_ends_the_call() {
    let space = Local::<Every>::new(10);
    let every = Every::blocking(&space, "s");
    every.fill(vec![("a".into(), 1)]).unwrap();
    space.host.borrow_mut().rows.values_mut().for_each(|value| value.push(9));
    let error = every.starting_with("").expect_err("the row is corrupt");
    assert!(matches!(error, CallError::Fault { fault: Some(Fault::CorruptState), .. }), "{error}");
    assert_eq!(space.host.borrow().record.lines, ["1 a stored map row does not decode"]);
}
