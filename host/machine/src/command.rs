//! What the log holds: entries of many commands.
//!
//! The encoding is postcard and append-only: variants and fields are only added at the end, and golden bytes of every
//! variant are tests. An unknown variant is [`Fatal`](crate::Fatal), because a member that skipped it would differ.
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Blob, ClusterId, MemberId, OperationId, RecipeName, RecipeRef, SpaceId, SpaceName, Time};

use crate::Environment;

/// One record of the Raft log, as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The leader's clock when it packed the entry; the machine takes the larger of it and its own time.
    pub stamp: Time,
    /// In order; at most `limits::ENTRY_COMMANDS`.
    pub commands: Vec<Command>,
}

/// One replicated step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Who waits for the outcome.
    pub origin: Origin,
    /// In whose name it runs.
    pub caller: Caller,
    /// What it does.
    pub action: Action,
}

/// The proposal that a command came from: the member that took it in answers its client from its own apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The member that the client talks to.
    pub member: MemberId,
    /// Which start of that member.
    pub incarnation: u64,
    /// Counts its proposals, from 1; 0 if nobody waits.
    pub sequence: u64,
}

/// In whose name a command runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// In which session.
    pub session: Option<synod_abi::SessionId>,
}

/// Who may do what is decided about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Principal {
    /// Everyone, until there is authentication.
    #[default]
    Anyone,
    /// The cluster itself.
    System,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Names the cluster: the first leader of a new one does it, once; later ones are rejected.
    FormCluster {
        /// Drawn by the proposer.
        cluster: ClusterId,
    },
    /// Changes the execution environment.
    SetEnvironment {
        /// The new one.
        environment: Environment,
    },
    /// Makes a recipe known. Alone in its entry. The same module under the same reference again is no error.
    InstallRecipe {
        /// The module's original bytes; name and version are in its schema.
        module: Blob,
        /// Whether other bytes under the same name and version are replaced, and its spaces moved to them (`synod dev --replace`).
        replace: bool,
    },
    /// Forgets a recipe that no space uses.
    RemoveRecipe {
        /// Which.
        recipe: RecipeRef,
    },
    /// Creates a space. The same again with the same recipe is no error.
    CreateSpace {
        /// Its name.
        name: SpaceName,
        /// The recipe's name.
        recipe: RecipeName,
        /// Its version; the largest installed one if absent.
        version: Option<u32>,
    },
    /// Moves a space to another version of its recipe that only appends to the present one.
    UpgradeSpace {
        /// Which.
        name: SpaceName,
        /// The version.
        to: u32,
    },
    /// Deletes a space and its rows.
    DeleteSpace {
        /// Which.
        name: SpaceName,
    },
    /// Runs an operation.
    Call(Call),
}

/// A call of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Where.
    pub space: SpaceId,
    /// What.
    pub operation: OperationId,
    /// postcard of the tuple of arguments.
    pub args: Blob,
}
