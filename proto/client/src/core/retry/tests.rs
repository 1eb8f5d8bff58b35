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

fn full() -> Trouble {
    let failure = Failure {
        kind: Kind::Unavailable as i32,
        reason: Reason::DiskFull.into(),
        message: "full".into(),
        retry_after_ms: 1_000,
        ..Failure::default()
    };
    Trouble::Answered(Box::new(failure))
}

#[test]
fn after_a_full_disk_the_others_are_asked_at_once_and_when_all_are_full_it_soon_ends() {
    let policy = Policy::default();
    let mut heard = FullMembers::default();
    let mut decide = |address: &str, trouble: &Trouble, elapsed_ms| {
        heard.decide(&policy, address, trouble, ["a", "b", "c"].into_iter(), elapsed_ms)
    };
    assert_eq!(decide("a", &full(), 0), Some(Decision::Retry { after_ms: 0 }));
    assert_eq!(decide("b", &full(), 1), Some(Decision::Retry { after_ms: 0 }));
    assert_eq!(decide("c", &Trouble::NotSent("down".into()), 2), None, "it may have space");
    assert_eq!(decide("a", &full(), 3), Some(Decision::Retry { after_ms: 0 }), "c did not say so");
    assert_eq!(decide("c", &full(), 4), Some(Decision::Retry { after_ms: FULL_PAUSE_MS }));
    assert_eq!(decide("a", &full(), 900), Some(Decision::Retry { after_ms: 0 }), "another round");
    assert_eq!(decide("c", &full(), 901), Some(Decision::Retry { after_ms: 0 }));
    let ended = Some(Decision::GiveUp(Error::Unavailable("full".into())));
    assert_eq!(decide("b", &full(), 902), ended, "all said so");
}

#[test]
fn a_policy_shorter_than_a_round_ends_first() {
    let policy = Policy { give_up_ms: 0, ..Policy::default() };
    let mut heard = FullMembers::default();
    assert_eq!(heard.decide(&policy, "a", &full(), ["a", "b"].into_iter(), 0), None);
    let decided = policy.decide(Effect::Changes, full(), 1, 0, 0);
    assert_eq!(decided, Decision::GiveUp(Error::Unavailable("full".into())));
}

#[test]
fn a_member_can_ask_for_more_patience() {
    let decision = Policy::default().decide(Effect::Changes, answered(Kind::Unavailable, 250), 1, 0, 0);
    assert_eq!(decision, Decision::Retry { after_ms: 250 });
}
