//! Watches: each client gets the events of a space that it asked for, in order, each once, all of
//! one revision together, from where its watch starts.
//!
//! A watch has no queue of events. A watched space keeps a bounded `tail` of its last events in
//! memory, shared by all its watches; a watch is a `position` in it. Its events are looked up
//! when its transport polls, so back-pressure is the transport's; a watch whose position lies
//! before the tail reads pages of the store. The apply thread only appends to a bounded `feed`;
//! the hub's own task finds the watches that want an event, by an `index` whose cost is that of
//! the matches. When the feed overflows, or a snapshot skips entries, watches go on in the store.
//!
//! It knows nothing of gRPC: an event is bytes that the node's [`EncodeEvent`] makes, once for each
//! form, however many watches get it. Who may watch, where a watch starts, and the stream that a
//! transport polls are the member's, in `member::watches`.
//!
//! Each file imports only files of lines below its own:
//!
//! ```text
//! task  deliver                          the hub's task; what a poll of a stream takes
//! hub                                    the lock around everything below
//! publish  plan                          events reach watches; polls take watches in hand
//! state                                  watches and streams, how they begin and end
//! streams  tail  pack  feed  pages       what a stream, a space, an update and the store hold
//! position  index  event                 parts of those
//! end                                    why a watch ends, and where it resumes
//! update  limits                         what clients get; bounds
//! ```
mod deliver;
mod end;
mod event;
mod feed;
mod hub;
mod index;
mod limits;
mod pack;
mod pages;
mod plan;
mod position;
mod publish;
mod state;
mod streams;
mod tail;
mod task;
#[cfg(test)]
mod tests;
mod update;

pub(crate) use deliver::{Delivery, Reading};
pub(crate) use end::End;
pub(crate) use hub::{Hub, Reservation};
pub(crate) use limits::WatchLimits;
pub use limits::{
    PROGRESS_INTERVAL, UPDATE_BYTES, WATCH_CREATES, WATCH_STUCK, WATCH_UNREAD_BYTES, WATCHES_PER_MEMBER,
    WATCHES_PER_STREAM,
};
pub(crate) use state::Begin;
pub(crate) use streams::StreamKey;
pub use update::{EncodeEvent, EventForm, EventRef, WatchBatch, WatchId, WatchUpdate};
