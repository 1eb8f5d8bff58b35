//! For tests: whether the numbers of head, sessions and spaces are those of the rows.
use std::collections::BTreeMap;

use crate::rows::timers::{Chore, Lane, Line, spot_of};
use crate::sessions::{RequestRecord, RequestState, SessionRecord};
use crate::{MemoryState, StateView, Table, directory};

/// Whether the numbers of head, sessions and spaces are those of the rows.
pub(crate) fn recount(state: &MemoryState, head: &directory::Head) {
    let rows = |table, prefix: u8| state.rows(table).filter(move |(key, _)| key[0] == prefix);
    let number = |table, prefix| rows(table, prefix).count() as u64;
    assert_eq!(u64::from(head.counts.sessions), number(Table::Sessions, b's'));
    assert_eq!(u64::from(head.counts.sessions), number(Table::Sessions, b'n'));
    assert_eq!(head.counts.requests, number(Table::Sessions, b'r'));
    let chores = number(Table::Timers, b'd');
    assert_eq!((head.counts.timers, head.counts.deadlines), (number(Table::Timers, b't') + chores, chores));
    let (mut requests, mut deadlines) = (BTreeMap::<&[u8], (u32, u64, u32, u64)>::new(), 0_usize);
    let (mut waiting, mut tickets) = (0, 0);
    for (key, value) in rows(Table::Sessions, b'r') {
        let record: RequestRecord = synod_abi::decode(value).unwrap();
        let of = requests.entry(&key[1..17]).or_default();
        let waits = matches!(record.state, RequestState::Waiting { .. });
        if let RequestState::Waiting { tickets: held, .. } = record.state {
            waiting += 1;
            tickets += u64::from(held.count);
        }
        deadlines += usize::from(matches!(record.state, RequestState::Waiting { deadline: Some(_), .. }));
        let id = u64::from_be_bytes(*key.last_chunk().unwrap());
        *of = (of.0 + 1, of.1 + value.len() as u64, of.2 + u32::from(waits), of.3.max(id));
    }
    for (key, value) in rows(Table::Sessions, b's') {
        let record: SessionRecord = synod_abi::decode(value).unwrap();
        let of = requests.remove(&key[1..]).unwrap_or_default();
        assert_eq!((record.requests, record.outcome_bytes, record.waiting), (of.0, of.1, of.2), "{record:?}");
        assert!(record.last_request.0 >= of.3 && record.spaces.is_sorted());
        assert!(record.without_hook.is_sorted());
    }
    assert!(requests.is_empty(), "requests have sessions");
    let in_spaces: u64 =
        rows(Table::Sessions, b'c').map(|(_, value)| synod_abi::decode::<u64>(value).unwrap()).sum();
    assert_eq!((in_spaces, number(Table::Sessions, b't')), (tickets, tickets));
    assert_eq!(head.counts.waiting, waiting);
    let chores = rows(Table::Timers, b'd').map(|(_, value)| synod_abi::decode::<Chore>(value).unwrap());
    assert_eq!(chores.filter(|chore| matches!(chore, Chore::Deadline { .. })).count(), deadlines);
    lines(state, Lane::Timers, [b't', b'i', b'q', b's']);
    assert_eq!(head.counts.owed, number(Table::Timers, b'o'));
    lines(state, Lane::Owed, [b'o', b'j', b'r', b'p']);
}

/// Whether each space has one place in a lane, for as many items as it has, at its first.
fn lines(state: &MemoryState, lane: Lane, [item, index, place, line]: [u8; 4]) {
    let rows = |prefix: u8| state.rows(Table::Timers).filter(move |(key, _)| key[0] == prefix);
    assert_eq!((rows(item).count(), rows(line).count()), (rows(index).count(), rows(place).count()));
    for (key, value) in rows(line) {
        let Line { items, first, place } = synod_abi::decode(value).unwrap();
        let of: Vec<_> = rows(item).filter(|(item, _)| item[1..5] == key[1..5]).collect();
        assert_eq!((of.len() as u32, spot_of(of[0].0)), (items, Ok(first)));
        assert!(place.0 >= first.0);
        assert_eq!(state.get(Table::Timers, &lane.place_key(place)), Ok(Some(key[1..5].to_vec())));
    }
}
