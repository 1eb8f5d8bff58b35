//! Unit tests of `io::fail`.
use super::*;
use synod_client::{RecipeError, Refusal};

fn refused(reason: &str) -> Error {
    Error::Refused(Refusal {
        reason: reason.into(),
        message: "m".into(),
        field: Some("$.by".into()),
        ..Refusal::default()
    })
}

#[test]
fn every_kind_of_error_has_its_exit_code() {
    let rejected =
        RecipeError { code: 2, json: Some("{\"A\":1}".into()), postcard: None, message: "m".into() };
    let table = [
        (Error::Rejected(rejected), 1, "rejected"),
        (refused("UNKNOWN_SPACE"), 1, "rejected"),
        (refused("OF_A_NEWER_CLUSTER"), 1, "rejected"),
        (refused("INVALID_ARGUMENTS"), 2, "usage"),
        (refused("BAD_ENDPOINT"), 2, "usage"),
        (Error::Unavailable("m".into()), 3, "unavailable"),
        (Error::OutcomeUnknown("m".into()), 4, "outcome_unknown"),
        (Error::Internal("m".into()), 5, "internal"),
        (Error::WaitTimeout, 6, "wait_timeout"),
        (Error::SessionExpired("m".into()), 7, "session_lost"),
    ];
    for (error, code, kind) in table {
        let failed = Failed::from(error);
        assert_eq!(failed.exit as u8, code);
        let json = failed.json();
        assert_eq!(
            (json["error"]["exit_code"].as_u64(), json["error"]["kind"].as_str()),
            (Some(u64::from(code)), Some(kind))
        );
    }
    assert_eq!(Failed::from(StartError::Unavailable("m".into())).exit, Exit::Unavailable);
}

#[test]
fn a_recipes_error_is_shown_as_json_to_programs() {
    let error = RecipeError {
        code: 2,
        json: Some("{\"Limited\":{\"retry_ms\":\"5\"}}".into()),
        postcard: None,
        message: "Try later.".into(),
    };
    let failed = Failed::from(Error::Rejected(error));
    let json = failed.json();
    assert_eq!(json["error"]["code"], 2);
    assert_eq!(json["error"]["error"]["Limited"]["retry_ms"], "5");
    assert_eq!(failed.text(), "error: rejected: Try later. ({\"Limited\":{\"retry_ms\":\"5\"}})");
}

#[test]
fn people_are_told_the_field_and_the_next_step() {
    let text = Failed::from(refused("INVALID_ARGUMENTS")).text();
    assert!(text.starts_with("error: $.by: m\n  next: `synod space describe"), "{text}");
}

#[test]
fn a_limit_that_a_recipe_met_is_the_next_step_and_not_its_logs() {
    let refusal = Refusal {
        reason: "RECIPE_FAULT".into(),
        limit: Some(("VALUE_BYTES".into(), 262_144)),
        ..Refusal::default()
    };
    let met = Failed::from(Error::Refused(refusal.clone()));
    assert_eq!(met.next.as_deref(), Some("do less in one call: VALUE_BYTES is 262144, for every recipe"));
    let panicked = Failed::from(Error::Refused(Refusal { limit: None, ..refusal }));
    assert!(panicked.next.expect("there is one").contains("logs"));
}

#[test]
fn wrong_arguments_and_settings_are_wrong_usage() {
    let misfit = Misfit { message: "`take` also needs --n".into(), expected: "take(n: u32)".into() };
    let failed = Failed::from(misfit);
    assert_eq!(failed.exit, Exit::Usage);
    assert_eq!(failed.text(), "error: `take` also needs --n\n  next: take(n: u32)");
    let failed = Failed::from(Invalid { message: "m".into(), next: None });
    assert_eq!((failed.exit, failed.next), (Exit::Usage, None));
}
