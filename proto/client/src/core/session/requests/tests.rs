//! Transcripts: what is made, sent, answered and given up, line by line.
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;

use super::*;
use crate::api;
use crate::core::{Backoff, Trouble};

const PATIENCE: Patience = Patience {
    policy: Policy { give_up_ms: 1_000, backoff: Backoff { base_ms: 10, max_ms: 100 } },
    attempt_ms: 500,
};
const FULL: u32 = u32::MAX;

/// Requests in a round, with `count` calls made at time 0.
fn made(count: u64) -> Requests {
    let mut requests = Requests::new(1, PATIENCE);
    for id in 1..=count {
        assert_eq!(requests.add(0), Ok(id));
    }
    assert_eq!(requests.wants_round(0), count > 0);
    requests.begin_round();
    requests
}

/// What is sent now, as `id after floor [acknowledged]`.
fn sent(requests: &mut Requests, now_ms: u64) -> Vec<String> {
    std::iter::from_fn(|| requests.next_to_send(now_ms))
        .map(|Sending { id, after, acknowledged_below, acknowledged, .. }| {
            format!("{id} {after} {acknowledged_below} {acknowledged:?}")
        })
        .collect()
}

fn failure(kind: Kind, reason: &str) -> Landed {
    Landed::Failed(Trouble::Answered(Box::new(Failure {
        kind: kind as i32,
        reason: reason.into(),
        message: "m".into(),
        ..Failure::default()
    })))
}

fn lost() -> Landed {
    Landed::Failed(Trouble::NoAnswer("broken".into()))
}

fn land(requests: &mut Requests, id: u64, landed: Landed) -> Step {
    let round = requests.round().expect("a round is on");
    requests.landed(id, round, landed, 0, FULL)
}

fn finish(requests: &mut Requests, id: u64) {
    assert_eq!(land(requests, id, Landed::Result), Step::Deliver);
    requests.taken(id);
}

/// The round is over; what ran is taken back, and the next round begins.
fn change_member(requests: &mut Requests) {
    for id in requests.in_flight() {
        requests.take_back(id);
    }
    requests.begin_round();
}

#[test]
fn pipelined_calls_name_the_one_before_and_acknowledge_what_was_taken() {
    let mut requests = made(3);
    assert_eq!(sent(&mut requests, 0), ["1 0 1 []", "2 1 1 []", "3 2 1 []"]);
    finish(&mut requests, 1);
    finish(&mut requests, 3);
    assert_eq!(requests.add(0), Ok(4));
    assert_eq!(sent(&mut requests, 0), ["4 2 2 []"], "3 is settled, 2 is not");
    finish(&mut requests, 2);
    finish(&mut requests, 4);
    assert_eq!(requests.add(0), Ok(5));
    assert_eq!(sent(&mut requests, 0), ["5 0 5 []"]);
}

#[test]
fn an_answer_that_is_not_taken_is_not_acknowledged() {
    let mut requests = made(1);
    sent(&mut requests, 0);
    assert_eq!(land(&mut requests, 1, Landed::Result), Step::Deliver);
    assert_eq!(requests.add(0), Ok(2));
    assert_eq!(sent(&mut requests, 0), ["2 1 1 []"]);
    requests.abandon(1);
    assert_eq!(requests.next_cancel(), Some(1), "granted to nobody: it is given back");
    assert_eq!(requests.cancelled(1, Some(api::Cancelled::Granted)), None);
    assert_eq!(requests.add(0), Ok(3));
    assert_eq!(sent(&mut requests, 0), ["3 2 2 [1]"]);
}

