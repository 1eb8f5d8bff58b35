//! What went wrong with a request, as the transport and the member report it.
use std::error::Error as StdError;

use synod_abi::Reason;
use synod_api::REQUEST_BYTES;
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;
use tonic::{Code, ConnectError, Status};

use crate::core::Trouble;

/// There was no answer in time to a request that had left, or not.
pub(super) fn late(left: bool, timeout_ms: u64) -> Trouble {
    let message = format!("no answer within {timeout_ms} ms");
    if left { Trouble::NoAnswer(message) } else { Trouble::NotSent(message) }
}

/// Refuses a message that the member would not decode; on the call stream it would end the calls of
/// all others.
pub(crate) fn check_size(bytes: usize) -> Result<(), Trouble> {
    if bytes <= REQUEST_BYTES {
        return Ok(());
    }
    Err(Trouble::Answered(Box::new(Failure {
        kind: Kind::Rejected as i32,
        reason: Reason::RequestTooLarge.into(),
        message: format!(
            "the request has {bytes} bytes, the limit is {REQUEST_BYTES}; send less in one request"
        ),
        limit: "REQUEST_BYTES".into(),
        limit_value: REQUEST_BYTES as u64,
        status_code: Code::ResourceExhausted as u32,
        ..Failure::default()
    })))
}

/// What a failed unary method means for trying again.
pub(crate) fn trouble_of(status: &Status) -> Trouble {
    if let Some(failure) = synod_api::failure_of_status(status) {
        return Trouble::Answered(Box::new(failure));
    }
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return Trouble::NotSent(describe(status));
        }
        source = error.source();
    }
    match status.code() {
        Code::Unimplemented
        | Code::OutOfRange
        | Code::InvalidArgument
        | Code::Unauthenticated
        | Code::PermissionDenied => Trouble::Answered(Box::new(Failure {
            kind: Kind::Rejected as i32,
            reason: format!("{:?}", status.code()),
            message: match status.code() {
                Code::Unimplemented => {
                    "the member does not know this method; is it of an older version, or not a Synod member?"
                        .into()
                }
                _ => describe(status),
            },
            status_code: status.code() as u32,
            ..Failure::default()
        })),
        _ => Trouble::NoAnswer(describe(status)),
    }
}

/// What a status says, with its causes.
pub(super) fn describe(status: &Status) -> String {
    match status.source() {
        Some(source) => format!("{}: {}", status.message(), chain(source)),
        None if status.message().is_empty() => format!("{:?}", status.code()),
        None => status.message().to_owned(),
    }
}

/// The innermost causes are what a reader needs; tonic's outer ones only say "transport error".
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = if text == "transport error" { next } else { format!("{text}: {next}") };
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
