//! Events, what spaces keep of them, and bindings, as rows: read by the machine through its
//! overlay, by the service from any view.
//!
//! | table | key | value |
//! |---|---|---|
//! | events | space revision number | [`StoredEvent`] |
//! | system | `e` space | [`EventLog`], once something was emitted, kept or forgotten |
//! | system | `o` source handler filter | [`StoredBinding`] |
//! | system | `p` handler source filter | nothing: the same from the other side |
//!
//! Numbers in keys are big-endian; a filter is `e` or `p` and its text. It decides nothing.
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Blob, Direction, Revision, SpaceId, Time, TopicFilter, limits};

use crate::log::command::{EventRetention, OnFailure};
use crate::ports::{Fatal, RangeLimit, StateView, Table};
use crate::rows::codec::{damaged, decode};
use crate::rows::scan::{self, behind, page_of};

/// What is stored of an event, under its space, revision and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// What it is about.
    pub topic: String,
    /// postcard of what its recipe emitted.
    pub payload: Blob,
    /// Cluster time of its entry.
    pub time: Time,
}

/// What a space keeps of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLog {
    /// The revision of the last event that is forgotten: those before it are, too, and none behind
    /// it; 0: none is.
    pub compacted: Revision,
    /// Revision of the last event that was ever emitted; 0: none was.
    pub last: Revision,
    /// Events that are kept.
    pub events: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Time of the oldest event that is kept.
    pub oldest_at: Option<Time>,
    /// How much may be kept.
    pub retention: EventRetention,
}

/// A place between the events of a space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPosition {
    /// The revision of the next event, or one before it.
    pub revision: Revision,
    /// Its number within that revision, if it has that revision.
    pub number: u32,
}

impl EventPosition {
    /// Before all events of `revision`.
    pub const fn at(revision: Revision) -> Self {
        Self { revision, number: 0 }
    }
}

/// Events of a space, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events and their places.
    pub events: Vec<(EventPosition, StoredEvent)>,
    /// Whether more follow.
    pub more: bool,
}

/// A binding of which the source is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRecord {
    /// Whose events.
    pub source: SpaceId,
    /// Whose handler.
    pub handler: SpaceId,
    /// Which events.
    pub filter: TopicFilter,
    /// How failures are treated, and when it was bound.
    pub stored: StoredBinding,
}

/// What is stored of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBinding {
    /// Whether a failure of the handler rejects the command that emitted the event.
    pub on_failure: OnFailure,
    /// Revision that bound it.
    pub bound: Revision,
}

/// What `space` keeps of its events; the default if it never emitted any.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn event_log(view: &impl StateView, space: SpaceId) -> Result<EventLog, Fatal> {
    let Some(bytes) = view.get(Table::System, &event_log_key(space))? else { return Ok(EventLog::default()) };
    decode(&bytes, "what a space keeps of its events")
}

/// The event logs of spaces, by id: at most `limit` after `after`, and whether more follow.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn event_logs(
    view: &impl StateView,
    after: Option<SpaceId>,
    limit: usize,
) -> Result<(Vec<(SpaceId, EventLog)>, bool), Fatal> {
    let from = after.map_or_else(|| Vec::from(*b"e"), |after| scan::successor(event_log_key(after)));
    let (rows, more) = view.range(Table::System, &from, b"f", Direction::Forward, page_of(limit))?;
    let item = |(key, value): &(Vec<u8>, Vec<u8>)| {
        Ok((space_at(key, 1)?, decode(value, "what a space keeps of its events")?))
    };
    Ok((rows.iter().map(item).collect::<Result<_, Fatal>>()?, more))
}

/// Events of `space` from `from` on, in order: at most `limit.rows`, or about `limit.bytes`.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn events(
    view: &impl StateView,
    space: SpaceId,
    from: EventPosition,
    limit: RangeLimit,
) -> Result<EventPage, Fatal> {
    let from = event_key(space, from);
    let to = behind(&space.0.to_be_bytes());
    let (rows, more) = view.range(Table::Events, &from, &to, Direction::Forward, limit)?;
    let item = |(key, value): &(Vec<u8>, Vec<u8>)| Ok((event_position(key)?, decode(value, "an event")?));
    Ok(EventPage { events: rows.iter().map(item).collect::<Result<_, Fatal>>()?, more })
}

