//! Why a command is rejected, and what it says to people.
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};
use synod_abi::{
    AdmissionError, Blob, Fault, InvalidName, InvalidTopic, ModuleHash, RecipeRef, SpaceId, limits,
};

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
    /// The session's client has too many outcomes to acknowledge: not executed, not recorded.
    TooManyOutcomes {
        /// `limits::SESSION_OUTCOMES` or `limits::SESSION_OUTCOME_BYTES`.
        limit: u64,
    },
    /// The session called as many spaces as it may that want to hear of its end: not executed.
    TooManySpaces,
    /// The operation would wait, which only a session's plain call may.
    CannotWait,
    /// As many calls wait in the space as may. The request's outcome, so that those that follow it
    /// go on.
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
    /// As many bindings as may be.
    TooManyBindings {
        /// `limits::SPACE_BINDINGS` or `limits::BINDINGS`.
        limit: u64,
    },
    /// There is no such binding.
    UnknownBinding,
    /// The topic of a filter is not valid.
    InvalidTopic(InvalidTopic),
    /// The retention is out of `limits::EVENTS_CEILING`, `limits::EVENT_BYTES_CEILING` or
    /// `limits::EVENT_AGE_FLOOR_MS`.
    RetentionOutOfBounds,
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

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Refused { code } => write!(f, "it refused with code {code}"),
            Self::Unknown => f.write_str("there is no such space or operation"),
            Self::WouldWait => f.write_str("it would wait, which only a session's plain call may"),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe { code, .. } => write!(f, "the recipe refused with code {code}"),
            Self::Fault(fault) => fault.fmt(f),
            Self::UnknownSpace => f.write_str(
                "there is no such space; create it, or look at the list of \
                spaces",
            ),
            Self::UnknownRecipe => f.write_str(
                "there is no such recipe, or not this version; install it \
                first",
            ),
            Self::UnknownOperation => f.write_str("the recipe has no such operation"),
            Self::ArgumentsTooLong => write!(
                f,
                "the arguments are longer than {} bytes; send less in one \
                call",
                limits::ARGS_BYTES
            ),
            Self::NotAdmitted(error) => error.fmt(f),
            Self::RecipeExists { hash } => {
                write!(
                    f,
                    "another module, {hash}, is installed under this name and version; count the \
                    version up"
                )
            }
            Self::RecipeInUse => f.write_str("spaces use this recipe; upgrade or delete them first"),
            Self::SpaceExists { recipe } => write!(
                f,
                "the space exists and runs {recipe}; upgrade it, or \
                choose another name"
            ),
            Self::IncompatibleUpgrade(incompatible) => incompatible.fmt(f),
            Self::TooMany { limit } => write!(
                f,
                "the cluster has {limit} of them already, which is the \
                limit; remove some first"
            ),
            Self::AlreadyFormed => f.write_str("the cluster has its name already"),
            Self::Deferred => {
                write!(
                    f,
                    "the entry has written {} bytes before this command, which is proposed again",
                    limits::ENTRY_WRITE_BYTES
                )
            }
            Self::InvalidName(error) => error.fmt(f),
            Self::NotAllowed => f.write_str("the caller may not do this"),
            Self::NotFormed => f.write_str(
                "the cluster is not formed yet; try again when its first leader \
                has named it",
            ),
            Self::SessionEnded => f.write_str(
                "there is no such session: it was closed, it expired, or it \
                never was; open a new one",
            ),
            Self::ForeignSession => f.write_str("the session belongs to another principal"),
            Self::RequestReused => f.write_str(
                "the request id was used for another call of this session; \
                count ids up",
            ),
            Self::AlreadyAcknowledged => f.write_str(
                "the outcome of this request was acknowledged and is forgotten; it is not \
                    executed again",
            ),
            Self::InvalidRequest => f.write_str(
                "a request has an id from 1, acknowledges only ids below its own, and follows \
                    one below its own",
            ),
            Self::OutOfOrder => f.write_str(
                "the request that this one follows has not run yet; send that \
                one, then this one again",
            ),
            Self::TooManyOutcomes { limit } => {
                write!(
                    f,
                    "the session has outcomes that were not acknowledged up to its limit of {limit}; \
                    acknowledge what was received"
                )
            }
            Self::TooManySpaces => {
                write!(
                    f,
                    "the session has called {} spaces that hear of its end, which is the limit; use another \
                        session",
                    limits::SESSION_SPACES
                )
            }
            Self::CannotWait => f.write_str(
                "the operation would wait, which only a session's own call may; \
                open a session for it",
            ),
            Self::TooManyWaiting => write!(
                f,
                "{} calls wait in this space, which is the limit; try again later",
                limits::SPACE_TICKETS
            ),
            Self::WaitTimeout => f.write_str("the call waited as long as it was allowed to"),
            Self::Cancelled => f.write_str("the caller gave the request up"),
            Self::TtlOutOfBounds { min_ttl_ms, max_ttl_ms } => {
                write!(
                    f,
                    "a session of this cluster lives from {min_ttl_ms} to {max_ttl_ms} ms without a sign of \
                        its client; choose a time within"
                )
            }
            Self::LabelTooLong => {
                write!(f, "a session's label has at most {} bytes", limits::SESSION_LABEL_BYTES)
            }
            Self::Handler { space, why } => write!(
                f,
                "the handler of space {space}, which is bound to this \
                one's events, failed: {why}"
            ),
            Self::Send { space: Some(space), why } => write!(
                f,
                "an operation that the recipe sent to space \
                {space} failed: {why}"
            ),
            Self::Send { space: None, why } => write!(f, "an operation that the recipe sent failed: {why}"),
            Self::NoHandler => f.write_str(
                "the space's recipe does not react to events; give it an \
                `#[on_event]`",
            ),
            Self::BindingCircle => f.write_str(
                "the events of the space to bind reach the other one already, so they would feed each other",
            ),
            Self::TooManyBindings { limit } => write!(
                f,
                "there are {limit} bindings already, which is the \
                limit; take some back first"
            ),
            Self::UnknownBinding => f.write_str("there is no such binding; look at the list of bindings"),
            Self::InvalidTopic(error) => error.fmt(f),
            Self::RetentionOutOfBounds => write!(
                f,
                "a space keeps at most {} events and {} bytes of them, and for at least {} ms",
                limits::EVENTS_CEILING,
                limits::EVENT_BYTES_CEILING,
                limits::EVENT_AGE_FLOOR_MS
            ),
        }
    }
}

impl core::error::Error for Rejection {}

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

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.change {
            Change::Removed => write!(f, "`{name}` is gone; an upgrade without migration may only append"),
            Change::Arguments => {
                write!(f, "the arguments of `{name}` changed; only optional ones may be appended")
            }
            Change::Result => write!(f, "the result of `{name}` changed; only enum variants may be appended"),
            Change::Errors => write!(f, "the errors of `{name}` changed; only variants may be appended"),
            Change::Kind => write!(f, "the state field `{name}` has another kind"),
            Change::Key => write!(f, "the keys of the state field `{name}` changed"),
            Change::Value => write!(
                f,
                "the values of the state field `{name}` changed; only enum variants may be appended"
            ),
            Change::Payload => {
                write!(f, "the payload of `{name}` changed; only enum variants may be appended")
            }
            Change::NotNewer => write!(f, "the space already has version {name} or a later one"),
        }
    }
}
