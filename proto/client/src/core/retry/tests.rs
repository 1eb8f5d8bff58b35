//! Unit tests of `retry`.
use super::*;

fn answered(kind: Kind, retry_after_ms: u64) -> Trouble {
    let failure = Failure { kind: kind as i32, message: "m".into(), retry_after_ms, ..Failure::default() };
    Trouble::Answered(Box::new(failure))
}

#[test]
fn only_what_is_surely_not_applied_is_tried_again() {
    let lost = || Trouble::NoAnswer("m".into());
    let unsent = || Trouble::NotSent("m".into());
    let table = [
        (Effect::Changes, unsent(), None),
        (Effect::Changes, answered(Kind::Unavailable, 0), None),
        (Effect::Changes, lost(), Some(Error::OutcomeUnknown("m".into()))),
        (Effect::Changes, answered(Kind::OutcomeUnknown, 0), Some(Error::OutcomeUnknown("m".into()))),
        (Effect::Changes, answered(Kind::Internal, 0), Some(Error::Internal("m".into()))),
        (Effect::Changes, answered(Kind::Rejected, 0), Some(Error::Refused(refused()))),
        (Effect::Idempotent, unsent(), None),
        (Effect::Idempotent, lost(), None),
        (Effect::Idempotent, answered(Kind::Unavailable, 0), None),
        (Effect::Idempotent, answered(Kind::OutcomeUnknown, 0), None),
        (Effect::Idempotent, answered(Kind::Internal, 0), Some(Error::Internal("m".into()))),
        (Effect::Idempotent, answered(Kind::Rejected, 0), Some(Error::Refused(refused()))),
    ];
    for (effect, trouble, error) in table {
        let decision = Policy::default().decide(effect, trouble.clone(), 1, 0, u32::MAX);
        let expected = error.map_or(Decision::Retry { after_ms: 10 }, Decision::GiveUp);
        assert_eq!(decision, expected, "{effect:?} {trouble:?}");
    }
}

fn refused() -> crate::Refusal {
    crate::Refusal { message: "m".into(), ..crate::Refusal::default() }
}

#[test]
fn when_time_is_up_the_error_says_what_is_known() {
    let policy = Policy { give_up_ms: 100, backoff: Backoff { base_ms: 10, max_ms: 10 } };
    let late = |effect, trouble| policy.decide(effect, trouble, 5, 91, u32::MAX);
    assert_eq!(
        late(Effect::Changes, Trouble::NotSent("m".into())),
        Decision::GiveUp(Error::Unavailable("m".into()))
    );
    assert_eq!(
        late(Effect::Idempotent, Trouble::NoAnswer("m".into())),
        Decision::GiveUp(Error::Unavailable("m".into()))
    );
    let unknown = answered(Kind::OutcomeUnknown, 0);
    assert_eq!(late(Effect::Idempotent, unknown), Decision::GiveUp(Error::Unavailable("m".into())));
}

#[test]
fn a_member_can_ask_for_more_patience() {
    let decision = Policy::default().decide(Effect::Changes, answered(Kind::Unavailable, 250), 1, 0, 0);
    assert_eq!(decision, Decision::Retry { after_ms: 250 });
}