/// The bindings of which `source` is the source, in the order in which their handlers run.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn bindings_of_source(view: &impl StateView, source: SpaceId) -> Result<Vec<BindingRecord>, Fatal> {
    let prefix = [b"o".as_slice(), &source.0.to_be_bytes()].concat();
    let (rows, _) = view.range(Table::System, &prefix, &behind(&prefix), Direction::Forward, BINDINGS)?;
    let item = |(key, value): &(Vec<u8>, Vec<u8>)| {
        Ok(BindingRecord {
            source: space_at(key, 1)?,
            handler: space_at(key, 5)?,
            filter: filter_of(key)?,
            stored: decode(value, "a binding")?,
        })
    };
    rows.iter().map(item).collect()
}

/// The sources and filters that `handler` is bound to.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn bindings_of_handler(
    view: &impl StateView,
    handler: SpaceId,
) -> Result<Vec<(SpaceId, TopicFilter)>, Fatal> {
    let prefix = [b"p".as_slice(), &handler.0.to_be_bytes()].concat();
    let (rows, _) = view.range(Table::System, &prefix, &behind(&prefix), Direction::Forward, BINDINGS)?;
    rows.iter().map(|(key, _)| Ok((space_at(key, 5)?, filter_of(key)?))).collect()
}

/// All bindings of which one space is the source, or the handler.
const BINDINGS: RangeLimit = page_of(limits::SPACE_BINDINGS);

pub(crate) fn event_log_key(space: SpaceId) -> Vec<u8> {
    [b"e".as_slice(), &space.0.to_be_bytes()].concat()
}

/// Key of the event at `position`.
pub(crate) fn event_key(space: SpaceId, position: EventPosition) -> Vec<u8> {
    [space.0.to_be_bytes().as_slice(), &position.revision.0.to_be_bytes(), &position.number.to_be_bytes()]
        .concat()
}

/// Keys of a binding, from either side.
pub(crate) fn binding_keys(source: SpaceId, handler: SpaceId, filter: &TopicFilter) -> [Vec<u8>; 2] {
    let (kind, text) = match filter {
        TopicFilter::Exact(topic) => (b"e", topic),
        TopicFilter::Prefix(prefix) => (b"p", prefix),
    };
    [(b"o", source, handler), (b"p", handler, source)].map(|(side, one, other)| {
        [side.as_slice(), &one.0.to_be_bytes(), &other.0.to_be_bytes(), kind, text.as_bytes()].concat()
    })
}

pub(crate) fn event_position(key: &[u8]) -> Result<EventPosition, Fatal> {
    let parts = key.get(4..).and_then(|rest| rest.split_first_chunk::<8>());
    let parts = parts.and_then(|(revision, number)| Some((revision, number.try_into().ok()?)));
    let (revision, number) = parts.ok_or_else(|| damaged("the key of an event"))?;
    Ok(EventPosition {
        revision: Revision(u64::from_be_bytes(*revision)),
        number: u32::from_be_bytes(number),
    })
}

pub(crate) fn space_at(key: &[u8], at: usize) -> Result<SpaceId, Fatal> {
    let id = key.get(at..at + 4).and_then(|id| id.try_into().ok());
    id.map(|id| SpaceId(u32::from_be_bytes(id))).ok_or_else(|| damaged("the id of a space"))
}

fn filter_of(key: &[u8]) -> Result<TopicFilter, Fatal> {
    let text = |bytes: &[u8]| {
        core::str::from_utf8(bytes).map(String::from).map_err(|_| damaged("the filter of a binding"))
    };
    match key.get(9..).and_then(|filter| filter.split_first()) {
        Some((b'e', topic)) => text(topic).map(TopicFilter::Exact),
        Some((b'p', prefix)) => text(prefix).map(TopicFilter::Prefix),
        _ => Err(damaged("the filter of a binding")),
    }
}
