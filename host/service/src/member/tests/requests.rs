//! Calls of sessions: effect once per request id whatever is lost, and in order whoever leads.
use std::time::Duration;

use synod_abi::{RequestId, Revision};
use synod_machine::{Caller, Cancelled, Request};

use super::rejection;
use crate::CallAnswer;
use crate::failure::{Reason, UnavailableReason, Value};
use crate::sessions::SessionKey;
use crate::testing::client::{next_request, request};
use crate::testing::cluster::{Cluster, Mood, Pending, TIMEOUT, is_unavailable, look};

const TTL_MS: u64 = 3_600_000;
const ADD: (&str, &str, u64) = ("add", "k", 1);

fn ready(members: u64) -> (Cluster, SessionKey) {
    let mut cluster = Cluster::ready(members);
    let key = cluster.open(1, 1, TTL_MS);
    (cluster, key)
}

fn answer(pending: &mut Pending<CallAnswer>) -> CallAnswer {
    look(pending).expect("an answer").expect("a result")
}

fn reason(pending: &mut Pending<CallAnswer>) -> Reason {
    rejection(look(pending).expect("an answer")).reason
}

#[test]
fn a_retry_on_any_member_gets_the_first_answer_bit_for_bit() {
    let (mut cluster, key) = ready(3);
    let mut first = cluster.start_request(2, key, request(1), ADD);
    cluster.run();
    let first = answer(&mut first);
    assert_eq!(first.value, Value::Json("\"1\"".into()));
    cluster.advance(Duration::from_secs(5));
    for member in 1..=3 {
        let mut again = cluster.start_request(member, key, request(1), ADD);
        cluster.run();
        assert_eq!(answer(&mut again), first);
    }
    assert_eq!(cluster.number(1, "k"), 1);
    cluster.assert_members_agree();
}

#[test]
fn a_recipes_refusal_is_kept_like_any_answer() {
    let (mut cluster, key) = ready(2);
    let refused = ("add", "k", crate::testing::recipe::MOST + 1);
    let (mut first, mut again) = (
        cluster.start_request(1, key, request(1), refused),
        cluster.start_request(2, key, request(1), refused),
    );
    cluster.run();
    let first = rejection(look(&mut first).expect("an answer"));
    assert_eq!((first.reason, first.code), (Reason::RecipeError, 7));
    assert_eq!(rejection(look(&mut again).expect("an answer")), first);
}

#[test]
fn misused_requests_are_told_what_is_wrong() {
    let (mut cluster, key) = ready(2);
    let mut done = cluster.start_request(1, key, request(1), ADD);
    cluster.run();
    assert!(look(&mut done).is_some_and(|answer| answer.is_ok()));
    let mut reused = cluster.start_request(2, key, request(1), ("add", "k", 2));
    let mut zero = cluster.start_request(2, key, request(0), ADD);
    let mut ahead =
        cluster.start_request(2, key, Request { acknowledged_below: RequestId(9), ..request(2) }, ADD);
    cluster.run();
    assert_eq!(reason(&mut reused), Reason::RequestReused);
    assert_eq!(reason(&mut zero), Reason::InvalidRequest);
    assert_eq!(reason(&mut ahead), Reason::InvalidRequest);
    let mut acknowledging =
        cluster.start_request(1, key, Request { acknowledged_below: RequestId(2), ..request(2) }, ADD);
    cluster.run();
    assert!(look(&mut acknowledging).is_some_and(|answer| answer.is_ok()));
    let mut late = cluster.start_request(2, key, request(1), ADD);
    cluster.run();
    assert_eq!(reason(&mut late), Reason::AlreadyAcknowledged);
    assert_eq!(cluster.number(2, "k"), 2);
}

#[test]
fn a_cancelled_request_never_runs() {
    let (mut cluster, key) = ready(2);
    let member = cluster.member(2);
    let was = cluster
        .wait(async move { member.cancel_request(key, RequestId(1), Caller::default(), TIMEOUT).await });
    assert_eq!(was, Ok(Cancelled::NotRun));
    let mut late = cluster.start_request(1, key, request(1), ADD);
    cluster.run();
    assert_eq!(reason(&mut late), Reason::Cancelled);
    assert_eq!(cluster.number(1, "k"), 0);
}

#[test]
fn requests_of_entries_that_a_new_leader_does_not_have_run_once() {
    let (mut cluster, key) = ready(3);
    cluster.hold_commits(true);
    let mut calls: Vec<_> =
        (1..=40).map(|id| cluster.start_request(1 + id % 3, key, request(id), ADD)).collect();
    cluster.run();
    cluster.elect(2);
    cluster.hold_commits(false);
    cluster.advance(Duration::from_millis(200));
    assert!(calls.iter_mut().all(|call| look(call).is_some_and(|answer| answer.is_ok())));
    assert_eq!(cluster.number(3, "k"), 40);
}

#[test]
fn requests_whose_proposal_has_an_unknown_fate_run_once() {
    let (mut cluster, key) = ready(2);
    for (id, mood) in [(1, Mood::UnknownKept), (2, Mood::UnknownLost)] {
        cluster.mood(mood);
        let mut call = cluster.start_request(2, key, request(id), ADD);
        cluster.run();
        cluster.mood(Mood::Accept);
        cluster.elect(2);
        cluster.advance(Duration::from_millis(200));
        answer(&mut call);
    }
    assert_eq!(cluster.number(1, "k"), 2);
}

