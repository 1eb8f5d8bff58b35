//! Unit tests of `error`.
use super::*;

fn failure(kind: Kind, reason: &str) -> Failure {
    Failure { kind: kind as i32, reason: reason.into(), message: "m".into(), ..Failure::default() }
}

#[test]
fn a_recipes_error_reaches_typed_clients_with_code_and_bytes() {
    let mut rejected = failure(Kind::Rejected, "RECIPE_ERROR");
    rejected.code = 7;
    rejected.error = Some(v1::Value { form: Some(Form::Postcard(vec![1, 2])), signature: 0 });
    assert_eq!(
        RawError::from(Error::from(rejected)),
        RawError::Rejected(EncodedError { code: 7, error: vec![1, 2] })
    );
}

#[test]
fn a_fault_keeps_what_ended_the_call() {
    let mut fault = failure(Kind::Rejected, "RECIPE_FAULT");
    fault.set_fault(v1::Fault::OutOfFuel);
    fault.limit = "CALL_FUEL".into();
    fault.limit_value = 9;
    let error = Error::from(fault);
    assert_eq!(error.to_string(), "m (CALL_FUEL = 9)");
    assert_eq!(
        RawError::from(error),
        RawError::Fault { fault: Some(Fault::OutOfFuel), message: "m (CALL_FUEL = 9)".into() }
    );
}

#[test]
fn what_a_member_broke_is_unknown_for_calls_and_harmless_for_queries() {
    let error = Error::from(failure(Kind::Internal, "BROKEN"));
    assert_eq!(RawError::from(error.clone()), RawError::OutcomeUnknown("m".into()));
    assert_eq!(query_error(error), RawError::Unavailable("m".into()));
}

#[test]
fn a_recipes_error_is_shown_once() {
    let error = |message: &str| RecipeError {
        code: 2,
        json: Some("\"NoJob\"".into()),
        postcard: None,
        message: message.into(),
    };
    assert_eq!(error("\"NoJob\": there is no such job").to_string(), "\"NoJob\": there is no such job");
    assert_eq!(error("there is no such job").to_string(), "there is no such job (\"NoJob\")");
}
