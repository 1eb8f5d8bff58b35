//! Why a call, query or change has no result: typed, so that the node only maps it to a status.
//!
//! Three kinds: rejected (trying again will not help), unavailable (surely not applied), outcome
//! unknown. Messages are for people and say what was wrong, the limit, and what to do; programs
//! read the reason.
mod reason;

use std::fmt;

use synod_abi::schema::Status;
use synod_abi::{AdmissionError, Fault, Revision, Time, limits};
use synod_machine::{DeliveryFailure, Outcome, Rejection};

pub use reason::{Reason, UnavailableReason};

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// Surely not applied.
    #[error("{message}")]
    Unavailable {
        /// Why.
        reason: UnavailableReason,
        /// For people.
        message: String,
    },
    /// It may or may not have been applied, or may be applied later.
    #[error("{0}")]
    OutcomeUnknown(String),
}

/// What a proposal became: its outcome, or why there is none.
pub type ProposalResult = Result<Outcome, ProposalError>;

impl ProposalError {
    pub(crate) fn unavailable(reason: UnavailableReason, message: impl Into<String>) -> Self {
        Self::Unavailable { reason, message: message.into() }
    }
}

/// A limit that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in `synod_abi::limits`, or of a flag.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

/// A value in the form that the caller speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// JSON text.
    Json(String),
    /// postcard.
    Postcard(Vec<u8>),
}

impl Value {
    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Postcard(bytes) => bytes.len(),
        }
    }
}

/// Rejected: nothing was changed, and trying again will not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// The gRPC status to show.
    pub status: Status,
    /// The recipe's error code, if it refused; otherwise 0.
    pub code: u32,
    /// The recipe's error, if it refused.
    pub error: Option<Value>,
    /// What ended the recipe, if it was running.
    pub fault: Option<Fault>,
    /// Path of the wrong argument, such as `$.limit.burst`.
    pub field: Option<String>,
    /// The limit that was met.
    pub limit: Option<Limit>,
    /// Revision of the state that rejected it; 0 if it was not proposed.
    pub revision: Revision,
    /// Cluster time of the rejection; 0 if it was not proposed.
    pub time: Time,
}

