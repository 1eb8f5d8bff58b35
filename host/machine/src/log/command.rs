//! What the log holds: entries of many commands.
//!
//! The encoding is postcard and append-only: variants and fields are only added at the end, and
//! golden bytes of every variant are tests. An unknown variant is [`Fatal`](crate::Fatal), because
//! a member that skipped it would differ.
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{
    Blob, ClusterId, MemberId, OperationId, RecipeName, RecipeRef, RequestId, Revision, SessionId, SpaceId,
    SpaceName, Time, TopicFilter, limits,
};

use crate::log::environment::Environment;

/// One record of the Raft log, as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The leader's clock when it packed the entry; the machine takes the larger of it and its own
    /// time.
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

/// The proposal that a command came from: the member that took it in answers its client from its
/// own apply.
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

impl Action {
    /// How many kinds of actions there are: the number that an encoded action begins with is
    /// smaller.
    pub const KINDS: u32 = 22;
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Names the cluster: the first leader of a new one does it, once; later ones are rejected.
    FormCluster {
        /// Drawn by the proposer.
        cluster: ClusterId,
    },
    /// Gives a new cluster its execution environment, once. The same again is no error.
    SetEnvironment {
        /// The first one.
        environment: Environment,
    },
    /// Makes a recipe known. Alone in its entry. The same module under the same reference again is
    /// no error.
    InstallRecipe {
        /// The module's original bytes; name and version are in its schema.
        module: Blob,
        /// Whether other bytes under the same name and version are replaced, and its spaces moved
        /// to them (`synod dev --replace`).
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
    /// Runs an operation, outside of any session: its caller has none.
    Call(Call),
    /// Opens a session of the caller's principal. The same nonce again, while that session lives,
    /// is no error.
    OpenSession(OpenSession),
    /// Ends a session: its parked calls are given up, its outcomes forgotten, and every recipe that
    /// it called hears of it. Without effect if there is none, which only [`EndCause::Closed`] is
    /// told.
    EndSession {
        /// Which.
        session: SessionId,
        /// Why.
        cause: EndCause,
    },
    /// Runs an operation in the caller's session, with effect once per request id.
    SessionCall(SessionCall),
    /// Gives up a request of the caller's session: what waits stops waiting, what was granted and
    /// not acknowledged is given back by the recipe's hook, what has not run never will.
    CancelRequest {
        /// Which.
        request: RequestId,
    },
    /// Fires what is due, up to `limits::TICK_TIMERS`. Only a leader proposes it, in its own term.
    Tick,
    /// Sets between which times to live sessions are opened from now on.
    SetSessionBounds {
        /// The new ones.
        bounds: SessionBounds,
    },
    /// Binds a space to another's events: its handler runs in the command that emits them. The same
    /// again is no error, and may change what becomes of failures.
    BindSpace {
        /// Which events reach whom.
        binding: Binding,
        /// Whether a failure of the handler rejects the command that emitted the event.
        on_failure: OnFailure,
    },
    /// Takes a binding back. No guest code runs.
    UnbindSpace {
        /// Which.
        binding: Binding,
    },
    /// Sets how much of its past a space keeps.
    SetEventRetention {
        /// Which.
        name: SpaceName,
        /// From now on.
        retention: EventRetention,
    },
    /// Forgets events of a space, oldest first: at most `limits::COMPACTION_EVENTS`, fewer if they
    /// are large, rounded up to a complete revision. Leaders propose it in their own term, to keep
    /// spaces to their retention; operators may as well.
    CompactEvents {
        /// Which.
        space: SpaceId,
        /// The last revision to forget; at most the one before this command's.
        through: Revision,
    },
    /// Settles a hook that a space is owed: an operator does not wait for its next try.
    SettleHook {
        /// Which space.
        name: SpaceName,
        /// The number of the hook.
        number: u64,
        /// What becomes of it.
        how: Settling,
    },
    /// As [`SessionCall`](Self::SessionCall), by one of those who have the session's secret. A
    /// request of the same id that another user made is another request, whatever its arguments.
    UserCall {
        /// Drawn by the user, who repeats it with all requests: not 0.
        user: u64,
        /// The call.
        call: SessionCall,
    },
    /// Tells every member what the leader's digests were after an entry, so that it compares its
    /// own. Changes no row. Only a leader proposes it, in its own term.
    Checkpoint(DigestRecord),
    /// Replaces the execution environment, from the next entry on. Proposed when every member
    /// supports the new one. Rejected if another one than `from` holds; if `to` does, no error.
    ChangeEnvironment {
        /// The one that holds.
        from: Environment,
        /// The new one.
        to: Environment,
    },
}

/// The digests after an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DigestRecord {
    /// Its index.
    pub index: u64,
    /// Of everything that was done up to it.
    pub chain: [u8; 32],
    /// Of the state after it.
    pub state: [u8; 32],
}

