//! What became of a command.
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use synod_abi::{AdmissionError, Blob, Fault, InvalidName, ModuleHash, RecipeRef, Revision, SpaceId, Time, limits};

use crate::{Origin, Write};

/// What applying an entry did: a value, carried out by others.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Rows to write, in order, the head's among them.
    pub writes: Vec<Write>,
    /// One outcome per command, in order.
    pub outcomes: Vec<CommandOutcome>,
    /// Digest of the chain after the entry.
    pub chain: [u8; 32],
    /// Digest of the state after the entry.
    pub state: [u8; 32],
    /// Whether the directory of recipes or spaces changed, so that caches of it are stale.
    pub directory_changed: bool,
    /// Lines that recipes wrote for people, at most `limits::LOG_RING_LINES`. Local.
    pub logs: Vec<LogLine>,
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
}

/// Why a command left nothing behind. Deterministic and replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The recipe refused.
    Recipe {
        /// The code of its error.
        code: u32,
        /// postcard of its error.
        error: Blob,
    },
    /// The host ended the call.
    Fault(Fault),
    /// No such space.
    UnknownSpace,
    /// No such recipe, or not this version.
    UnknownRecipe,
    /// The recipe has no such operation.
    UnknownOperation,
    /// The arguments are longer than `limits::ARGS_BYTES`.
    ArgumentsTooLong,
    /// The module is not admitted.
    NotAdmitted(AdmissionError),
    /// Another module is installed under this name and version.
    RecipeExists {
        /// Its hash.
        hash: ModuleHash,
    },
    /// A space uses the recipe.
    RecipeInUse,
    /// A space of this name has another recipe or version.
    SpaceExists {
        /// Its recipe.
        recipe: RecipeRef,
    },
    /// The upgrade changes what it may only append to.
    IncompatibleUpgrade(Incompatible),
    /// As many recipes or spaces as the cluster may have.
    TooMany {
        /// `limits::RECIPES` or `limits::SPACES`.
        limit: u64,
    },
    /// The cluster has its name already.
    AlreadyFormed,
    /// The entry's write limit was reached before this command: it was not executed and is proposed again.
    Deferred,
    /// A name is not valid.
    InvalidName(InvalidName),
    /// The caller may not do this.
    NotAllowed,
    /// The cluster has no name or no execution environment yet: its first leader gives it both, before anything else.
    NotFormed,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe { code, .. } => write!(f, "the recipe refused with code {code}"),
            Self::Fault(fault) => fault.fmt(f),
            Self::UnknownSpace => f.write_str("there is no such space; create it, or look at the list of spaces"),
            Self::UnknownRecipe => f.write_str("there is no such recipe, or not this version; install it first"),
            Self::UnknownOperation => f.write_str("the recipe has no such operation"),
            Self::ArgumentsTooLong => write!(f, "the arguments are longer than {} bytes; send less in one call", limits::ARGS_BYTES),
            Self::NotAdmitted(error) => error.fmt(f),
            Self::RecipeExists { hash } => {
                write!(f, "another module, {hash}, is installed under this name and version; count the version up")
            }
            Self::RecipeInUse => f.write_str("spaces use this recipe; upgrade or delete them first"),
            Self::SpaceExists { recipe } => write!(f, "the space exists and runs {recipe}; upgrade it, or choose another name"),
            Self::IncompatibleUpgrade(incompatible) => incompatible.fmt(f),
            Self::TooMany { limit } => write!(f, "the cluster has {limit} of them already, which is the limit; remove some first"),
            Self::AlreadyFormed => f.write_str("the cluster has its name already"),
            Self::Deferred => {
                write!(f, "the entry has written {} bytes before this command, which is proposed again", limits::ENTRY_WRITE_BYTES)
            }
            Self::InvalidName(error) => error.fmt(f),
            Self::NotAllowed => f.write_str("the caller may not do this"),
            Self::NotFormed => f.write_str("the cluster is not formed yet; try again when its first leader has named it"),
        }
    }
}

impl core::error::Error for Rejection {}

/// What an upgrade would break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incompatible {
    /// The operation, query or state field.
    pub name: String,
    /// What is wrong with it.
    pub change: Change,
}

/// A change that an upgrade without migration may not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It is gone.
    Removed,
    /// Its arguments changed otherwise than by optional ones appended.
    Arguments,
    /// Its result changed otherwise than by variants appended.
    Result,
    /// Its errors changed otherwise than by variants appended.
    Errors,
    /// A state field has another kind.
    Kind,
    /// A state field has other keys.
    Key,
    /// A state field's values changed otherwise than by variants appended.
    Value,
    /// The space has this version or a later one.
    NotNewer,
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.change {
            Change::Removed => write!(f, "`{name}` is gone; an upgrade without migration may only append"),
            Change::Arguments => write!(f, "the arguments of `{name}` changed; only optional ones may be appended"),
            Change::Result => write!(f, "the result of `{name}` changed; only enum variants may be appended"),
            Change::Errors => write!(f, "the errors of `{name}` changed; only variants may be appended"),
            Change::Kind => write!(f, "the state field `{name}` has another kind"),
            Change::Key => write!(f, "the keys of the state field `{name}` changed"),
            Change::Value => write!(f, "the values of the state field `{name}` changed; only enum variants may be appended"),
            Change::NotNewer => write!(f, "the space already has version {name} or a later one"),
        }
    }
}
