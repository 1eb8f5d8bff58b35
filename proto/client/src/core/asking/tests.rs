//! Unit tests of `asking`: a request against members that answer, hang or fail, at given times.
use super::*;
use crate::core::Backoff;

const MEMBERS: [&str; 3] = ["a", "b", "c"];

fn asking(effect: Effect, answer_ms: Option<u64>) -> Asking {
    let policy = Policy { give_up_ms: 5_000, backoff: Backoff { base_ms: 10, max_ms: 10 } };
    Asking::new(policy, Terms { effect, connect_ms: 300, answer_ms, end_ms: 5_000 }, 0)
}

/// Asks the first member that is not being asked.
fn ask(asking: &mut Asking, now_ms: u64) -> &'static str {
    let address = MEMBERS.iter().find(|address| !asking.asks(address)).expect("not all are asked");
    asking.ask((*address).to_owned(), now_ms);
    address
}

fn next(asking: &Asking, now_ms: u64) -> Turn {
    asking.next(now_ms, || MEMBERS.iter().any(|address| !asking.asks(address)).then_some(0))
}

fn beside(address: &str) -> Turn {
    Turn::Ask { silent: Some(address.to_owned()) }
}

fn fail(asking: &mut Asking, address: &str, trouble: Trouble, now_ms: u64) -> Option<Error> {
    asking.failed(address, trouble, MEMBERS.into_iter(), now_ms, u32::MAX)
}

#[test]
fn what_reads_is_asked_of_one_more_member_each_time_an_answer_is_owed() {
    let mut asking = asking(Effect::Idempotent, Some(700));
    assert_eq!(next(&asking, 0), Turn::Ask { silent: None });
    ask(&mut asking, 0);
    asking.sent("a", 5);
    assert_eq!(next(&asking, 5), Turn::WaitUntil(705));
    assert_eq!(next(&asking, 705), beside("a"));
    ask(&mut asking, 705);
    asking.sent("b", 710);
    assert!(asking.asks("a") && asking.asks("b"));
    assert_eq!(next(&asking, 1_410), beside("b"));
    ask(&mut asking, 1_410);
    asking.sent("c", 1_420);
    assert_eq!(next(&asking, 4_000), Turn::WaitUntil(5_000), "there is no other");
    let Turn::GiveUp(Error::Unavailable(why)) = next(&asking, 5_000) else { panic!("it goes on") };
    assert_eq!(why, "a, b, c: no answer within 5000 ms");
}

#[test]
fn what_changes_something_moves_until_it_is_sent_and_never_after() {
    let mut asking = asking(Effect::Changes, Some(700));
    ask(&mut asking, 0);
    assert_eq!(next(&asking, 299), Turn::WaitUntil(300));
    assert_eq!(next(&asking, 300), beside("a"), "the connection is slow");
    ask(&mut asking, 300);
    asking.sent("b", 310);
    assert!(!asking.asks("a"), "its connection is given up");
    assert_eq!(next(&asking, 60_000), Turn::WaitUntil(u64::MAX));
    let lost = fail(&mut asking, "b", Trouble::NoAnswer("lost".into()), 1_000);
    assert_eq!(lost, Some(Error::OutcomeUnknown("lost".into())));
}

#[test]
fn what_was_not_sent_ends_in_time_and_surely_has_no_effect() {
    let mut asking = asking(Effect::Changes, Some(700));
    ask(&mut asking, 0);
    assert_eq!(fail(&mut asking, "a", Trouble::NotSent("refused".into()), 1), None);
    assert_eq!(next(&asking, 1), Turn::WaitUntil(11), "it pauses");
    assert_eq!(next(&asking, 5_000), Turn::GiveUp(Error::Unavailable("refused".into())));
}

#[test]
fn what_is_slow_by_nature_is_asked_of_one_member_once_it_is_sent() {
    let mut asking = asking(Effect::Idempotent, None);
    ask(&mut asking, 0);
    assert_eq!(next(&asking, 300), beside("a"));
    asking.sent("a", 301);
    assert_eq!(next(&asking, 40_000), Turn::WaitUntil(u64::MAX));
}

#[test]
fn a_refusal_ends_it_whoever_else_is_asked() {
    let mut asking = asking(Effect::Idempotent, Some(700));
    ask(&mut asking, 0);
    asking.sent("a", 0);
    ask(&mut asking, 700);
    asking.sent("b", 700);
    let refusal =
        synod_api::v1::Failure { kind: synod_api::v1::failure::Kind::Rejected as i32, ..Default::default() };
    let refused = fail(&mut asking, "b", Trouble::Answered(Box::new(refusal)), 710);
    assert!(matches!(refused, Some(Error::Refused(_))), "{refused:?}");
}

#[test]
fn the_last_failure_in_time_does_not_end_what_another_member_may_still_answer() {
    let mut asking = asking(Effect::Idempotent, Some(700));
    ask(&mut asking, 0);
    asking.sent("a", 0);
    ask(&mut asking, 700);
    asking.sent("b", 700);
    assert_eq!(fail(&mut asking, "b", Trouble::NoAnswer("broken".into()), 4_995), None);
    assert_eq!(next(&asking, 4_995), Turn::WaitUntil(5_000));
    assert_eq!(next(&asking, 5_000), Turn::GiveUp(Error::Unavailable("broken".into())));
}

#[test]
fn a_member_that_failed_is_asked_again_while_another_is_silent() {
    let mut asking = asking(Effect::Idempotent, Some(700));
    ask(&mut asking, 0);
    asking.sent("a", 0);
    ask(&mut asking, 700);
    asking.sent("b", 700);
    assert_eq!(fail(&mut asking, "b", Trouble::NoAnswer("broken".into()), 800), None);
    assert_eq!(next(&asking, 809), Turn::WaitUntil(810));
    assert_eq!(next(&asking, 810), beside("a"));
}

#[test]
fn what_has_no_time_left_is_not_sent() {
    let policy = Policy { give_up_ms: 0, ..Policy::default() };
    let terms = Terms { effect: Effect::Idempotent, connect_ms: 300, answer_ms: Some(700), end_ms: 0 };
    let Turn::GiveUp(Error::Unavailable(why)) = next(&Asking::new(policy, terms, 0), 0) else {
        panic!("it is sent")
    };
    assert!(why.contains("before it was sent"), "{why}");
}