/// What becomes of a hook that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settling {
    /// It is run now. It stays owed if it fails.
    Run,
    /// It is forgotten: what it was to release stays held.
    Drop,
}

/// A space that reacts to events of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Binding {
    /// Whose handler runs.
    pub handler: SpaceName,
    /// Whose events it reacts to.
    pub source: SpaceName,
    /// Which of them.
    pub filter: TopicFilter,
}

/// Whether a failing handler rejects the command that emitted the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// It is rejected; if it is a command of the system, as with [`OnFailure::Skip`].
    #[default]
    Reject,
    /// It goes on: the handler leaves nothing but a count, see
    /// [`HookFailures`](crate::directory::HookFailures). What it sends and sets off is skipped
    /// alike, each by itself.
    Skip,
}

/// How much of its past a space keeps: what exceeds one of them is forgotten, soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRetention {
    /// Events; at most `limits::EVENTS_CEILING`.
    pub events: u64,
    /// Bytes of their keys and values; at most `limits::EVENT_BYTES_CEILING`.
    pub bytes: u64,
    /// Age by cluster time, in milliseconds; at least `limits::EVENT_AGE_FLOOR_MS`.
    pub age_ms: u64,
}

impl Default for EventRetention {
    fn default() -> Self {
        Self {
            events: limits::EVENTS_DEFAULT,
            bytes: limits::EVENT_BYTES_DEFAULT,
            age_ms: limits::EVENT_AGE_DEFAULT_MS,
        }
    }
}

/// How a session is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// Drawn by the client, once per session: makes a retry the same session.
    pub nonce: [u8; 16],
    /// BLAKE3 of the secret that takes the session up on any member; the secret itself is in no
    /// log.
    pub secret_hash: [u8; 32],
    /// Wanted time to live, in milliseconds; 0: the default.
    pub ttl_ms: u64,
    /// How one that is out of bounds is treated.
    pub ttl_policy: TtlPolicy,
    /// For people, at most `limits::SESSION_LABEL_BYTES`.
    pub label: alloc::string::String,
}

/// How a time to live that is out of the cluster's bounds is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TtlPolicy {
    /// It is rejected.
    #[default]
    Exact,
    /// The nearest one that is allowed is granted.
    Nearest,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// Its client or an operator closed it.
    Closed,
    /// A leader did not hear of it for its time to live. Only a leader proposes it, in its own
    /// term.
    Expired,
}

/// Between which times to live sessions are opened, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBounds {
    /// The shortest; at least `limits::SESSION_TTL_FLOOR_MS`.
    pub min_ttl_ms: u64,
    /// The longest; at most `limits::SESSION_TTL_CEILING_MS`.
    pub max_ttl_ms: u64,
}

/// A call in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCall {
    /// What is called.
    pub call: Call,
    /// Which request it is.
    pub request: Request,
}

/// A request of a session, and what its client has learned since the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its number, from 1.
    pub id: RequestId,
    /// The client has the outcomes of every request below, parked ones excepted: they are
    /// forgotten.
    pub acknowledged_below: RequestId,
    /// Parked requests whose outcomes the client has.
    pub acknowledged: Vec<RequestId>,
    /// The request that must have run or parked before this one may.
    pub after: Option<RequestId>,
    /// How long the call may wait, in cluster time; absent: as long as the session lives.
    pub wait_ms: Option<u64>,
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
