//! For tests: whether what an entry told of events, and the numbers that are kept of them, are
//! those of the rows.
use std::collections::{BTreeMap, BTreeSet};

use synod_abi::{Revision, SpaceId, Time};

use crate::rows::digest::RowSum;
use crate::rows::directory::{Head, space_by_id, space_sum};
use crate::rows::events::{
    EventLog, EventPosition, StoredEvent, binding_keys, bindings_of_handler, bindings_of_source, event_key,
    event_log, event_logs, event_position, events, space_at,
};
use crate::{Applied, MemoryState, RangeLimit, StateView, Table};

/// What the rows say a space keeps.
#[derive(Debug, Default)]
struct Kept {
    events: u64,
    bytes: u64,
    first: Option<(Revision, Time)>,
    last: EventPosition,
}

pub(crate) fn recount(state: &MemoryState, head: &Head) {
    let kept = kept(state);
    let (logs, more) = event_logs(state, None, usize::MAX).unwrap();
    assert!(!more && logs.is_sorted_by_key(|(space, _)| *space));
    for (space, log) in &logs {
        assert!(space_by_id(state, *space).unwrap().is_some());
        let none = Kept::default();
        let Kept { events, bytes, first, last } = kept.get(space).unwrap_or(&none);
        assert_eq!(
            (log.events, log.bytes, log.oldest_at),
            (*events, *bytes, first.map(|(_, time)| time)),
            "{space} {log:?}"
        );
        assert!(
            first.is_none_or(|(revision, _)| revision > log.compacted && last.revision == log.last),
            "{space} {log:?}"
        );
    }
    assert!(
        kept.keys().all(|space| logs.iter().any(|(of, _)| of == space)),
        "who has events has a row of what it keeps"
    );
    let all = logs.iter().fold((0, 0), |(events, bytes), (_, log)| (events + log.events, bytes + log.bytes));
    assert_eq!((head.counts.events, head.counts.event_bytes), all);
    bindings(state, head);
    sums(state);
}

fn kept(state: &MemoryState) -> BTreeMap<SpaceId, Kept> {
    let mut kept = BTreeMap::<SpaceId, Kept>::new();
    for (key, value) in state.rows(Table::Events) {
        let space = SpaceId(u32::from_be_bytes(*key.first_chunk().unwrap()));
        let (position, event) =
            (event_position(key).unwrap(), synod_abi::decode::<StoredEvent>(value).unwrap());
        let of = kept.entry(space).or_default();
        let expected =
            if of.events > 0 && of.last.revision == position.revision { of.last.number + 1 } else { 0 };
        assert_eq!(position.number, expected, "the events of a revision are numbered from 0");
        of.first.get_or_insert((position.revision, event.time));
        (of.events, of.bytes, of.last) =
            (of.events + 1, of.bytes + (key.len() + value.len()) as u64, position);
    }
    kept
}

fn bindings(state: &MemoryState, head: &Head) {
    let rows = |prefix: u8| state.rows(Table::System).filter(move |(key, _)| key[0] == prefix);
    let mut bindings = 0;
    let sources: BTreeSet<SpaceId> = rows(b'o').map(|(key, _)| space_at(key, 1).unwrap()).collect();
    for source in sources {
        for record in bindings_of_source(state, source).unwrap() {
            bindings += 1;
            assert!(
                [source, record.handler].iter().all(|space| space_by_id(state, *space).unwrap().is_some())
            );
            assert!(
                bindings_of_handler(state, record.handler)
                    .unwrap()
                    .contains(&(source, record.filter.clone()))
            );
            assert!(
                binding_keys(source, record.handler, &record.filter)
                    .iter()
                    .all(|key| state.get(Table::System, key).unwrap().is_some())
            );
        }
    }
    assert_eq!((bindings, bindings), (rows(b'o').count(), rows(b'p').count()));
    assert_eq!(head.counts.bindings as usize, bindings);
}

/// The sum of each space's rows and events is the one that is stored.
fn sums(state: &MemoryState) {
    let mut sums = BTreeMap::<SpaceId, RowSum>::new();
    for table in [Table::State, Table::Events] {
        for (key, value) in state.rows(table) {
            let space = SpaceId(u32::from_be_bytes(*key.first_chunk().unwrap()));
            sums.entry(space).or_default().add(table, key, value, &mut Vec::new());
        }
    }
    let stored = state.rows(Table::System).filter(|(key, _)| key[0] == b'd');
    for space in stored.map(|(key, _)| SpaceId(u32::from_be_bytes(*key.last_chunk().unwrap()))) {
        assert_eq!(space_sum(state, space).unwrap(), sums.remove(&space).unwrap_or_default(), "{space}");
    }
    assert!(sums.is_empty(), "who has rows has a sum");
}

/// Whether what an entry told of events is in the rows.
pub(crate) fn told(state: &MemoryState, applied: &Applied) {
    assert!(applied.events.is_sorted_by_key(|event| event.revision), "by revision");
    for space in applied.events.iter().map(|event| event.space) {
        let of_space: Vec<_> = applied.events.iter().filter(|event| event.space == space).collect();
        assert!(of_space.is_sorted_by_key(|event| (event.revision, event.number)));
        assert!(applied.event_logs.iter().any(|change| change.space == space));
    }
    for event in &applied.events {
        let key = event_key(event.space, EventPosition { revision: event.revision, number: event.number });
        let row = state.get(Table::Events, &key).unwrap();
        let log = event_log(state, event.space).unwrap();
        match row {
            Some(row) => assert_eq!(row, synod_abi::encode(&event.event)),
            None => assert!(
                log == EventLog::default() || event.revision <= log.compacted,
                "it was forgotten, or its space deleted"
            ),
        }
    }
    assert!(applied.event_logs.is_sorted_by_key(|change| change.space));
    for change in &applied.event_logs {
        let row = state.get(Table::System, &crate::rows::events::event_log_key(change.space)).unwrap();
        assert_eq!(row, change.log.map(|log| synod_abi::encode(&log)));
    }
    let one = RangeLimit { rows: 1, bytes: 0 };
    if let Some(event) = applied.events.last() {
        assert!(
            events(state, event.space, EventPosition::at(Revision(event.revision.0 + 1)), one)
                .unwrap()
                .events
                .is_empty()
        );
    }
}
