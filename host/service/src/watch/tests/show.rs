//! What transcripts show: updates as a client gets them, and positions as the hub has them.
use std::fmt::Write as _;

use synod_abi::Reason;
use synod_machine::events::EventPosition;

use crate::failure::{CallFailure, Value};
use crate::testing::watching::read;
use crate::watch::hub::Hub;
use crate::watch::position::{Next, Position};
use crate::watch::state::State;
use crate::watch::streams::{Slot, StreamKey};
use crate::watch::tail::Reach;
use crate::watch::{WatchId, WatchUpdate};

/// More events than this are shown by the first and last.
const SHOWN: usize = 6;

fn failure(failure: &CallFailure) -> String {
    match failure {
        CallFailure::Rejected(rejected) => format!("{}: {}", rejected.reason.as_str(), rejected.message),
        CallFailure::Unavailable { reason, message, .. } => {
            format!("{}: {message}", Reason::from(*reason).as_str())
        }
        other => other.to_string(),
    }
}

fn update(update: &WatchUpdate) -> String {
    match update {
        WatchUpdate::Created { id, revision, space, result, .. } => {
            let result = match result {
                Some(Value::Json(text)) => format!(", the query returned {text}"),
                Some(Value::Postcard(_)) | None => String::new(),
            };
            format!("created {} in space {space} after revision {revision}{result}", id.0)
        }
        WatchUpdate::Events { id, events, partial: false } if events.is_empty() => {
            format!("events {}: none, the revision is complete", id.0)
        }
        WatchUpdate::Events { id, events, partial } => {
            let mut shown: Vec<String> = events
                .iter()
                .map(read)
                .map(|event| format!("{}.{} {}", event.revision, event.number, event.topic))
                .collect();
            if shown.len() > SHOWN {
                let hidden = shown.len() - 2;
                shown.splice(1..=hidden, [format!("… {hidden} more …")]);
            }
            let more = if *partial { ", the revision continues" } else { "" };
            format!("events {}: {}{more}", id.0, shown.join(", "))
        }
        WatchUpdate::Progress { revision, .. } => format!("progress: everything up to {revision}"),
        WatchUpdate::Cancelled { id, failure: why, resume, compacted } => {
            let mut line = format!("cancelled {}", id.0);
            line += if why.is_some() { "" } else { " by its client" };
            line += &compacted.map_or(String::new(), |through| format!(", compacted through {through}"));
            line += &resume.map_or(", no resuming".to_owned(), |resume| format!(", resume at {resume}"));
            line += &why.as_ref().map_or(String::new(), |why| format!("\n  {}", failure(why)));
            line
        }
    }
}

/// One line for each update, and one for the failure of those that have one.
pub(super) fn updates(updates: &[WatchUpdate]) -> String {
    updates.iter().map(update).collect::<Vec<_>>().join("\n")
}

fn place(at: EventPosition) -> String {
    match at.number {
        0 if at.revision.0 == u64::MAX => "the end of the space".to_owned(),
        0 => at.revision.to_string(),
        number => format!("{}.{number}", at.revision),
    }
}

fn next(next: Next) -> String {
    match next {
        Next::From(at) => format!("from {}", place(at)),
        Next::Rest(at) => format!("the rest of a revision from {}", place(at)),
    }
}

fn position(state: &State, id: WatchId, slot: Slot) -> String {
    let watch = match slot {
        Slot::Creating => return "being created".to_owned(),
        Slot::Abandoned => return "cancelled while being created".to_owned(),
        Slot::Open(key) => state.watches.get(&key).expect("an open watch"),
    };
    assert_eq!(watch.id, id);
    let tail = state.tails.get(watch.space).expect("the tail of a watched space");
    let reach = match tail.reach(watch.position.at()) {
        Reach::Tail => "in the tail",
        Reach::Store => "in the store",
    };
    let position = match watch.position {
        Position::Following(at) => format!("follows the tail, wants nothing before {}", place(at)),
        Position::Queued(at) => format!("queued, {}, {reach}", next(at)),
        Position::InHand(at) => format!("in hand, {}, {reach}", next(at)),
        Position::Overtaken(at) => format!("in hand, {}, {reach}; more was published", next(at)),
    };
    format!("{}: {position}", watch.filter)
}

/// One line for each watch of a stream.
pub(super) fn positions(hub: &Hub, stream: StreamKey) -> String {
    hub.with(|state| {
        let mut text = String::new();
        match state.streams.get(&stream) {
            None => text += "no such stream",
            Some(of) if of.slots.is_empty() => text += "no watches",
            Some(of) => {
                for (id, slot) in &of.slots {
                    writeln!(text, "{} {}", id.0, position(state, *id, *slot)).expect("a string grows");
                }
            }
        }
        text
    })
}
