//! Which of a watch's events go into one update: complete revisions, unless one is larger than any
//! update.
use std::sync::Arc;

use bytes::Bytes;
use synod_abi::Revision;
use synod_machine::events::EventPosition;

use super::event::SharedEvent;
use super::position::Next;

/// How much may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A batch of its own: at least one event is taken, even if it is too large.
    Whole,
    /// What is left of a batch, in bytes.
    Rest(usize),
}

/// The events of one update.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) events: Vec<Bytes>,
    pub(super) bytes: usize,
    /// Where the watch goes on.
    pub(super) next: Next,
    /// Whether all events were taken.
    pub(super) all: bool,
}

impl Packed {
    /// Whether the watch's next update continues the last event's revision.
    pub(super) fn is_partial(&self) -> bool {
        !self.events.is_empty() && matches!(self.next, Next::Rest(_))
    }
}

/// Takes what fits of `events`, which are all that a watch at `from` wants before `end`.
pub(super) fn pack(
    from: Next,
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
    let mut taken = Vec::new();
    let mut bytes = 0;
    for event in events {
        let next = encoded(event);
        if bytes + next.len() > most && !(room == Room::Whole && taken.is_empty()) {
            break;
        }
        bytes += next.len();
        taken.push(next);
    }
    let following = events.get(taken.len()).map(|event| event.position);
    let last = events[..taken.len()].last().map(|event| event.position.revision);
    let Some(cut) = cut_revision(last, following, end) else {
        let next = if taken.is_empty() { from.moved_to(end) } else { Next::From(end) };
        return Packed { events: taken, bytes, next, all: true };
    };
    let complete = events[..taken.len()].partition_point(|event| event.position.revision < cut);
    if complete == taken.len() || complete > 0 || room != Room::Whole {
        for dropped in taken.drain(complete..) {
            bytes -= dropped.len();
        }
        let untouched = complete == 0 && from.at().revision == cut;
        let position = if untouched { from.at() } else { EventPosition::at(cut) };
        let next = if taken.is_empty() { from.moved_to(position) } else { Next::From(position) };
        return Packed { events: taken, bytes, next, all: false };
    }
    let next = Next::Rest(following.unwrap_or(end));
    Packed { events: taken, bytes, next, all: following.is_none() }
}

/// The revision that the end of what was taken cuts in two or leaves out: `last` was taken last,
/// `following` is the first event that was not. `None` if everything up to `end` was taken.
fn cut_revision(
    last: Option<Revision>,
    following: Option<EventPosition>,
    end: EventPosition,
) -> Option<Revision> {
    match following {
        Some(following) => Some(following.revision),
        None => last.filter(|last| end.revision <= *last),
    }
}
