//! Outcomes of commands.
//!
//! An outcome is replicated: part of the digest chain, and kept for requests of sessions.
use serde::{Deserialize, Serialize};
use synod_abi::{Blob, Fault, ModuleHash, RecipeRef, Revision, SessionId, SpaceId, TicketId, Time};

use crate::log::command::Origin;
use crate::log::rejection::Rejection;

/// A command's outcome, with the proposal that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutcome {
    /// Who waits.
    pub origin: Origin,
    /// The outcome.
    pub outcome: Outcome,
    /// Fuel it used: the same whatever else is in its entry. Local.
    pub fuel: u64,
    /// What it counted towards the ceiling of its entry, for the proposer's estimates. Local.
    pub cost: u64,
}

/// The outcome of a command.
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
    /// Success, without a value.
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
    /// A hook that was owed is settled, or still is.
    Settled(Settled),
}

/// How settling a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    /// It ran, and is owed no more.
    Done,
    /// It ran, and has more to do in commands that follow.
    More,
    /// It failed again, and stays owed.
    Failed(Fault),
    /// It is forgotten.
    Dropped,
}

/// What a request was when it was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cancelled {
    /// It had not run, and never will.
    NotRun,
    /// It waited, and does not any more.
    Waiting,
    /// It had a result that could be given back, and the recipe's hook ran to do that.
    Granted,
    /// It had an outcome that stays, or was acknowledged: nothing changed.
    Final,
}
