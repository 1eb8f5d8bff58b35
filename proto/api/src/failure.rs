//! How a failure travels in a gRPC status.
//!
//! The status has the code of [`Failure::status_code`](crate::v1::Failure), the message of its
//! `message`, and as details the encoded `google.rpc.Status` that gRPC asks for
//! (`grpc-status-details-bin`), with two `Any`s in this order:
//!
//! 1. `type.googleapis.com/google.rpc.ErrorInfo` with domain [`ERROR_DOMAIN`], the failure's
//!    `reason`, and as metadata what is set of `kind`, `code`, `field`, `limit`, `limit_value`,
//!    `retry_after_ms`: for tools that know Google's model only;
//! 2. [`FAILURE_TYPE_URL`]: the whole [`Failure`](crate::v1::Failure), for those who know Synod. A
//!    `Failure` too large for headers travels without its `error` value.
//!
//! Both halves are here, so that server and client cannot disagree.
use std::collections::HashMap;

use prost::Message;
use prost_types::Any;
use synod_abi::Reason;
use tonic::{Code, Status};
use tonic_types::pb::{ErrorInfo, Status as RpcStatus};

use crate::v1::Failure;
use crate::v1::failure::Kind;

/// Type URL of a `Failure` in the details of a status.
pub const FAILURE_TYPE_URL: &str = "type.googleapis.com/synod.v1.Failure";
/// `ErrorInfo.domain` of every failure.
pub const ERROR_DOMAIN: &str = "synod";
const ERROR_INFO_TYPE_URL: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// Longest details that are put into a trailer, in bytes before base64. HTTP/2 peers commonly take
/// 8 to 16 KiB of headers.
const DETAILS_BYTES: usize = 4 * 1_024;
/// Longest message of a status, in bytes: it is a header too.
const MESSAGE_BYTES: usize = 1_024;

impl Failure {
    /// The reason, if this version knows it; a newer server's is `None`, and [`Kind`] alone says
    /// how to treat the failure.
    pub fn known_reason(&self) -> Option<Reason> {
        Reason::parse(&self.reason)
    }
}

/// The status that a failed unary method ends with.
pub fn status_of_failure(failure: &Failure) -> Status {
    let code = match Code::from_i32(i32::try_from(failure.status_code).unwrap_or(i32::MAX)) {
        Code::Ok => code_of_kind(failure.kind()),
        code => code,
    };
    let message = shortened(&failure.message);
    let mut details = encode_details(code, message, failure);
    if details.len() > DETAILS_BYTES {
        let short = Failure {
            error: None,
            field: shortened(&failure.field).to_owned(),
            message: message.to_owned(),
            ..failure.clone()
        };
        details = encode_details(code, message, &short);
    }
    Status::with_details(code, message, details.into())
}

/// The failure that `status` carries. None if a proxy, the transport or a foreign server made the
/// status: then only the sender may know whether the request was processed.
pub fn failure_of_status(status: &Status) -> Option<Failure> {
    let details = RpcStatus::decode(status.details()).ok()?;
    let any = details.details.iter().find(|any| any.type_url == FAILURE_TYPE_URL)?;
    let mut failure = Failure::decode(any.value.as_slice()).ok()?;
    failure.status_code = status.code() as u32;
    if failure.message.is_empty() {
        failure.message = status.message().to_owned();
    }
    Some(failure)
}

const fn code_of_kind(kind: Kind) -> Code {
    match kind {
        Kind::Rejected => Code::FailedPrecondition,
        Kind::Unavailable => Code::Unavailable,
        Kind::OutcomeUnknown => Code::Unknown,
        Kind::Internal | Kind::Unspecified => Code::Internal,
    }
}

fn shortened(text: &str) -> &str {
    match text.char_indices().find(|(at, char)| at + char.len_utf8() > MESSAGE_BYTES) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

fn encode_details(code: Code, message: &str, failure: &Failure) -> Vec<u8> {
    let info = ErrorInfo {
        reason: failure.reason.clone(),
        domain: ERROR_DOMAIN.to_owned(),
        metadata: metadata(failure),
    };
    RpcStatus {
        code: code as i32,
        message: message.to_owned(),
        details: vec![
            Any { type_url: ERROR_INFO_TYPE_URL.to_owned(), value: info.encode_to_vec() },
            Any { type_url: FAILURE_TYPE_URL.to_owned(), value: failure.encode_to_vec() },
        ],
    }
    .encode_to_vec()
}

fn metadata(failure: &Failure) -> HashMap<String, String> {
    let numbers = [
        ("code", u64::from(failure.code)),
        ("limit_value", failure.limit_value),
        ("retry_after_ms", failure.retry_after_ms),
    ];
    let texts = [("field", shortened(&failure.field)), ("limit", failure.limit.as_str())];
    let mut metadata = HashMap::from([("kind".to_owned(), failure.kind().as_str_name().to_owned())]);
    metadata
        .extend(numbers.into_iter().filter(|(_, n)| *n != 0).map(|(key, n)| (key.to_owned(), n.to_string())));
    metadata.extend(
        texts.into_iter().filter(|(_, t)| !t.is_empty()).map(|(key, t)| (key.to_owned(), t.to_owned())),
    );
    metadata
}

#[cfg(test)]
mod tests;