#[test]
fn parked_calls_are_passed_over_by_the_floor_only_after_the_word_came_and_are_acknowledged_singly() {
    let mut requests = made(2);
    sent(&mut requests, 0);
    finish(&mut requests, 2);
    assert_eq!(requests.add(0), Ok(3));
    assert_eq!(sent(&mut requests, 0), ["3 1 1 []"], "1 may have parked, but nobody said so");
    assert_eq!(land(&mut requests, 1, Landed::Parked), Step::Parked);
    assert_eq!(land(&mut requests, 1, Landed::Parked), Step::Nothing, "said twice");
    finish(&mut requests, 3);
    assert_eq!(requests.add(0), Ok(4));
    assert_eq!(sent(&mut requests, 0), ["4 0 4 []"], "1 waits and holds nothing up");
    finish(&mut requests, 1);
    assert_eq!(requests.add(0), Ok(5));
    assert_eq!(sent(&mut requests, 0), ["5 4 4 [1]"]);
    assert_eq!(requests.add(0), Ok(6));
    assert_eq!(sent(&mut requests, 0), ["6 5 4 []"], "5 carries it");
    assert_eq!(
        land(&mut requests, 5, failure(Kind::Rejected, "UNKNOWN_SPACE")),
        Step::Fail(Error::from(unknown_space()))
    );
    assert_eq!(requests.add(0), Ok(7));
    assert_eq!(sent(&mut requests, 0), ["7 6 4 [1]"], "5 may have been refused before it got anywhere");
}

fn unknown_space() -> Failure {
    Failure {
        kind: Kind::Rejected as i32,
        reason: "UNKNOWN_SPACE".into(),
        message: "m".into(),
        ..Failure::default()
    }
}

#[test]
fn when_the_member_fails_all_that_runs_is_sent_again_in_order_and_parked_ones_stay() {
    let mut requests = made(4);
    sent(&mut requests, 0);
    land(&mut requests, 1, Landed::Parked);
    assert_eq!(land(&mut requests, 3, failure(Kind::OutcomeUnknown, "OUTCOME_UNKNOWN")), Step::Leave);
    assert_eq!((requests.round(), requests.in_flight()), (None, vec![2, 4]));
    assert!(!requests.wants_round(9) && requests.wants_round(10), "after a pause");
    change_member(&mut requests);
    assert_eq!(sent(&mut requests, 10), ["2 0 2 []", "3 2 2 []", "4 3 2 []"]);
    assert_eq!(
        requests.landed(2, 1, Landed::Result, 10, FULL),
        Step::Nothing,
        "what the old member says now is not heard"
    );
    assert_eq!(
        requests.landed(1, 1, lost(), 10, FULL),
        Step::Nothing,
        "the old stream broke: no fault of the new member"
    );
    assert_eq!(sent(&mut requests, 10), ["1 0 1 []"]);
    finish(&mut requests, 1);
    for id in 2..=4 {
        finish(&mut requests, id);
    }
    requests.add(10).expect("there is room");
    assert_eq!(
        sent(&mut requests, 10),
        ["5 0 5 [1, 2, 3, 4]"],
        "the word that they parked may have been lost with the answers"
    );
}

#[test]
fn what_surely_was_not_applied_counts_as_never_sent() {
    let mut requests = made(1);
    sent(&mut requests, 0);
    assert_eq!(land(&mut requests, 1, failure(Kind::Unavailable, "NO_LEADER")), Step::Leave);
    change_member(&mut requests);
    sent(&mut requests, 10);
    let Step::Over(error) = land(&mut requests, 1, failure(Kind::Rejected, "SESSION_EXPIRED")) else {
        panic!("it is over")
    };
    assert_eq!(error, Error::SessionExpired("m".into()));
}

#[test]
fn a_session_that_ended_is_told_to_a_first_sending_and_unknown_to_a_retry() {
    let mut requests = made(2);
    sent(&mut requests, 0);
    assert_eq!(land(&mut requests, 1, lost()), Step::Leave);
    change_member(&mut requests);
    sent(&mut requests, 10);
    let Step::Over(error) = land(&mut requests, 1, failure(Kind::Rejected, "SESSION_EXPIRED")) else {
        panic!("it is over")
    };
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
}

