//! The overlay against a model: a plain map that is cloned at each savepoint.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proptest::prelude::*;
use synod_abi::Direction;

use super::*;
use crate::{MemoryState, RangeLimit, Row, RowSum};

mod scans;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Get(Vec<u8>),
    Put(Vec<u8>, Vec<u8>),
    /// Does nothing if the row is there.
    PutNew(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// Deletes the row if it is there, and tells what it is.
    DeleteKnown(Vec<u8>),
    DeletePrefix(Vec<u8>),
    /// Deletes so many rows from a key on.
    DeleteRun(Vec<u8>, usize),
    Range {
        from: Vec<u8>,
        to: Vec<u8>,
        backward: bool,
        rows: usize,
    },
    Save,
    Rollback,
}

/// Few different bytes and short keys, so that keys meet and prefixes cover.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 255]), 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    let value = || prop::collection::vec(any::<u8>(), 0..3);
    prop_oneof![
        4 => key().prop_map(Op::Get),
        6 => (key(), value()).prop_map(|(key, value)| Op::Put(key, value)),
        3 => (key(), value()).prop_map(|(key, value)| Op::PutNew(key, value)),
        4 => key().prop_map(Op::Delete),
        2 => key().prop_map(Op::DeleteKnown),
        1 => key().prop_map(Op::DeletePrefix),
        3 => (key(), 1..30_usize).prop_map(|(key, rows)| Op::DeleteRun(key, rows)),
        4 => (key(), prop_oneof![key(), Just(Vec::new())], any::<bool>(), 1..6_usize)
            .prop_map(|(from, to, backward, rows)| Op::Range { from, to, backward, rows }),
        2 => Just(Op::Save),
        2 => Just(Op::Rollback),
    ]
}

fn model_range(model: &Model, from: &[u8], to: &[u8], backward: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = model
        .iter()
        .filter(|(key, _)| key.as_slice() >= from && (to.is_empty() || key.as_slice() < to))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if backward {
        rows.reverse();
    }
    rows
}

fn rows_of(state: &MemoryState) -> Model {
    state.rows(Table::State).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn sum_of(model: &Model) -> RowSum {
    let mut sum = RowSum::ZERO;
    model.iter().for_each(|(key, value)| sum.add(Table::State, key, value, &mut Vec::new()));
    sum
}

/// The writes of rows.
fn puts(rows: &Model) -> Vec<Write> {
    let put = |(key, value): (&Vec<u8>, &Vec<u8>)| Write::Put {
        table: Table::State,
        key: key.clone(),
        value: value.clone(),
    };
    rows.iter().map(put).collect()
}

/// Whether the overlay's writes lead from the committed rows to those of the model, and its changes
/// from the one digest to the other.
fn finishes_as(
    overlay: Overlay,
    mut state: MemoryState,
    committed: &Model,
    model: &Model,
) -> Result<(), TestCaseError> {
    let mut sum = sum_of(committed);
    let mut buffer = Vec::new();
    let mut changed = 0;
    let deleted: Vec<Vec<u8>> = overlay.prefixes.iter().map(|(_, prefix)| prefix.clone()).collect();
    let gone = committed.iter().filter(|(key, _)| deleted.iter().any(|prefix| key.starts_with(prefix)));
    let gone: Model = gone.map(|(key, value)| (key.clone(), value.clone())).collect();
    sum.subtract_sum(sum_of(&gone));
    let writes = overlay
        .finish(&state, |row| {
            changed += 1;
            row.before.iter().for_each(|value| sum.subtract(row.table, row.key, value, &mut buffer));
            row.after.iter().for_each(|value| sum.add(row.table, row.key, value, &mut buffer));
            Ok(())
        })
        .unwrap();
    prop_assert_eq!(changed + deleted.len(), writes.len());
    state.commit(&writes);
    prop_assert_eq!(&rows_of(&state), model);
    prop_assert_eq!(sum, sum_of(model), "net changes give the digest of the rows");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_behaves_like_a_map_and_its_writes_lead_there(
        committed in prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 0..3), 0..60),
        ops in prop::collection::vec(op(), 0..80),
        chunk in 1..5_usize,
    ) {
        let mut state = MemoryState::default();
        state.commit(&puts(&committed));
        let (mut overlay, mut model) = (Overlay::default(), committed.clone());
        let mut saved: Vec<(Savepoint, Model)> = Vec::new();
        for op in ops {
            match op {
                Op::Get(key) => {
                    let expected = model.get(&key).cloned();
                    prop_assert_eq!(overlay.peek(&state, Table::State, &key).unwrap(), expected.clone());
                    let got = overlay.get(&state, Table::State, &key).unwrap().map(Cow::into_owned);
                    prop_assert_eq!(got, expected);
                }
                Op::Put(key, value) => {
                    overlay.put(Table::State, &key, value.clone());
                    model.insert(key, value);
                }
                Op::PutNew(key, value) => {
                    if let Entry::Vacant(vacant) = model.entry(key.clone()) {
                        overlay.put_new(Table::State, &key, value.clone());
                        vacant.insert(value);
                    }
                }
                Op::Delete(key) => {
                    overlay.delete(Table::State, &key);
                    model.remove(&key);
                }
                Op::DeleteKnown(key) => {
                    if let Some(value) = model.remove(&key) {
                        overlay.delete_known(Table::State, &key, &value);
                    }
                }
                Op::DeletePrefix(prefix) => {
                    overlay.delete_prefix(Table::State, &prefix);
                    model.retain(|key, _| !key.starts_with(&prefix));
                }
                Op::DeleteRun(from, rows) => {
                    let run: Vec<_> = model.range(from..).take(rows).map(|(key, _)| key.clone()).collect();
                    for key in run {
                        overlay.delete(Table::State, &key);
                        model.remove(&key);
                    }
                }
                Op::Range { from, to, backward, rows } => {
                    let direction = if backward { Direction::Backward } else { Direction::Forward };
                    let mut got = Vec::new();
                    let limit = RangeLimit { rows: chunk, bytes: 100 };
                    let wanted = Range { table: Table::State, from: &from, to: &to, direction, limit };
                    let more = overlay.range(&state, wanted, |key, value| {
                        let wanted = got.len() < rows;
                        if wanted {
                            got.push((key.to_vec(), value.to_vec()));
                        }
                        wanted
                    }).unwrap();
                    let expected = model_range(&model, &from, &to, backward);
                    prop_assert_eq!(more, expected.len() > rows);
                    prop_assert_eq!(got, expected.into_iter().take(rows).collect::<Vec<_>>());
                }
                Op::Save => saved.push((overlay.savepoint(), model.clone())),
                Op::Rollback => if let Some((savepoint, before)) = saved.pop() {
                    overlay.rollback(savepoint);
                    model = before;
                },
            }
        }
        prop_assert!(overlay.changed(Table::State, b"").all(|(key, there)| model.contains_key(key) == there));
        finishes_as(overlay, state, &committed, &model)?;
    }
}

