//! Why a command is rejected: the replicated value, and what it means to the caller: its reason,
//! its status, and the limit that it met. `text` has the sentence for people.
//!
//! A rejection knows which limit it met by its variant, and never has the number alone. It knows
//! nothing of the form in which a client receives it.
mod counted;
mod text;

use alloc::string::String;

use serde::{Deserialize, Serialize};
use synod_abi::schema::Status;
use synod_abi::{
    AdmissionError, Blob, Fault, InvalidName, InvalidTopic, Limit, ModuleHash, Reason, RecipeRef, SpaceId,
    limit,
};

pub use self::counted::Counted;

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
    /// The cluster has the maximum of something.
    TooMany {
        /// What.
        what: Counted,
    },
    /// The cluster has its name already.
    AlreadyFormed,
    /// The entry's write limit was reached before this command: it was not executed and is proposed
    /// again.
    Deferred,
    /// A name is not valid.
    InvalidName(InvalidName),
    /// The caller may not do this.
    NotAllowed,
    /// The cluster has no name or no execution environment yet: its first leader gives it both,
    /// before anything else.
    NotFormed,
    /// There is no such session: it ended, or never was.
    SessionEnded,
    /// The session is another principal's.
    ForeignSession,
    /// The request id was used before, with another operation or other arguments.
    RequestReused,
    /// The request's outcome was acknowledged, so it is forgotten; it is not executed again.
    AlreadyAcknowledged,
    /// The request is not valid: its id is 0, it acknowledges itself or what follows it, or it
    /// follows itself.
    InvalidRequest,
    /// The request that this one follows has neither run nor parked: not executed, not recorded, to
    /// be sent again.
    OutOfOrder,
    /// The session's client has `limits::SESSION_OUTCOMES` to acknowledge: not executed, not
    /// recorded.
    TooManyOutcomes,
    /// The session has called `limits::SESSION_SPACES` that react to its end: not executed.
    TooManySpaces,
    /// The operation would wait, which only a session's plain call may.
    CannotWait,
    /// `limits::SPACE_TICKETS` calls wait in the space. The request's outcome, so that those that
    /// follow it go on.
    TooManyWaiting,
    /// The call waited as long as its caller allowed.
    WaitTimeout,
    /// The caller gave the request up.
    Cancelled,
    /// The wanted time to live, or a bound, is not allowed.
    TtlOutOfBounds {
        /// The shortest that is.
        min_ttl_ms: u64,
        /// The longest.
        max_ttl_ms: u64,
    },
    /// A session's label is longer than `limits::SESSION_LABEL_BYTES`.
    LabelTooLong,
    /// A handler failed at an event of the command, and its binding says that this rejects the
    /// command.
    Handler {
        /// The space of the handler.
        space: SpaceId,
        /// Why it failed.
        why: DeliveryFailure,
    },
    /// An operation failed that the command sent.
    Send {
        /// The space it was sent to; `None`: there is no such space.
        space: Option<SpaceId>,
        /// Why it failed.
        why: DeliveryFailure,
    },
    /// The recipe of the space has no `#[on_event]`, so it cannot be bound.
    NoHandler,
    /// The binding would close a circle: events of the handler reach the source already.
    BindingCircle,
    /// One of the two spaces has `limits::SPACE_BINDINGS` already.
    TooManyBindings,
    /// There is no such binding.
    UnknownBinding,
    /// The topic of a filter is not valid.
    InvalidTopic(InvalidTopic),
    /// The retention is out of `limits::EVENTS_CEILING`, `limits::EVENT_BYTES_CEILING` or
    /// `limits::EVENT_AGE_FLOOR_MS`.
    RetentionOutOfBounds,
    /// The outcomes that the session's client has to acknowledge have
    /// `limits::SESSION_OUTCOME_BYTES`: not executed, not recorded.
    TooManyOutcomeBytes,
    /// The cluster has `limits::BINDINGS` already.
    TooManyBindingsInAll,
    /// The space is owed `limits::SPACE_OWED` hooks: a session that would hear from it is not to
    /// add to them. Not executed.
    TooManyOwed,
    /// The space is not owed a hook of this number.
    UnknownOwed,
    /// The execution environment that was to be changed no longer holds.
    EnvironmentChanged,
}

/// Why a handler or a sent operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryFailure {
    /// The host ended it.
    Fault(Fault),
    /// An operation refused, with this code of its error.
    Refused {
        /// The code.
        code: u32,
    },
    /// There is no such space or operation.
    Unknown,
    /// It would wait, which it may not.
    WouldWait,
}

/// What an upgrade would break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incompatible {
    /// The operation, query, hook or state field; `emits`: what it emits.
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
    /// The payload of its events changed otherwise than by variants appended.
    Payload,
}

impl DeliveryFailure {
    /// The fault that ended it, if one did.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Refused { .. } | Self::Unknown | Self::WouldWait => None,
        }
    }
}

