//! Watches: clients that are told the events of a space, in order, each once, one revision's
//! together, from where they start.
//!
//! No watch has a queue. A space that is watched keeps a bounded `tail` of its last events in
//! memory, shared by all; a watch is a place in it. What a watch wants and has not got is found
//! when its transport asks for it, so back-pressure is the transport's, and a watch whose place is
//! before the tail reads pages of the store. The apply thread only appends to a bounded `feed`; the
//! hub's own task says whom an event concerns, by an `index` whose cost is that of the matches.
//! When the feed overflows, or a snapshot jumped over entries, watches read on in the store.
//!
//! It knows nothing of gRPC: an event is bytes that the node's function made of it, once for each
//! form, however many watches it goes to.
use std::time::Duration;

use bytes::Bytes;
use synod_abi::{Revision, SpaceId, Time, TopicFilter};

use crate::failure::{CallFailure, Value};
use crate::member::{Args, QueryOptions};

mod deliver;
mod event;
mod feed;
mod hub;
mod index;
mod pack;
mod pages;
mod start;
mod stream;
mod streams;
mod tail;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use hub::Hub;
pub use stream::WatchStream;

/// Watches of one stream.
pub const WATCHES_PER_STREAM: usize = 16_384;
/// Watches of one member.
pub const WATCHES_PER_MEMBER: usize = 262_144;
/// Watches of one stream that are being created, or of which the transport has not taken yet that
/// they were; further ones wait.
pub const WATCH_CREATES: usize = 64;
/// Bytes of encoded events in one batch, unless it is a single larger event.
pub const UPDATE_BYTES: usize = 1_024 * 1_024;
/// A stream that takes nothing for [`WATCH_STUCK`], while more than this was published for it, is
/// stuck: its watches that have something to take are cancelled.
pub const WATCH_UNREAD_BYTES: usize = 8 * 1_024 * 1_024;
/// See [`WATCH_UNREAD_BYTES`].
pub const WATCH_STUCK: Duration = Duration::from_millis(250);
/// How often a stream is told how far its watches are.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// How much of what watches want is held; only tests use other than the default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchLimits {
    /// Events that may wait for the hub.
    pub(crate) feed_events: usize,
    /// Bytes of their topics and payloads.
    pub(crate) feed_bytes: usize,
    /// Bytes that events in memory count for, of all spaces.
    pub(crate) tail_bytes: usize,
    /// Bytes of events that one read of the store takes.
    pub(crate) page_bytes: usize,
    /// Bytes of encoded events in one batch.
    pub(crate) update_bytes: usize,
}

impl Default for WatchLimits {
    fn default() -> Self {
        Self {
            feed_events: 65_536,
            feed_bytes: 16 * 1_024 * 1_024,
            tail_bytes: 64 * 1_024 * 1_024,
            page_bytes: 512 * 1_024,
            update_bytes: UPDATE_BYTES,
        }
    }
}

/// A watch, as its client calls it within its stream; from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// The form of events' payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventForm {
    /// JSON, by the space's schema; a base64 string if that does not fit.
    #[default]
    Json,
    /// postcard.
    Postcard,
}

/// Where a watch starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// Behind everything that was acknowledged before it was asked for.
    Now,
    /// At this revision.
    Revision(Revision),
    /// With everything that is kept.
    Oldest,
    /// Behind the state that a query read.
    Query {
        /// Its name.
        query: String,
        /// Its arguments, which its result has the form of.
        args: Args,
        /// How it reads.
        options: QueryOptions,
    },
}

/// A watch to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWatch {
    /// Chosen by the client, from 1; not that of another watch of the stream.
    pub id: WatchId,
    /// The space.
    pub space: String,
    /// Which of its events.
    pub filter: TopicFilter,
    /// From where on.
    pub start: WatchStart,
    /// In which form payloads are wanted.
    pub form: EventForm,
    /// Of the type that postcard is decoded as, see `synod_abi::schema::Emits`; 0: any.
    pub signature: u64,
    /// The space that the name must mean, to come back.
    pub space_id: Option<SpaceId>,
}

/// An event, as it is encoded for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRef<'a> {
    /// Revision of its command.
    pub revision: Revision,
    /// Counts the events of its space in that revision, from 0.
    pub number: u32,
    /// Cluster time of its entry.
    pub time: Time,
    /// What it is about.
    pub topic: &'a str,
    /// What its recipe emitted.
    pub payload: &'a Value,
}

/// Encodes an event for clients, once for each form.
pub type EncodeEvent = fn(EventRef<'_>) -> Vec<u8>;

/// What the transport takes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// Revision of this member's state.
    pub revision: Revision,
    /// Cluster time of it.
    pub time: Time,
    /// In order.
    pub updates: Vec<WatchUpdate>,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchUpdate {
    /// A watch is there.
    Created {
        /// Which.
        id: WatchId,
        /// Events behind this revision follow.
        revision: Revision,
        /// The space, to come back.
        space: SpaceId,
        /// The query's result.
        result: Option<Value>,
        /// Cluster time of the state that was read.
        time: Time,
    },
    /// Events, as the node encoded them: all of their revisions, unless it is partial.
    Events {
        /// Whose.
        id: WatchId,
        /// In order of revision and number.
        events: Vec<Bytes>,
        /// Whether further events of the last one's revision follow in the watch's next update.
        partial: bool,
    },
    /// Every watch of the stream that was created has got every event up to this revision.
    Progress {
        /// Which.
        revision: Revision,
        /// Cluster time of it.
        time: Time,
    },
    /// A watch is no more, or was not created.
    Cancelled {
        /// Which.
        id: WatchId,
        /// Why; `None`: its client cancelled it.
        failure: Option<CallFailure>,
        /// The revision to come back at; `None`: there is no coming back.
        resume: Option<Revision>,
        /// Every event of this revision or an earlier one is forgotten, if that is why.
        compacted: Option<Revision>,
    },
}
