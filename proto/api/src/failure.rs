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
use tonic::{Code, Status};
use tonic_types::pb::{ErrorInfo, Status as RpcStatus};

use crate::v1::Failure;
use crate::v1::failure::Kind;

/// Type URL of a `Failure` in the details of a status.
pub const FAILURE_TYPE_URL: &str = "type.googleapis.com/synod.v1.Failure";
/// `ErrorInfo.domain` of every failure.
pub const ERROR_DOMAIN: &str = "synod";
/// `Failure.reason` of a recipe's own error, which `code` and `error` then hold.
pub const REASON_RECIPE_ERROR: &str = crate::reason::RECIPE_ERROR;
const ERROR_INFO_TYPE_URL: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// Longest details that are put into a trailer, in bytes before base64. HTTP/2 peers commonly take
/// 8 to 16 KiB of headers.
const DETAILS_BYTES: usize = 4 * 1_024;
/// Longest message of a status, in bytes: it is a header too.
const MESSAGE_BYTES: usize = 1_024;

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
/// status: whether the request was processed is then known, if at all, only to who sent it.
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
mod tests {
    use super::*;
    use crate::v1::{Value, value::Form};

    fn failure() -> Failure {
        Failure {
            kind: Kind::Rejected as i32,
            reason: "RECIPE_ERROR".into(),
            code: 2,
            error: Some(Value {
                form: Some(Form::Json("{\"Limited\":{\"retry_ms\":\"5\"}}".into())),
                signature: 0,
            }),
            message: "Try again after `retry_ms`.".into(),
            status_code: Code::ResourceExhausted as u32,
            retry_after_ms: 5,
            ..Failure::default()
        }
    }

    #[test]
    fn a_failure_survives_the_status() {
        let status = status_of_failure(&failure());
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "Try again after `retry_ms`.");
        assert_eq!(failure_of_status(&status), Some(failure()));
    }

    #[test]
    fn tools_that_know_google_only_find_reason_and_metadata() {
        use tonic_types::StatusExt;
        let status = status_of_failure(&failure());
        let info = status.get_details_error_info().expect("ErrorInfo is in the details");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("RECIPE_ERROR", ERROR_DOMAIN));
        assert_eq!(info.metadata.get("retry_after_ms").map(String::as_str), Some("5"));
        assert_eq!(info.metadata.get("kind").map(String::as_str), Some("KIND_REJECTED"));
        assert!(!info.metadata.contains_key("limit_value"));
    }

    #[test]
    fn what_is_too_large_for_headers_travels_without_its_value() {
        let mut large = failure();
        large.error = Some(Value { form: Some(Form::Postcard(vec![7; 64 * 1_024])), signature: 1 });
        large.message = "ü".repeat(4_000);
        let status = status_of_failure(&large);
        assert!(status.details().len() <= DETAILS_BYTES);
        assert!(status.message().len() <= MESSAGE_BYTES && status.message().starts_with('ü'));
        let read = failure_of_status(&status).expect("the failure is there");
        assert_eq!((read.code, read.error), (2, None));
    }

    #[test]
    fn a_status_from_elsewhere_carries_no_failure() {
        assert_eq!(failure_of_status(&Status::unavailable("connection refused")), None);
        assert_eq!(failure_of_status(&Status::with_details(Code::Internal, "x", vec![0xff; 9].into())), None);
    }

    #[test]
    fn a_failure_without_a_code_gets_that_of_its_kind() {
        for (kind, code) in [
            (Kind::Unavailable, Code::Unavailable),
            (Kind::OutcomeUnknown, Code::Unknown),
            (Kind::Unspecified, Code::Internal),
        ] {
            let failure = Failure { kind: kind as i32, ..Failure::default() };
            assert_eq!(status_of_failure(&failure).code(), code);
        }
    }
}