impl Rejection {
    /// The reason for programs.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Recipe { .. } => Reason::RecipeError,
            Self::Fault(_) => Reason::RecipeFault,
            Self::UnknownSpace => Reason::UnknownSpace,
            Self::UnknownRecipe => Reason::UnknownRecipe,
            Self::UnknownOperation => Reason::UnknownOperation,
            Self::ArgumentsTooLong => Reason::ArgumentsTooLong,
            Self::NotAdmitted(_) => Reason::NotAdmitted,
            Self::RecipeExists { .. } => Reason::RecipeExists,
            Self::RecipeInUse => Reason::RecipeInUse,
            Self::SpaceExists { .. } => Reason::SpaceExists,
            Self::IncompatibleUpgrade(_) => Reason::IncompatibleUpgrade,
            Self::TooMany { .. } => Reason::TooMany,
            Self::AlreadyFormed => Reason::AlreadyFormed,
            Self::EnvironmentChanged => Reason::EnvironmentChanged,
            Self::Deferred => Reason::Busy,
            Self::InvalidName(_) => Reason::InvalidName,
            Self::NotAllowed => Reason::NotAllowed,
            Self::NotFormed => Reason::NotReady,
            Self::SessionEnded => Reason::SessionExpired,
            Self::ForeignSession => Reason::ForeignSession,
            Self::RequestReused => Reason::RequestReused,
            Self::AlreadyAcknowledged => Reason::AlreadyAcknowledged,
            Self::InvalidRequest => Reason::InvalidRequest,
            Self::OutOfOrder => Reason::OutOfOrder,
            Self::TooManyOutcomes | Self::TooManyOutcomeBytes => Reason::TooManyOutcomes,
            Self::TooManySpaces => Reason::TooManySpaces,
            Self::CannotWait => Reason::CannotWait,
            Self::TooManyWaiting => Reason::TooManyWaiting,
            Self::WaitTimeout => Reason::WaitTimeout,
            Self::Cancelled => Reason::Cancelled,
            Self::TtlOutOfBounds { .. } => Reason::TtlOutOfBounds,
            Self::LabelTooLong => Reason::LabelTooLong,
            Self::Handler { .. } => Reason::HandlerFailed,
            Self::Send { .. } => Reason::SendFailed,
            Self::NoHandler => Reason::NoHandler,
            Self::BindingCircle => Reason::BindingCircle,
            Self::TooManyBindings | Self::TooManyBindingsInAll => Reason::TooManyBindings,
            Self::UnknownBinding => Reason::UnknownBinding,
            Self::InvalidTopic(_) => Reason::InvalidTopic,
            Self::RetentionOutOfBounds => Reason::RetentionOutOfBounds,
            Self::TooManyOwed => Reason::TooManyOwed,
            Self::UnknownOwed => Reason::UnknownOwed,
        }
    }

    /// The limit that was met, if it is one of `limits`. Bounds that a cluster sets, and rejections
    /// that several limits can cause, have none: their text says the numbers.
    pub const fn limit(&self) -> Option<Limit> {
        match self {
            Self::Fault(fault) => fault.limit(),
            Self::Handler { why, .. } | Self::Send { why, .. } => match why.fault() {
                Some(fault) => fault.limit(),
                None => None,
            },
            Self::NotAdmitted(error) => error.limit(),
            Self::InvalidName(error) => error.limit(),
            Self::InvalidTopic(error) => error.limit(),
            Self::TooMany { what } => Some(what.limit()),
            Self::ArgumentsTooLong => Some(limit!(ARGS_BYTES)),
            Self::Deferred => Some(limit!(ENTRY_WRITE_BYTES)),
            Self::TooManyOutcomes => Some(limit!(SESSION_OUTCOMES)),
            Self::TooManyOutcomeBytes => Some(limit!(SESSION_OUTCOME_BYTES)),
            Self::TooManySpaces => Some(limit!(SESSION_SPACES)),
            Self::TooManyWaiting => Some(limit!(SPACE_TICKETS)),
            Self::LabelTooLong => Some(limit!(SESSION_LABEL_BYTES)),
            Self::TooManyBindings => Some(limit!(SPACE_BINDINGS)),
            Self::TooManyBindingsInAll => Some(limit!(BINDINGS)),
            Self::TooManyOwed => Some(limit!(SPACE_OWED)),
            Self::Recipe { .. }
            | Self::UnknownSpace
            | Self::UnknownRecipe
            | Self::UnknownOperation
            | Self::RecipeExists { .. }
            | Self::RecipeInUse
            | Self::SpaceExists { .. }
            | Self::IncompatibleUpgrade(_)
            | Self::AlreadyFormed
            | Self::EnvironmentChanged
            | Self::NotAllowed
            | Self::NotFormed
            | Self::SessionEnded
            | Self::ForeignSession
            | Self::RequestReused
            | Self::AlreadyAcknowledged
            | Self::InvalidRequest
            | Self::OutOfOrder
            | Self::CannotWait
            | Self::WaitTimeout
            | Self::Cancelled
            | Self::TtlOutOfBounds { .. }
            | Self::NoHandler
            | Self::BindingCircle
            | Self::UnknownBinding
            | Self::UnknownOwed
            | Self::RetentionOutOfBounds => None,
        }
    }

    /// The fault that ended the call, or what the call set off.
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Fault(fault) => Some(*fault),
            Self::Handler { why, .. } | Self::Send { why, .. } => why.fault(),
            _ => None,
        }
    }

    /// The gRPC status; `None` where the kind of the reason has a status of its own.
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Fault(fault) => Some(fault.status()),
            _ => self.reason().status(),
        }
    }
}
