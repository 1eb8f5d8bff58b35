//! What became of a command.
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Blob, ModuleHash, RecipeRef, RequestId, Revision, SessionId, SpaceId, TicketId, Time};

use crate::log::command::Origin;
use crate::log::rejection::Rejection;
use crate::ports::Write;
use crate::rows::events::{EventLog, StoredEvent};

/// What applying an entry did: a value, carried out by others.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Rows to write, in order, the head's among them.
    pub writes: Vec<Write>,
    /// One outcome per command, in order.
    pub outcomes: Vec<CommandOutcome>,
    /// Outcomes of calls that were parked before, or by this entry, and got them in it: in the
    /// order in which they did.
    pub completions: Vec<Completed>,
    /// Sessions that were opened or ended, in order.
    pub sessions: Vec<SessionChange>,
    /// Events that were emitted, by revision and number.
    pub events: Vec<Emitted>,
    /// What spaces keep of their events, of those where that changed: once each, by id.
    pub event_logs: Vec<EventLogChange>,
    /// When the next timer is due, if there is one.
    pub next_timer: Option<Time>,
    /// Digest of the chain after the entry.
    pub chain: [u8; 32],
    /// Digest of the state after the entry.
    pub state: [u8; 32],
    /// Whether the directory of recipes or spaces changed, so that caches of it are stale.
    pub directory_changed: bool,
    /// Lines that recipes wrote for people, at most `limits::LOG_RING_LINES`. Local.
    pub logs: Vec<LogLine>,
}

/// A parked call that has its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Whose.
    pub session: SessionId,
    /// Which.
    pub request: RequestId,
    /// What became of it: the revision is that of the command that completed it.
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
    /// From 1 (error) to 5 (trace).
    pub level: u8,
    /// At most `limits::LOG_LINE_BYTES`.
    pub text: String,
}

/// A command's outcome, and who waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutcome {
    /// Who waits.
    pub origin: Origin,
    /// What became of it.
    pub outcome: Outcome,
    /// Fuel it used, for the proposer's estimates. Local.
    pub fuel: u64,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The command's revision; of a rejected one: the revision of the state that rejected it.
    pub revision: Revision,
    /// Cluster time of its entry.
    pub time: Time,
    /// Its result.
    pub result: Result<Reply, Rejection>,
}

/// What a command that was not rejected answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// The encoded result of an operation.
    Result(Blob),
    /// A recipe is installed.
    Installed {
        /// Its name and version.
        recipe: RecipeRef,
        /// Hash of its module.
        hash: ModuleHash,
        /// Whether it was there before.
        already: bool,
    },
    /// A space is there.
    Space {
        /// Its id.
        space: SpaceId,
        /// Its recipe.
        recipe: RecipeRef,
        /// Whether it was there before.
        already: bool,
    },
    /// A session is open.
    Session {
        /// Which.
        session: SessionId,
        /// Its time to live, in milliseconds.
        ttl_ms: u64,
        /// Whether it was opened before, with this nonce.
        already: bool,
    },
    /// The call waits: its outcome comes from another command.
    Parked {
        /// Its ticket.
        ticket: TicketId,
    },
    /// A request is given up.
    Cancelled {
        /// What it was.
        was: Cancelled,
    },
    /// A space is bound to another.
    Bound {
        /// Whether it was before, with this filter; what becomes of failures is as asked for now.
        already: bool,
    },
    /// Events were forgotten.
    Compacted {
        /// The revision of the last event that is forgotten, by this command or before; 0: none is.
        through: Revision,
        /// How many this command took away.
        events: u64,
        /// Whether events up to the wanted revision are left: the same again takes them away.
        more: bool,
    },
}

/// What a request was when it was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cancelled {
    /// It had not run, and never will.
    NotRun,
    /// It waited, and does not any more.
    Waiting,
    /// It had a result that could be given back, and the recipe was told to.
    Granted,
    /// It had an outcome that stays, or was acknowledged: nothing changed.
    Final,
}
