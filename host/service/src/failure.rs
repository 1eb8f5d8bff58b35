//! Why a call, query or change has no result: typed, so that the node only maps it to a status.
//!
//! Three kinds: rejected (trying again will not help), unavailable (surely not applied), outcome
//! unknown. Messages are for people and say what was wrong, the limit, and what to do; programs
//! read the reason, one of [`Reason`]'s list, whose kind decides which of the three a failure is.
use std::fmt;

use synod_abi::schema::Status;
use synod_abi::{Fault, ReasonKind, Revision, Time};
use synod_machine::{Outcome, Rejection};
use synod_planted::{Bug, is_planted};

pub use synod_abi::{Limit, Reason, UnavailableReason};

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
            status: reason.status().unwrap_or_default(),
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

    /// The machine's rejection, as its caller is told it. A recipe's own error is completed by
    /// whoever has its schema.
    pub fn of(rejection: &Rejection) -> Self {
        let (code, error) = match rejection {
            Rejection::Recipe { code, error } => (*code, Some(Value::Postcard(error.0.clone()))),
            _ => (0, None),
        };
        let rejected = Self::new(rejection.reason(), rejection.to_string());
        Self {
            status: rejection.status().unwrap_or(rejected.status),
            code,
            error,
            fault: rejection.fault(),
            limit: rejection.limit(),
            ..rejected
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
    /// What is rejected for a reason that passes, such as a cluster that is not formed yet or a
    /// request that came too early, left nothing and is worth another try.
    fn from(rejected: Rejected) -> Self {
        match rejected.reason.kind() {
            ReasonKind::BadRequest(_) | ReasonKind::Rejected(_) => Self::Rejected(Box::new(rejected)),
            ReasonKind::Unavailable(reason) => Self::unavailable(reason, rejected.message),
            ReasonKind::OutcomeUnknown => Self::OutcomeUnknown(rejected.message),
        }
    }
}

impl From<ProposalError> for CallFailure {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::Unavailable { reason, message } => Self::unavailable(reason, message),
            ProposalError::OutcomeUnknown(message) if is_planted(Bug::UnknownIsRefused) => {
                Self::unavailable(UnavailableReason::NoLeader, message)
            }
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

#[cfg(test)]
mod tests;
