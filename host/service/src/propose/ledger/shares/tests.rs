//! Unit tests of `shares`.
use synod_abi::limits;

use super::*;
use crate::propose::packing::Sharing;

const HALF: u64 = limits::ENTRY_FUEL / 2;

fn demand(space: u32, session: Option<u8>, fuel: u64) -> Demand {
    let session = session.map(|session| SessionId([session; 16]));
    Demand { space: SpaceId(space), session, bytes: 10, fuel, sharing: Sharing::Shared }
}

/// Places of the commands that go.
fn shared(demands: &[Demand]) -> Vec<usize> {
    let (taken, load) = share(demands, Room::of_entry(u64::MAX));
    let places: Vec<usize> = (0..demands.len()).filter(|at| taken[*at]).collect();
    assert_eq!(load.fuel, places.iter().map(|at| demands[*at].fuel).sum::<u64>());
    places
}

#[test]
fn a_space_that_queued_an_entry_full_leaves_room_for_others() {
    let mut demands = vec![demand(1, None, HALF / 8); 64];
    demands.push(demand(2, None, 5));
    demands.push(demand(0, None, 5));
    let places = shared(&demands);
    assert!(
        places.ends_with(&[64, 65]) && places[..places.len() - 2].iter().copied().eq(0..places.len() - 2)
    );
    assert_eq!(places.len(), 17, "what is left over is used");
}

#[test]
fn by_count_and_bytes_too() {
    let mut by_count = vec![demand(1, None, 1); 2 * limits::ENTRY_COMMANDS];
    by_count.push(demand(2, None, 1));
    assert_eq!(shared(&by_count).last(), Some(&(2 * limits::ENTRY_COMMANDS)));
    let mut by_bytes = vec![Demand { bytes: limits::ENTRY_BYTES / 4, ..demand(1, None, 1) }; 9];
    by_bytes.push(demand(2, None, 1));
    assert_eq!(shared(&by_bytes), [0, 1, 2, 9]);
}

#[test]
fn two_spaces_that_want_all_get_half_each() {
    let demands: Vec<_> = (0..40).map(|at| demand(1 + u32::from(at >= 20), None, HALF / 10)).collect();
    let expected: Vec<usize> = (0..10).chain(20..30).collect();
    assert_eq!(shared(&demands), expected);
}

#[test]
fn one_space_alone_gets_all_in_its_order() {
    let demands = [HALF, HALF / 2, HALF, 1].map(|fuel| demand(3, None, fuel));
    assert_eq!(shared(&demands), [0, 1], "a later one that would fit does not overtake");
}

#[test]
fn a_session_is_not_overtaken_by_itself_in_another_space() {
    let demands = [
        demand(1, None, HALF),
        demand(1, Some(7), HALF + 1),
        demand(2, Some(7), 1),
        demand(2, Some(8), 1),
        demand(3, Some(8), 1),
        demand(4, Some(9), 1),
    ];
    assert_eq!(shared(&demands), [0, 5], "8 stands behind 7 in space 2, and so in space 3");
}

#[test]
fn the_oldest_command_goes_however_much_it_takes_unless_much_is_in_flight() {
    let demands = [demand(1, None, u64::MAX), demand(2, None, 1)];
    assert_eq!(shared(&demands), [0]);
    let (taken, load) = share(&demands, Room::of_entry(HALF));
    assert_eq!((taken, load.fuel), (vec![false, true], 1), "a small one of another space goes before");
    let (taken, _) = share(&demands[..1], Room::of_entry(HALF));
    assert_eq!(taken, [false]);
}

#[test]
fn a_command_that_takes_most_of_an_entry_leaves_the_rest() {
    let demands = [demand(1, None, HALF + 9), demand(1, None, HALF + 9), demand(2, None, 5)];
    assert_eq!(shared(&demands), [0, 2]);
}