#[test]
fn out_of_order_waits_for_the_one_before_and_those_behind_it_follow_at_a_growing_pace() {
    let mut requests = made(4);
    sent(&mut requests, 0);
    for id in 2..=4 {
        assert_eq!(land(&mut requests, id, failure(Kind::Unavailable, "OUT_OF_ORDER")), Step::Nothing);
    }
    assert!(requests.round().is_some(), "no fault of the member");
    assert_eq!(sent(&mut requests, 0), [""; 0]);
    assert_eq!(requests.wake_at(0), Some(10), "in case the answer never comes");
    finish(&mut requests, 1);
    assert_eq!(sent(&mut requests, 0), ["2 0 2 []", "3 2 2 []"], "one got through, so two may be in flight");
    assert_eq!(land(&mut requests, 3, failure(Kind::Unavailable, "OUT_OF_ORDER")), Step::Nothing);
    assert_eq!(sent(&mut requests, 9), [""; 0]);
    assert_eq!(sent(&mut requests, 10), ["3 2 2 []"], "tried, in case that the answer never comes");
    assert_eq!(land(&mut requests, 2, Landed::Result), Step::Deliver);
    assert_eq!(sent(&mut requests, 10), ["4 3 2 []"]);
    assert_eq!(land(&mut requests, 3, failure(Kind::Unavailable, "OUT_OF_ORDER")), Step::Nothing);
    assert_eq!(sent(&mut requests, 10), ["3 2 2 []"], "2 has run, whether or not its answer is taken");
}

#[test]
fn a_refused_call_is_skipped_by_those_behind_it() {
    let mut requests = made(3);
    sent(&mut requests, 0);
    assert!(matches!(
        land(&mut requests, 1, failure(Kind::Rejected, "INVALID_ARGUMENTS")),
        Step::Fail(Error::Refused(_))
    ));
    land(&mut requests, 2, failure(Kind::Unavailable, "OUT_OF_ORDER"));
    land(&mut requests, 3, failure(Kind::Unavailable, "OUT_OF_ORDER"));
    assert_eq!(sent(&mut requests, 0), ["2 0 2 []"]);
    finish(&mut requests, 2);
    assert_eq!(sent(&mut requests, 0), ["3 0 3 []"]);
}

#[test]
fn a_refusal_that_is_recorded_is_an_outcome_as_any_other_and_those_behind_it_go_on() {
    for reason in ["TOO_MANY_WAITING", "TOO_MANY_SPACES", "WAIT_TIMEOUT"] {
        let mut requests = made(1);
        sent(&mut requests, 0);
        assert_eq!(land(&mut requests, 1, Landed::Parked), Step::Parked);
        finish(&mut requests, 1);
        for id in 2..=4 {
            assert_eq!(requests.add(0), Ok(id));
        }
        assert_eq!(sent(&mut requests, 0), ["2 0 2 [1]", "3 2 2 []", "4 3 2 []"]);
        assert!(matches!(land(&mut requests, 2, failure(Kind::Rejected, reason)), Step::Fail(_)));
        finish(&mut requests, 3);
        finish(&mut requests, 4);
        requests.add(0).expect("there is room");
        assert_eq!(sent(&mut requests, 0), ["5 0 5 []"], "what 2 acknowledged has arrived: {reason}");
    }
}

#[test]
fn a_full_table_is_tried_again_once_more_can_be_acknowledged_and_told_otherwise() {
    let mut requests = made(2);
    sent(&mut requests, 0);
    let full = || failure(Kind::Rejected, "TOO_MANY_OUTCOMES");
    assert_eq!(land(&mut requests, 2, full()), Step::Nothing);
    assert_eq!(sent(&mut requests, 0), [""; 0]);
    finish(&mut requests, 1);
    assert_eq!(sent(&mut requests, 0), ["2 0 2 []"]);
    assert!(
        matches!(land(&mut requests, 2, full()), Step::Fail(Error::Refused(_))),
        "nothing more to acknowledge"
    );
}

