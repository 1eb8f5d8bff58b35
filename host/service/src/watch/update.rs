//! What a stream's transport takes: updates of watches, in batches. Events in them are bytes that
//! the node's [`EncodeEvent`] made; this room knows nothing of gRPC.
use bytes::Bytes;
use synod_abi::{Revision, SpaceId, Time};

use crate::failure::{CallFailure, Value};

/// A watch, numbered by its client within the stream, from 1.
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

/// An event to encode for clients.
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

/// Encodes an event for clients; called once for each event and form.
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

/// One update of a watch, or of all watches of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchUpdate {
    /// The watch exists.
    Created {
        /// Which.
        id: WatchId,
        /// The watch gets every event it wants after this revision.
        revision: Revision,
        /// The space; a client that resumes names it, to notice when another one has its name.
        space: SpaceId,
        /// The query's result.
        result: Option<Value>,
        /// Cluster time of the state that was read.
        time: Time,
    },
    /// Encoded events: all of their revisions, unless it is partial.
    Events {
        /// Whose.
        id: WatchId,
        /// In order of revision and number.
        events: Vec<Bytes>,
        /// Whether the watch's next update continues the last event's revision.
        partial: bool,
    },
    /// Every watch of the stream has every event it wants up to this revision.
    Progress {
        /// Which.
        revision: Revision,
        /// Cluster time of it.
        time: Time,
    },
    /// The watch ended, or was not created.
    Cancelled {
        /// Which.
        id: WatchId,
        /// Why; `None`: its client cancelled it.
        failure: Option<CallFailure>,
        /// The revision to resume at; `None`: it cannot be resumed.
        resume: Option<Revision>,
        /// The last compacted revision, if the watch ended because events it wants were compacted.
        compacted: Option<Revision>,
    },
}

impl WatchUpdate {
    /// Its share of a batch in bytes, about.
    pub(super) fn size(&self) -> usize {
        const FRAME: usize = 64;
        let content = match self {
            Self::Created { result: Some(result), .. } => result.len(),
            Self::Events { events, .. } => events.iter().map(Bytes::len).sum(),
            Self::Cancelled { failure: Some(failure), .. } => failure.to_string().len(),
            Self::Created { .. } | Self::Progress { .. } | Self::Cancelled { .. } => 0,
        };
        FRAME + content
    }
}
