//! What of a watch's events goes into one update: whole revisions, unless one is too large for any.
use std::sync::Arc;

use bytes::Bytes;
use synod_abi::Revision;
use synod_machine::events::EventPosition;

use super::event::SharedEvent;

/// How much may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A batch of its own: something is taken, even if it is too large.
    Whole,
    /// What is left of a batch.
    Rest(usize),
}

/// What was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) events: Vec<Bytes>,
    pub(super) bytes: usize,
    pub(super) partial: bool,
    /// Where the watch is then.
    pub(super) position: EventPosition,
    /// Whether all of it was taken.
    pub(super) all: bool,
}

/// Takes what fits of `events`, which are all that a watch at `from` wants before `end`.
pub(super) fn pack(
    from: EventPosition,
    events: &[Arc<SharedEvent>],
    end: EventPosition,
    room: Room,
    limit: usize,
    encoded: impl Fn(&SharedEvent) -> Bytes,
) -> Packed {
    let most = match room {
        Room::Whole => limit,
        Room::Rest(rest) => rest,
    };
    let (mut taken, mut bytes) = (Vec::new(), 0);
    for event in events {
        let next = encoded(event);
        if bytes + next.len() > most && !(room == Room::Whole && taken.is_empty()) {
            break;
        }
        bytes += next.len();
        taken.push(next);
    }
    let whole = |revision: Revision| end.revision > revision;
    let next = events.get(taken.len()).map(|event| event.position);
    let open = match (events[..taken.len()].last(), next) {
        (_, Some(next)) => next.revision,
        (Some(last), None) if !whole(last.position.revision) => last.position.revision,
        _ => return Packed { events: taken, bytes, partial: false, position: end, all: true },
    };
    let complete = events[..taken.len()].partition_point(|event| event.position.revision < open);
    if complete == taken.len() || complete > 0 || room != Room::Whole {
        for dropped in taken.drain(complete..) {
            bytes -= dropped.len();
        }
        let position = if complete == 0 && from.revision == open { from } else { EventPosition::at(open) };
        return Packed { events: taken, bytes, partial: false, position, all: false };
    }
    let position = next.unwrap_or(end);
    Packed { events: taken, bytes, partial: true, position, all: next.is_none() }
}