#[test]
fn a_refusal_of_a_retry_is_told_only_when_the_first_sending_surely_cannot_run_any_more() {
    let retried = || {
        let mut requests = made(1);
        sent(&mut requests, 0);
        land(&mut requests, 1, lost());
        change_member(&mut requests);
        sent(&mut requests, 10);
        requests
    };
    let refused = || failure(Kind::Rejected, "INVALID_ARGUMENTS");
    for (was, unknown) in
        [(api::Cancelled::NotRun, false), (api::Cancelled::Granted, false), (api::Cancelled::Final, true)]
    {
        let mut requests = retried();
        assert_eq!(land(&mut requests, 1, refused()), Step::Nothing);
        assert_eq!(requests.next_cancel(), Some(1));
        let told = requests.cancelled(1, Some(was)).expect("the caller waits");
        assert_eq!(matches!(told, Error::OutcomeUnknown(_)), unknown, "{was:?}: {told}");
    }
    for reason in ["RECIPE_ERROR", "TOO_MANY_WAITING", "TOO_MANY_SPACES", "WAIT_TIMEOUT"] {
        let mut requests = retried();
        let Step::Fail(told) = land(&mut requests, 1, failure(Kind::Rejected, reason)) else {
            panic!("{reason} is recorded")
        };
        assert!(
            matches!(told, Error::Rejected(_) | Error::Refused(_) | Error::WaitTimeout),
            "{reason}: {told}"
        );
        assert_eq!((requests.next_cancel(), requests.is_known(1)), (None, false), "{reason}");
        requests.add(10).expect("there is room");
        assert_eq!(sent(&mut requests, 10), ["2 0 2 [1]"], "{reason}");
    }
    let mut requests = retried();
    land(&mut requests, 1, refused());
    assert_eq!(requests.next_cancel(), Some(1));
    assert!(matches!(requests.cancel_failed(1), Some(Error::OutcomeUnknown(_))));
    assert_eq!(requests.next_cancel(), Some(1), "the cancel goes on");
}

#[test]
fn a_dropped_call_that_was_never_sent_uses_up_its_id_and_one_that_was_sent_is_cancelled() {
    let mut requests = made(3);
    requests.abandon(2);
    assert_eq!(requests.next_cancel(), None);
    assert_eq!(sent(&mut requests, 0), ["1 0 1 []", "3 1 1 []"]);
    requests.abandon(1);
    assert_eq!(requests.next_cancel(), Some(1));
    assert_eq!(requests.next_cancel(), None);
    assert_eq!(land(&mut requests, 1, Landed::Result), Step::Nothing, "too late");
    finish(&mut requests, 3);
    requests.add(0).expect("there is room");
    assert_eq!(
        sent(&mut requests, 0),
        ["4 1 1 []"],
        "the floor stays until the cancel is answered: it would find nothing"
    );
    assert_eq!(requests.cancelled(1, Some(api::Cancelled::NotRun)), None);
    requests.add(0).expect("there is room");
    assert_eq!(sent(&mut requests, 0), ["5 4 4 []"]);
}

#[test]
fn a_cancel_of_what_may_not_have_run_waits_for_those_before_it() {
    let mut requests = made(3);
    sent(&mut requests, 0);
    requests.abandon(2);
    assert_eq!(requests.next_cancel(), None, "cancelled now, 3 could run before 1");
    land(&mut requests, 1, Landed::Result);
    assert_eq!(requests.next_cancel(), Some(2));
}

#[test]
fn a_dropped_parked_call_is_cancelled_and_then_acknowledged() {
    let mut requests = made(1);
    sent(&mut requests, 0);
    land(&mut requests, 1, Landed::Parked);
    requests.abandon(1);
    assert_eq!(requests.next_cancel(), Some(1));
    assert_eq!(requests.cancelled(1, Some(api::Cancelled::Waiting)), None);
    requests.add(0).expect("there is room");
    assert_eq!(sent(&mut requests, 0), ["2 0 2 [1]"]);
}

#[test]
fn without_a_word_from_the_cluster_running_calls_give_up_and_parked_ones_wait_on() {
    let mut requests = made(3);
    requests.next_to_send(0);
    requests.next_to_send(0);
    land(&mut requests, 1, Landed::Parked);
    assert_eq!(requests.landed(2, 1, lost(), 100, FULL), Step::Leave);
    assert_eq!((requests.given_up(1_099), requests.is_silent(1_099)), (vec![], None));
    assert_eq!(requests.wake_at(100), Some(110));
    let told = requests.given_up(1_100);
    assert_eq!(told, [(2, Error::OutcomeUnknown("broken".into())), (3, Error::Unavailable("broken".into()))]);
    assert_eq!(requests.is_silent(1_100), Some("broken"));
    assert_eq!(requests.next_cancel(), Some(2));
    requests.add(1_100).expect("there is room");
    assert_eq!(requests.given_up(1_100), [], "who comes later has the same patience");
}

