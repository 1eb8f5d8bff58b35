//! Unit tests of `tables`.
use super::*;

#[test]
fn every_table_has_a_byte_of_its_own_behind_the_mark() {
    assert_eq!(Table::ALL.map(prefix), [1, 2, 3, 4, 5, 6]);
    assert!(Table::ALL.iter().all(|table| MARK.as_slice() < [prefix(*table)].as_slice()));
}

#[test]
fn keys_of_any_length_are_stored_behind_their_tables_byte() {
    for length in [0, 1, SHORT_KEY_BYTES - 1, SHORT_KEY_BYTES, 5_000] {
        let key = vec![255; length];
        with_key(Table::Events, &key, |stored| assert_eq!(stored, [&[4], key.as_slice()].concat()));
    }
}

#[test]
fn a_prefix_ends_before_the_next_one_and_before_the_next_table() {
    assert_eq!(successor(&[2, 7]), [2, 8]);
    assert_eq!(successor(&[2, 7, 255]), [2, 8]);
    assert_eq!(successor(&[2, 255, 255]), [3]);
    assert_eq!(bounds(Table::State, b"", b""), (vec![2], vec![3]));
    assert_eq!(bounds(Table::State, b"a", b"b"), (vec![2, b'a'], vec![2, b'b']));
}