#[test]
fn requests_lost_with_a_link_are_sent_again_and_run_once() {
    let (mut cluster, key) = ready(2);
    cluster.deafen_links(true);
    let mut calls: Vec<_> = (1..=10).map(|id| cluster.start_request(2, key, request(id), ADD)).collect();
    cluster.run();
    cluster.deafen_links(false);
    cluster.cut_links();
    cluster.advance(Duration::from_millis(200));
    assert!(calls.iter_mut().all(|call| look(call).is_some_and(|answer| answer.is_ok())));
    assert_eq!(cluster.number(1, "k"), 10);
}

#[test]
fn requests_that_a_snapshot_jumps_over_are_repeated_and_run_once() {
    let (mut cluster, key) = ready(3);
    cluster.hold_apply(3, true);
    let mut calls: Vec<_> = (1..=10).map(|id| cluster.start_request(3, key, next_request(id), ADD)).collect();
    cluster.run();
    assert_eq!(cluster.number(1, "k"), 10);
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    cluster.advance(Duration::from_millis(200));
    for (expected, call) in (1..).zip(&mut calls) {
        assert_eq!(answer(call).value, Value::Json(format!("\"{expected}\"")));
    }
    assert_eq!(cluster.number(3, "k"), 10);
    cluster.assert_members_agree();
}

#[test]
fn a_request_that_comes_before_the_one_it_follows_is_to_be_sent_again() {
    let (mut cluster, key) = ready(2);
    let mut early = cluster.start_request(2, key, next_request(2), ADD);
    cluster.run();
    assert!(is_unavailable(look(&mut early), UnavailableReason::OutOfOrder));
    let (mut first, mut second) = (
        cluster.start_request(1, key, next_request(1), ADD),
        cluster.start_request(1, key, next_request(2), ADD),
    );
    cluster.run();
    assert!(answer(&mut first).revision < answer(&mut second).revision);
}

#[test]
fn a_thousand_pipelined_calls_keep_their_order_across_changes_of_leaders() {
    for member in [1, 3] {
        let (mut cluster, key) = ready(3);
        let mut calls = Vec::new();
        for id in 1..=1_000 {
            calls.push(cluster.start_request(member, key, next_request(id), ADD));
            match id % 100 {
                10 => cluster.hold_commits(true),
                20 | 30 | 70 => cluster.run(),
                35 => cluster.elect(1 + id / 100 % 3),
                40 => cluster.hold_commits(false),
                50 => cluster.mood(Mood::UnknownLost),
                60 => cluster.mood(Mood::Accept),
                72 => cluster.hold_apply(member, true),
                75 => cluster.elect(1 + (id / 100 + 1) % 3),
                80 => cluster.cut_links(),
                90 => cluster.hold_apply(member, false),
                _ => {}
            }
        }
        cluster.elect(2);
        cluster.advance(Duration::from_secs(1));
        let mut last = Revision(0);
        for (expected, call) in (1..).zip(&mut calls) {
            let CallAnswer { value, revision, .. } = answer(call);
            assert_eq!(value, Value::Json(format!("\"{expected}\"")));
            assert!(revision > last);
            last = revision;
        }
        assert_eq!(cluster.number(1, "k"), 1_000);
        cluster.assert_members_agree();
    }
}

#[test]
fn calls_of_a_session_are_proposed_in_their_order_without_saying_what_they_follow() {
    let (mut cluster, key) = ready(3);
    cluster.hold_commits(true);
    let mut calls: Vec<_> = (1..=50).map(|id| cluster.start_request(3, key, request(id), ADD)).collect();
    cluster.run();
    cluster.hold_apply(3, true);
    cluster.elect(2);
    calls.extend((51..=100).map(|id| cluster.start_request(3, key, request(id), ADD)));
    cluster.run();
    cluster.hold_commits(false);
    cluster.run();
    cluster.hold_apply(3, false);
    cluster.advance(Duration::from_millis(200));
    for (expected, call) in (1..).zip(&mut calls) {
        assert_eq!(answer(call).value, Value::Json(format!("\"{expected}\"")));
    }
}

#[test]
fn calls_behind_deferred_ones_wait_for_them() {
    let (mut cluster, key) = ready(2);
    let mut calls = Vec::new();
    for id in 1..=60 {
        let what = if id % 6 == 0 { ADD } else { ("fill", "", 0) };
        calls.push(cluster.start_request(2, key, next_request(id), what));
        if id % 30 == 0 {
            cluster.sim.settle();
        }
    }
    cluster.advance(Duration::from_millis(200));
    assert!(calls.iter_mut().all(|call| look(call).is_some_and(|answer| answer.is_ok())));
    assert!(cluster.member(2).proposer().stats().resubmitted > 0);
    assert_eq!(cluster.number(1, "k"), 10);
}

#[test]
fn a_session_has_a_bounded_number_of_outcomes() {
    let (mut cluster, key) = ready(1);
    let limit = u64::from(synod_abi::limits::SESSION_OUTCOMES);
    let mut calls: Vec<_> =
        (1..=limit + 1).map(|id| cluster.start_request(1, key, request(id), ADD)).collect();
    cluster.run();
    let last = rejection(look(&mut calls[limit as usize]).expect("an answer"));
    assert_eq!((last.reason, last.limit.map(|limit| limit.value)), (Reason::TooManyOutcomes, Some(limit)));
    let mut again = cluster.start_request(
        1,
        key,
        Request { acknowledged_below: RequestId(limit), ..request(limit + 1) },
        ADD,
    );
    cluster.run();
    assert!(look(&mut again).is_some_and(|answer| answer.is_ok()));
    assert_eq!(cluster.head(1).counts.requests, 2);
}
