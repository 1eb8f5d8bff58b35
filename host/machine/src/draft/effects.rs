//! What the commands of an entry did beside writing rows, as values that others carry out.
use alloc::string::String;
use alloc::vec::Vec;

use synod_abi::{EntryPoint, RequestId, Revision, SessionId, SpaceId};

use crate::log::command::DigestRecord;
use crate::log::outcome::Outcome;
use crate::rows::events::{EventLog, StoredEvent};

/// A parked call that has its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Whose.
    pub session: SessionId,
    /// Which.
    pub request: RequestId,
    /// The outcome; its revision is that of the command that completed it.
    pub outcome: Outcome,
}

/// An event, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// The space that emitted it.
    pub space: SpaceId,
    /// Revision of the command that it was emitted in.
    pub revision: Revision,
    /// Counts the events of the space in that revision, from 0.
    pub number: u32,
    /// What is stored of it.
    pub event: StoredEvent,
}

/// What a space keeps of its events changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventLogChange {
    /// Which space.
    pub space: SpaceId,
    /// What it keeps now; `None`: it was deleted.
    pub log: Option<EventLog>,
}

/// A session came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// It was opened.
    Opened {
        /// Which.
        session: SessionId,
        /// Its time to live, in milliseconds.
        ttl_ms: u64,
        /// Hash of its secret.
        secret_hash: [u8; 32],
    },
    /// It ended.
    Ended {
        /// Which.
        session: SessionId,
    },
}

/// A line that a recipe wrote for people. Local: no part of any state or outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The space that it ran in.
    pub space: SpaceId,
    /// What of its recipe ran.
    pub entry_point: EntryPoint,
    /// From 1 (error) to 5 (trace).
    pub level: u8,
    /// At most `limits::LOG_LINE_BYTES`.
    pub text: String,
}

/// What the commands of an entry did beside writing rows.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) completions: Vec<Completed>,
    pub(crate) sessions: Vec<SessionChange>,
    pub(crate) checkpoints: Vec<DigestRecord>,
    pub(crate) logs: Vec<LogLine>,
}
