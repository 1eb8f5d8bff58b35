//! Unit tests of `failure`.
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

#[test]
fn a_reason_of_a_newer_server_is_not_known() {
    assert_eq!(failure().known_reason(), Some(Reason::RecipeError));
    let newer = Failure { reason: "OF_A_NEWER_SERVER".into(), ..failure() };
    assert_eq!(newer.known_reason(), None);
}