#[test]
fn a_answered_ends_the_silence_and_the_pauses_grow_without_one() {
    let mut requests = made(1);
    let mut pauses = Vec::new();
    for now_ms in [0, 100, 200] {
        sent(&mut requests, now_ms);
        requests.landed(
            1,
            requests.round().expect("a round is on"),
            failure(Kind::Unavailable, "NO_LEADER"),
            now_ms,
            FULL,
        );
        pauses.push(requests.wake_at(now_ms).expect("a round is wanted") - now_ms);
        requests.begin_round();
    }
    assert_eq!(pauses, [10, 20, 40]);
    sent(&mut requests, 300);
    finish(&mut requests, 1);
    assert_eq!((requests.is_silent(10_000), requests.wake_at(300)), (None, None), "nothing to do");
}

#[test]
fn a_member_that_owes_an_answer_too_long_is_left_but_not_for_parked_calls() {
    let mut requests = made(2);
    sent(&mut requests, 0);
    land(&mut requests, 1, Landed::Parked);
    assert_eq!(requests.wake_at(0), Some(500));
    assert_eq!(requests.overdue(499, 0), None);
    assert!(requests.overdue(500, 0).is_some_and(|why| why.contains("500 ms")));
    change_member(&mut requests);
    sent(&mut requests, 510);
    finish(&mut requests, 2);
    assert_eq!((requests.overdue(100_000, 0), requests.wake_at(100_000)), (None, None), "1 waits for hours");
}

#[test]
fn tables_are_bounded_on_both_sides_and_results_that_nobody_takes_hold_nothing_up_for_ever() {
    let mut requests = made(MAX_PENDING as u64);
    assert!(matches!(requests.add(0), Err(Error::Refused(refusal)) if refusal.reason == "TOO_MANY_OUTCOMES"));
    assert_eq!(sent(&mut requests, 0).len(), MAX_PENDING);
    assert_eq!(land(&mut requests, 1, Landed::Result), Step::Deliver);
    for id in 2..=MAX_PENDING as u64 {
        finish(&mut requests, id);
    }
    requests.add(0).expect("there is room");
    let next = MAX_PENDING + 1;
    assert_eq!(sent(&mut requests, 0), [format!("{next} 0 {next} []")], "1 counts as taken");
    requests.abandon(1);
    assert_eq!(requests.next_cancel(), None);
}

#[test]
fn what_the_cluster_has_no_room_for_is_not_sent_while_room_will_come() {
    let mut requests = made(1);
    sent(&mut requests, 0);
    for id in 2..=MAX_PENDING as u64 {
        requests.add(0).expect("there is room");
        assert_eq!(sent(&mut requests, 0).len(), 1);
        finish(&mut requests, id);
    }
    requests.add(0).expect("there is room");
    assert_eq!(sent(&mut requests, 0), [""; 0], "1 has no answer, so all the others are kept");
    finish(&mut requests, 1);
    assert_eq!(sent(&mut requests, 0).len(), 1);
}

#[test]
fn when_the_session_is_over_everyone_is_told_what_is_known() {
    let mut requests = made(4);
    for _ in 0..3 {
        requests.next_to_send(0);
    }
    land(&mut requests, 1, Landed::Parked);
    land(&mut requests, 3, Landed::Result);
    let told = requests.over("closed");
    let expired = || Error::SessionExpired("closed".into());
    assert_eq!(told, [(1, expired()), (2, Error::OutcomeUnknown("closed".into())), (4, expired())]);
    assert_eq!((requests.next_to_send(0), requests.wake_at(0), requests.wants_round(0)), (None, None, false));
    requests.taken(3);
    requests.abandon(1);
}

#[test]
fn a_session_that_is_taken_up_counts_on() {
    let mut requests = Requests::new(8, PATIENCE);
    assert_eq!(requests.add(0), Ok(8));
    requests.begin_round();
    assert_eq!(sent(&mut requests, 0), ["8 0 8 []"]);
    assert_eq!(Requests::new(0, PATIENCE).next_id(), 1);
}
