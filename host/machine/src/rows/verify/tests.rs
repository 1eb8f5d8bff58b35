//! Unit tests of `rows::verify`.
use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::ports::Write;
use crate::rows::directory::space_sum_key;
use crate::rows::memory::MemoryState;
use crate::testing::{Member, put};

fn member() -> Member {
    let mut member = Member::formed();
    member.run(&[put("k", "v")]).unwrap();
    member
}

fn scrub(state: &MemoryState) -> Result<Scrubbed, Fatal> {
    let mut scrub = Scrub::new();
    while scrub.read_page(state)? {}
    scrub.finish(state)
}

/// Every row, with its table.
fn rows(state: &MemoryState) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let of = |table| state.rows(table).map(move |(key, value)| (table, key.to_vec(), value.to_vec()));
    Table::ALL.into_iter().flat_map(of).collect()
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// `state` with one bit of a row changed: bits of the key come first.
fn with_flip(
    state: &MemoryState,
    (table, key, value): &(Table, Vec<u8>, Vec<u8>),
    bit: usize,
) -> MemoryState {
    let (key, value) = (key.clone(), value.clone());
    let (new_key, new_value) = match bit.checked_sub(key.len() * 8) {
        None => (flipped(&key, bit), value),
        Some(bit) => (key.clone(), flipped(&value, bit)),
    };
    let mut state = state.clone();
    state.commit(&[
        Write::Delete { table: *table, key },
        Write::Put { table: *table, key: new_key, value: new_value },
    ]);
    state
}

#[test]
fn a_flipped_bit_in_any_row_is_found() {
    let state = member().state;
    let sound = scrub(&state).unwrap();
    assert_eq!(sound.damage, None);
    for row in rows(&state) {
        for bit in 0..(row.1.len() + row.2.len()) * 8 {
            let found = scrub(&with_flip(&state, &row, bit));
            let is_found =
                found.as_ref().map_or(true, |found| found.damage.is_some() || found.stored != sound.stored);
            assert!(is_found, "bit {bit} of {row:?}: {found:?}");
        }
    }
}

#[test]
fn the_damaged_space_is_named() {
    let mut member = member();
    let key = [1_u32.to_be_bytes().as_slice(), b"k"].concat();
    member.state.commit(&[Write::Put { table: Table::State, key, value: b"w".to_vec() }]);
    let damage = scrub(&member.state).unwrap().damage.unwrap();
    assert_eq!(damage, Damage { spaces: vec![SpaceId(1)], others: false });
    let told = verify(&member.state).unwrap_err().0;
    assert!(told.contains("of the spaces with the ids 1: ") && told.contains("let it join again"), "{told}");
}

#[test]
fn a_damaged_sum_of_a_space_is_found_too() {
    let mut member = member();
    let key = space_sum_key(SpaceId(1));
    for value in [vec![7; 32], vec![7; 31]] {
        member.state.commit(&[Write::Put { table: Table::System, key: key.clone(), value }]);
        let damage = scrub(&member.state).unwrap().damage.unwrap();
        assert_eq!(damage, Damage { spaces: vec![SpaceId(1)], others: false });
    }
    member.state.commit(&[Write::Delete { table: Table::System, key }]);
    assert!(verify(&member.state).is_err());
}

#[test]
fn a_pass_counts_what_it_has_read() {
    let state = member().state;
    let rows = rows(&state);
    let mut scrub = Scrub::new();
    while scrub.read_page(&state).unwrap() {}
    let bytes = rows.iter().map(|(_, key, value)| (key.len() + value.len()) as u64).sum();
    assert_eq!(scrub.read(), RowsRead { rows: rows.len() as u64, bytes });
    assert!(!scrub.read_page(&state).unwrap());
}

#[test]
fn no_more_spaces_are_named_than_people_read() {
    let spaces: Vec<_> = (1..=NAMED_SPACES as u32 + 2).map(SpaceId).collect();
    let told = Damage { spaces, others: true }.to_string();
    assert!(told.contains("rows of no space, and of the spaces with the ids 1, 2, 3"), "{told}");
    assert!(told.ends_with("63, 64 and 2 more"), "{told}");
}