impl Rejected {
    /// A rejection for `reason` that happened before anything was proposed.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            status: reason.status(),
            code: 0,
            error: None,
            fault: None,
            field: None,
            limit: None,
            revision: Revision(0),
            time: Time(0),
        }
    }

    /// Somebody who is not the session's client.
    pub fn wrong_secret() -> Self {
        let message = "this is not the secret of the session; use the one that it was opened with, or open \
            a new session";
        Self::new(Reason::WrongSecret, message)
    }

    /// The same, naming a limit.
    #[must_use]
    pub fn at_limit(mut self, name: &'static str, value: u64) -> Self {
        self.limit = Some(Limit { name, value });
        self
    }

    /// The same, naming a field.
    #[must_use]
    pub fn in_field(mut self, path: impl Into<String>) -> Self {
        self.field = Some(path.into());
        self
    }

    /// What the machine's rejection means to a caller. A recipe's own error is completed by whoever
    /// has its schema.
    pub fn of(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::Recipe { code, error } => Self {
                code: *code,
                error: Some(Value::Postcard(error.0.clone())),
                ..Self::new(Reason::RecipeError, format!("the recipe refused with code {code}"))
            },
            Rejection::Fault(fault) => Self::of_fault(*fault),
            Rejection::UnknownSpace => Self::new(
                Reason::UnknownSpace,
                "there is no such space; `synod space list` shows those that are",
            ),
            Rejection::UnknownRecipe => Self::new(
                Reason::UnknownRecipe,
                "there is no such recipe, or not this version; `synod recipe list` shows those that are",
            ),
            Rejection::UnknownOperation => Self::new(
                Reason::UnknownOperation,
                "the recipe has no such operation; `synod recipe describe` shows its operations",
            ),
            Rejection::ArgumentsTooLong => Self::new(
                Reason::ArgumentsTooLong,
                format!(
                    "the encoded arguments are longer than {} bytes; send less in one call",
                    limits::ARGS_BYTES
                ),
            )
            .at_limit("ARGS_BYTES", limits::ARGS_BYTES as u64),
            Rejection::NotAdmitted(error) => Self::of_admission(error),
            Rejection::RecipeExists { hash } => Self::new(
                Reason::RecipeExists,
                format!(
                    "another module ({hash}) is installed under this name and version; count the version up"
                ),
            ),
            Rejection::RecipeInUse => {
                Self::new(Reason::RecipeInUse, "a space uses the recipe; delete or upgrade the space first")
            }
            Rejection::SpaceExists { recipe } => Self::new(
                Reason::SpaceExists,
                format!(
                    "the space is there already, with the recipe {recipe}; upgrade it, or choose another name"
                ),
            ),
            Rejection::IncompatibleUpgrade(incompatible) => {
                Self::new(Reason::IncompatibleUpgrade, incompatible.to_string())
            }
            Rejection::TooMany { limit } => Self::new(
                Reason::TooMany,
                format!("the cluster has {limit} of them already, which is its limit; remove one first"),
            )
            .at_limit(if *limit == limits::RECIPES as u64 { "RECIPES" } else { "SPACES" }, *limit),
            Rejection::AlreadyFormed => {
                Self::new(Reason::AlreadyFormed, "the cluster has been formed already")
            }
            Rejection::NotFormed => Self::new(
                Reason::NotFormed,
                "the cluster has no name yet; its first leader gives it one, try again then",
            ),
            Rejection::InvalidName(error) => Self::new(Reason::InvalidName, error.to_string()),
            Rejection::NotAllowed => Self::new(Reason::NotAllowed, "the caller may not do this"),
            Rejection::Deferred => {
                Self::new(Reason::NotAllowed, "the command was put off and is to be proposed again")
            }
            Rejection::SessionEnded => Self::new(Reason::SessionExpired, rejection.to_string()),
            Rejection::ForeignSession => Self::new(Reason::ForeignSession, rejection.to_string()),
            Rejection::RequestReused => Self::new(Reason::RequestReused, rejection.to_string()),
            Rejection::AlreadyAcknowledged => Self::new(Reason::AlreadyAcknowledged, rejection.to_string()),
            Rejection::InvalidRequest => Self::new(Reason::InvalidRequest, rejection.to_string()),
            Rejection::OutOfOrder => Self::new(Reason::OutOfOrder, rejection.to_string()),
            Rejection::TooManyOutcomes { limit } => {
                let by_count = *limit == u64::from(limits::SESSION_OUTCOMES);
                let name = if by_count { "SESSION_OUTCOMES" } else { "SESSION_OUTCOME_BYTES" };
                Self::new(Reason::TooManyOutcomes, rejection.to_string()).at_limit(name, *limit)
            }
            Rejection::TooManySpaces => Self::new(Reason::TooManySpaces, rejection.to_string())
                .at_limit("SESSION_SPACES", limits::SESSION_SPACES as u64),
            Rejection::CannotWait => Self::new(Reason::CannotWait, rejection.to_string()),
            Rejection::TooManyWaiting => Self::new(Reason::TooManyWaiting, rejection.to_string())
                .at_limit("SPACE_TICKETS", u64::from(limits::SPACE_TICKETS)),
            Rejection::WaitTimeout => Self::new(Reason::WaitTimeout, rejection.to_string()),
            Rejection::Cancelled => Self::new(Reason::Cancelled, rejection.to_string()),
            Rejection::TtlOutOfBounds { .. } => Self::new(Reason::TtlOutOfBounds, rejection.to_string()),
            Rejection::LabelTooLong => Self::new(Reason::LabelTooLong, rejection.to_string())
                .at_limit("SESSION_LABEL_BYTES", limits::SESSION_LABEL_BYTES as u64),
            Rejection::Handler { why, .. } => Self::of_delivery(Reason::HandlerFailed, rejection, *why),
            Rejection::Send { why, .. } => Self::of_delivery(Reason::SendFailed, rejection, *why),
            Rejection::NoHandler => Self::new(Reason::NoHandler, rejection.to_string()),
            Rejection::BindingCircle => Self::new(Reason::BindingCircle, rejection.to_string()),
            Rejection::TooManyBindings { limit } => {
                let name = if *limit == u64::from(limits::BINDINGS) { "BINDINGS" } else { "SPACE_BINDINGS" };
                Self::new(Reason::TooManyBindings, rejection.to_string()).at_limit(name, *limit)
            }
            Rejection::UnknownBinding => Self::new(Reason::UnknownBinding, rejection.to_string()),
            Rejection::InvalidTopic(_) => Self::new(Reason::InvalidTopic, rejection.to_string())
                .at_limit("EVENT_TOPIC_BYTES", limits::EVENT_TOPIC_BYTES as u64),
            Rejection::RetentionOutOfBounds => Self::new(Reason::RetentionOutOfBounds, rejection.to_string()),
        }
    }

    /// What a fault means to a caller.
    pub fn of_fault(fault: Fault) -> Self {
        let rejected = Self::new(Reason::RecipeFault, fault.to_string());
        let rejected = match fault {
            Fault::OutOfFuel => rejected.at_limit("CALL_FUEL", limits::CALL_FUEL),
            Fault::TooDeep => rejected.at_limit("CALL_DEPTH", u64::from(limits::CALL_DEPTH)),
            Fault::KeyTooLong => rejected.at_limit("KEY_BYTES", limits::KEY_BYTES as u64),
            Fault::ValueTooLong => rejected.at_limit("VALUE_BYTES", limits::VALUE_BYTES as u64),
            Fault::TooManyWrites => rejected.at_limit("CALL_WRITE_BYTES", limits::CALL_WRITE_BYTES as u64),
            Fault::TooManyReads => rejected.at_limit("CALL_READ_BYTES", limits::CALL_READ_BYTES as u64),
            Fault::TooManyHostCalls => {
                rejected.at_limit("CALL_HOST_CALLS", u64::from(limits::CALL_HOST_CALLS))
            }
            Fault::OutOfMemory => rejected.at_limit("MEMORY_PAGES", limits::MEMORY_PAGES),
            Fault::BadReply => rejected.at_limit("REPLY_BYTES", limits::REPLY_BYTES as u64),
            Fault::TooManyTimers => rejected.at_limit("TIMERS", limits::TIMERS),
            Fault::BadTopic => rejected.at_limit("EVENT_TOPIC_BYTES", limits::EVENT_TOPIC_BYTES as u64),
            Fault::TooManyEvents => rejected.at_limit("CALL_EVENT_BYTES", limits::CALL_EVENT_BYTES as u64),
            Fault::TooManySends => rejected.at_limit("CALL_SENDS", limits::CALL_SENDS as u64),
            Fault::TooDeepDelivery => rejected.at_limit("DELIVERY_DEPTH", u64::from(limits::DELIVERY_DEPTH)),
            Fault::TooManyDeliveries => {
                rejected.at_limit("CAUSE_DELIVERIES", limits::CAUSE_DELIVERIES as u64)
            }
            _ => rejected,
        };
        let status = if rejected.limit.is_some() { Status::ResourceExhausted } else { rejected.status };
        let status = if fault == Fault::BadArguments { Status::InvalidArgument } else { status };
        Self { fault: Some(fault), status, ..rejected }
    }

    fn of_delivery(reason: Reason, rejection: &Rejection, why: DeliveryFailure) -> Self {
        let rejected = Self::new(reason, rejection.to_string());
        match why {
            DeliveryFailure::Fault(fault) => {
                let Self { fault, limit, .. } = Self::of_fault(fault);
                Self { fault, limit, ..rejected }
            }
            DeliveryFailure::Refused { .. } | DeliveryFailure::Unknown | DeliveryFailure::WouldWait => {
                rejected
            }
        }
    }

    /// What a refused module means to a caller.
    pub fn of_admission(error: &AdmissionError) -> Self {
        let rejected = Self::new(Reason::NotAdmitted, error.to_string());
        match error {
            AdmissionError::Limit { limit, .. } => rejected.at_limit("MODULE", *limit),
            _ => rejected,
        }
    }

    pub(crate) fn at(mut self, outcome: &Outcome) -> Self {
        (self.revision, self.time) = (outcome.revision, outcome.time);
        self
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// Nothing was changed, and trying again will not help.
    Rejected(Box<Rejected>),
    /// Surely not applied; it may be tried again.
    Unavailable {
        /// Why.
        reason: UnavailableReason,
        /// For people.
        message: String,
        /// When it is worth trying again; 0: on another member, now.
        retry_after_ms: u64,
    },
    /// It may or may not have been applied.
    OutcomeUnknown(String),
}

impl CallFailure {
    /// Surely not applied.
    pub fn unavailable(reason: UnavailableReason, message: impl Into<String>) -> Self {
        Self::Unavailable { reason, message: message.into(), retry_after_ms: reason.retry_after_ms() }
    }
}

impl From<Rejected> for CallFailure {
    /// A cluster without a name gets one by itself, and a request that came too early left nothing:
    /// these alone are worth another try.
    fn from(rejected: Rejected) -> Self {
        match rejected.reason {
            Reason::NotFormed => Self::unavailable(UnavailableReason::NotReady, rejected.message),
            Reason::OutOfOrder => Self::unavailable(UnavailableReason::OutOfOrder, rejected.message),
            _ => Self::Rejected(Box::new(rejected)),
        }
    }
}

impl From<ProposalError> for CallFailure {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::Unavailable { reason, message } => Self::unavailable(reason, message),
            ProposalError::OutcomeUnknown(message) => Self::OutcomeUnknown(message),
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => write!(f, "rejected: {rejected}"),
            Self::Unavailable { message, .. } => write!(f, "unavailable, not applied: {message}"),
            Self::OutcomeUnknown(message) => write!(f, "outcome unknown: {message}"),
        }
    }
}

impl std::error::Error for CallFailure {}
