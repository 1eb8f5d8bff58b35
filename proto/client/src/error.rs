//! Errors: failures of the wire as typed errors, and as the errors that typed clients of recipes
//! see.
use std::fmt;

use synod_abi::{EncodedError, Fault, RawError, Reason};
use synod_api::v1::failure::Kind;
use synod_api::v1::{self, Failure, value::Form};
use thiserror::Error as ThisError;

/// A recipe's own refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeError {
    /// The code in the recipe's `#[error(code)]`.
    pub code: u32,
    /// The error as JSON, if the request was.
    pub json: Option<String>,
    /// The error as postcard, if the request was.
    pub postcard: Option<Vec<u8>>,
    /// For people.
    pub message: String,
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.json {
            Some(json) if self.message.contains(json.as_str()) => f.write_str(&self.message),
            Some(json) => write!(f, "{} ({json})", self.message),
            None => write!(f, "{} (code {})", self.message, self.code),
        }
    }
}

/// A request that was refused, or ended, by something else than the recipe's own rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs: the text of a [`Reason`], or one that only a newer cluster knows.
    pub reason: String,
    /// What ended the recipe's call, if it was running.
    pub fault: Option<Fault>,
    /// The path of the offending field, if it is one.
    pub field: Option<String>,
    /// The limit that was exceeded and its value, if it was one.
    pub limit: Option<(String, u64)>,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// The reason, if this version of the client knows it.
    pub fn known_reason(&self) -> Option<Reason> {
        Reason::parse(&self.reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.limit {
            Some((name, value)) => write!(f, " ({name} = {value})"),
            None => Ok(()),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The recipe refused; nothing was changed.
    #[error("{0}")]
    Rejected(RecipeError),
    /// The host refused the request or ended the call; nothing was changed, and trying again does
    /// not help.
    #[error("{0}")]
    Refused(Refusal),
    /// Surely not applied: it may be tried again. The client has tried for as long as its options
    /// allow.
    #[error("unavailable, surely not applied: {0}")]
    Unavailable(String),
    /// It may or may not have been applied; only the caller knows whether trying again does harm.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// The member failed internally, or its reply is invalid.
    #[error("internal error: {0}")]
    Internal(String),
    /// The call waited as long as its caller allowed, and was given up.
    #[error("the call waited as long as it was allowed to")]
    WaitTimeout,
    /// The session has ended or never existed: the call did not run, or the session's end gave it
    /// up while it waited.
    #[error("the session has ended: {0}")]
    SessionExpired(String),
}

/// Why a watch has ended, or did not begin.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum WatchError {
    /// Events that it needs are compacted: to miss nothing, read the state again with a query, and
    /// watch from there.
    #[error("{message}")]
    Compacted {
        /// All events of this revision and of earlier ones are compacted.
        compacted_revision: u64,
        /// The first revision that can be watched from.
        resume_revision: u64,
        /// For people.
        message: String,
    },
    /// Its space was deleted; the watch has delivered everything before. A present space of that
    /// name is another one.
    #[error("{message}")]
    SpaceDeleted {
        /// For people.
        message: String,
    },
    /// Anything else: it was refused, or no member began it in time.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<WatchError> for Error {
    fn from(error: WatchError) -> Self {
        let refused = |reason: Reason, message| {
            Self::Refused(Refusal { reason: reason.into(), message, ..Refusal::default() })
        };
        match error {
            WatchError::Compacted { message, .. } => refused(Reason::Compacted, message),
            WatchError::SpaceDeleted { message } => refused(Reason::SpaceDeleted, message),
            WatchError::Failed(error) => error,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match (failure.kind(), failure.known_reason()) {
            (Kind::Rejected, Some(Reason::RecipeError)) => {
                let (json, postcard) = match failure.error.and_then(|value| value.form) {
                    Some(Form::Json(json)) => (Some(json), None),
                    Some(Form::Postcard(bytes)) => (None, Some(bytes)),
                    None => (None, None),
                };
                Self::Rejected(RecipeError { code: failure.code, json, postcard, message: failure.message })
            }
            (Kind::Rejected, Some(Reason::SessionExpired)) => Self::SessionExpired(failure.message),
            (Kind::Rejected, Some(Reason::WaitTimeout)) => Self::WaitTimeout,
            (Kind::Rejected, _) => Self::Refused(Refusal {
                fault: synod_api::fault_from_api(failure.fault()),
                field: (!failure.field.is_empty()).then(|| failure.field.clone()),
                limit: (!failure.limit.is_empty()).then(|| (failure.limit.clone(), failure.limit_value)),
                reason: failure.reason,
                message: failure.message,
            }),
            (Kind::Unavailable, _) => Self::Unavailable(failure.message),
            (Kind::OutcomeUnknown, _) => Self::OutcomeUnknown(failure.message),
            (Kind::Internal | Kind::Unspecified, _) => Self::Internal(failure.message),
        }
    }
}

impl From<Error> for RawError {
    fn from(error: Error) -> Self {
        match error {
            Error::Rejected(RecipeError { code, postcard: Some(error), .. }) => {
                Self::Rejected(EncodedError { code, error })
            }
            Error::Rejected(RecipeError { message, .. }) => Self::Fault { fault: None, message },
            Error::Refused(refused) => Self::Fault { fault: refused.fault, message: refused.to_string() },
            Error::Unavailable(message) => Self::Unavailable(message),
            Error::OutcomeUnknown(message) | Error::Internal(message) => Self::OutcomeUnknown(message),
            Error::WaitTimeout => Self::WaitTimeout,
            Error::SessionExpired(message) => Self::SessionExpired(message),
        }
    }
}

/// A query's error for typed clients: a query changes nothing, so its outcome is never unknown.
pub(crate) fn query_error(error: Error) -> RawError {
    match RawError::from(error) {
        RawError::OutcomeUnknown(message) => RawError::Unavailable(message),
        other => other,
    }
}

pub(crate) fn missing(what: &str) -> Error {
    Error::Internal(format!("the member's reply has no {what}; client and member are of different versions"))
}

/// The JSON of a value.
pub(crate) fn json_of(value: Option<v1::Value>) -> Result<String, Error> {
    match value.and_then(|value| value.form) {
        Some(Form::Json(json)) => Ok(json),
        _ => Err(missing("JSON value")),
    }
}

/// The postcard of a value.
pub(crate) fn postcard_of(value: Option<v1::Value>) -> Result<Vec<u8>, Error> {
    match value.and_then(|value| value.form) {
        Some(Form::Postcard(bytes)) => Ok(bytes),
        _ => Err(missing("postcard value")),
    }
}

#[cfg(test)]
mod tests;