#[test]
fn a_write_of_what_is_committed_is_no_write() {
    let mut state = MemoryState::default();
    state.commit(&[Write::Put { table: Table::State, key: b"k".to_vec(), value: b"v".to_vec() }]);
    let mut overlay = Overlay::default();
    overlay.put(Table::State, b"k", b"other".to_vec());
    overlay.put(Table::State, b"k", b"v".to_vec());
    overlay.delete(Table::State, b"absent");
    assert_eq!(overlay.finish(&state, |_| panic!("nothing changed")).unwrap(), []);
}

#[test]
fn what_a_rolled_back_call_wrote_takes_no_memory() {
    let (state, mut overlay) = (MemoryState::default(), Overlay::default());
    overlay.get(&state, Table::State, b"read before").unwrap();
    let savepoint = overlay.savepoint();
    for n in 0..100_u32 {
        overlay.put(Table::State, &n.to_be_bytes(), vec![0; 100]);
    }
    overlay.rollback(savepoint);
    assert_eq!(
        (overlay.slots.len(), overlay.index[Table::State as usize].len(), overlay.written_bytes()),
        (1, 1, 0)
    );
}

#[test]
fn a_row_counts_more_than_its_bytes_whether_it_is_there_or_not() {
    let mut overlay = Overlay::default();
    overlay.put(Table::State, b"key", vec![0; 2]);
    assert_eq!(overlay.written_bytes(), limits::ROW_BYTES + 5);
    overlay.delete(Table::State, b"absent");
    assert_eq!(overlay.written_bytes(), 2 * limits::ROW_BYTES + 11);
    overlay.delete_prefix(Table::State, b"k");
    assert_eq!(overlay.written_bytes(), 3 * limits::ROW_BYTES + 12);
    assert_eq!(overlay.work(), 2 * costs::TOUCHED_ROW);
}

#[test]
fn reads_are_kept_up_to_the_budget() {
    let mut state = MemoryState::default();
    let rows = 100_u32;
    let value = vec![0; CACHE_BYTES / 50];
    let writes: Vec<Write> = (0..rows)
        .map(|n| Write::Put { table: Table::State, key: n.to_be_bytes().to_vec(), value: value.clone() })
        .collect();
    state.commit(&writes);
    let mut overlay = Overlay::default();
    for n in 0..rows {
        assert_eq!(
            overlay.get(&state, Table::State, &n.to_be_bytes()).unwrap().as_deref(),
            Some(value.as_slice())
        );
    }
    assert!(overlay.cached_bytes <= CACHE_BYTES && overlay.slots.len() < 50);
}
