//! How typed clients reach a cluster: `synod-client` over gRPC and `synod-test` in process
//! implement one trait, so that a recipe's tests and its production callers send the same bytes.
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;

use crate::{DecodeError, Fault, Revision};

/// A call or query with encoded arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawCall {
    /// The space's name.
    pub space: String,
    /// The operation's name.
    pub operation: &'static str,
    /// Signature of the operation as the caller was compiled with it, see [`crate::schema`].
    pub signature: u64,
    /// postcard of the tuple of arguments.
    pub args: Vec<u8>,
    /// How long an operation that waits may do so, in cluster time; 0: it answers at once or is
    /// refused; absent: as long as the session lives.
    pub wait_ms: Option<u64>,
}

/// A query with encoded arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawQuery {
    /// The space's name.
    pub space: String,
    /// The query's name.
    pub query: &'static str,
    /// Signature of the query as the caller was compiled with it.
    pub signature: u64,
    /// postcard of the tuple of arguments.
    pub args: Vec<u8>,
}

/// The encoded result of a call or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawReply {
    /// Revision of the command; of a query: that of the state it read.
    pub revision: Revision,
    /// postcard of the result.
    pub result: Vec<u8>,
}

/// A recipe's error as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedError {
    /// The code in `#[error(code)]`.
    pub code: u32,
    /// postcard of the error.
    pub error: Vec<u8>,
}

/// Why there is no result, before the recipe's own error is decoded.
pub type RawError = CallError<EncodedError>;

/// Carries calls and queries to a cluster.
pub trait Transport {
    /// Runs an operation.
    fn call(&self, call: RawCall) -> impl Future<Output = Result<RawReply, RawError>> + Send;
    /// Runs a query.
    fn query(&self, query: RawQuery) -> impl Future<Output = Result<RawReply, RawError>> + Send;
}

/// Why a call has no result; `E` is the recipe's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The recipe refused; nothing was changed.
    Rejected(E),
    /// The host ended the call or refused the request; nothing was changed, and trying again will
    /// not help.
    Fault {
        /// The fault, when the recipe was running.
        fault: Option<Fault>,
        /// For people.
        message: String,
    },
    /// The recipe answered, and what the call did is done, but the answer is not of the type that
    /// this client was compiled with: an enum has a variant that it does not know. Trying again
    /// does not help, and may do it again; build the client with the installed version.
    Unreadable {
        /// Revision of the command; of a query: that of the state it read.
        revision: Revision,
    },
    /// Surely not applied: it may be tried again.
    Unavailable(String),
    /// It may or may not have been applied; only the caller knows whether trying again does harm.
    OutcomeUnknown(String),
    /// The call waited as long as its caller allowed, and was given up; nothing was changed.
    WaitTimeout,
    /// The session was closed, expired, or never existed. What was bound to it is released, and
    /// what its calls did before stays; whether a call that was under way ran is not known.
    SessionExpired(String),
}

impl<E: serde::de::DeserializeOwned> From<RawError> for CallError<E> {
    fn from(error: RawError) -> Self {
        match error {
            RawError::Rejected(EncodedError { code, error }) => match crate::decode(&error) {
                Ok(error) => Self::Rejected(error),
                Err(DecodeError) => Self::Fault {
                    fault: None,
                    message: alloc::format!(
                        "the recipe refused with code {code}, which this client does not know; rebuild it \
                            with the installed version"
                    ),
                },
            },
            RawError::Fault { fault, message } => Self::Fault { fault, message },
            RawError::Unreadable { revision } => Self::Unreadable { revision },
            RawError::Unavailable(message) => Self::Unavailable(message),
            RawError::OutcomeUnknown(message) => Self::OutcomeUnknown(message),
            RawError::WaitTimeout => Self::WaitTimeout,
            RawError::SessionExpired(message) => Self::SessionExpired(message),
        }
    }
}

impl<E: fmt::Debug> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(error) => write!(f, "rejected: {error:?}"),
            Self::Fault { message, .. } => f.write_str(message),
            Self::Unreadable { revision } => write!(
                f,
                "applied, but its result cannot be read: what was answered at revision {revision} is not of \
                    this client's type; build the client with the installed version of the recipe"
            ),
            Self::Unavailable(message) => write!(f, "unavailable, not applied: {message}"),
            Self::OutcomeUnknown(message) => write!(f, "outcome unknown: {message}"),
            Self::WaitTimeout => f.write_str("the call waited as long as it was allowed to"),
            Self::SessionExpired(message) => write!(f, "the session has ended: {message}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for CallError<E> {}
