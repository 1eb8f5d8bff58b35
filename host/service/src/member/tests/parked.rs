//! Calls that wait: answered by another command, whoever leads, whatever this member missed
//! meanwhile.
use std::time::Duration;

use synod_abi::RequestId;
use synod_machine::{Caller, Cancelled, Request};

use super::rejection;
use crate::failure::{CallFailure, Reason, UnavailableReason, Value};
use crate::parked::WAITERS_PER_REQUEST;
use crate::sessions::SessionKey;
use crate::testing::client::{request, waiting_request};
use crate::testing::cluster::{Cluster, Pending, TIMEOUT, is_unavailable, look};
use crate::testing::recipe::{CANCELLED, ENDED};
use crate::{CallAnswer, SessionAnswer};

const TTL_MS: u64 = 3_600_000;
const WAIT: (&str, &str, u64) = ("wait", "k", 0);

fn ready() -> (Cluster, SessionKey) {
    let mut cluster = Cluster::ready(3);
    let key = cluster.open(1, 1, TTL_MS);
    (cluster, key)
}

/// A call that waits on `member`.
fn parked(cluster: &mut Cluster, member: u64, key: SessionKey, id: u64) -> Pending<CallAnswer> {
    let mut pending = cluster.start_request(member, key, request(id), WAIT);
    cluster.run();
    assert_eq!(look(&mut pending), None);
    pending
}

fn give(cluster: &mut Cluster, member: u64, n: u64) -> CallAnswer {
    let mut given = cluster.start_plain(member, ("give", "k", n));
    cluster.advance(Duration::from_millis(100));
    look(&mut given).expect("an answer").expect("a result")
}

fn value(pending: &mut Pending<CallAnswer>) -> Option<Value> {
    look(pending).map(|answer| answer.expect("a result").value)
}

fn json(text: &str) -> Option<Value> {
    Some(Value::Json(text.into()))
}

fn nobody_waits(cluster: &Cluster) -> bool {
    (1..=3).all(|member| cluster.member(member).0.parked.counts() == (0, 0, 0))
}

fn waiting(cluster: &Cluster) -> u64 {
    cluster.head(1).counts.waiting
}

#[test]
fn a_parked_call_is_answered_by_the_command_that_completes_it() {
    let (mut cluster, key) = ready();
    let mut first = cluster.start_call(2, key, request(1), WAIT);
    cluster.run();
    let Some(Ok(SessionAnswer::Parked(first))) = look(&mut first) else { panic!("it waits") };
    let at = first.revision();
    let mut first = cluster.sim.start(first.answer());
    assert_eq!(waiting(&cluster), 1);
    let given = give(&mut cluster, 3, 42);
    assert_eq!(given.value, Value::Json("\"1\"".into()));
    let answer = look(&mut first).expect("an answer").expect("a result");
    assert_eq!(
        (answer.value, answer.revision, answer.time),
        (Value::Json("\"42\"".into()), given.revision, given.time)
    );
    assert!(answer.revision > at);
    assert!(nobody_waits(&cluster));
    assert_eq!(waiting(&cluster), 0);
}

#[test]
fn a_call_that_is_completed_in_the_entry_that_parks_it_is_answered() {
    let (mut cluster, key) = ready();
    let (mut call, mut given) =
        (cluster.start_request(1, key, request(1), WAIT), cluster.start_plain(1, ("give", "k", 5)));
    cluster.run();
    assert_eq!((value(&mut call), value(&mut given)), (json("\"5\""), json("\"1\"")));
    assert_eq!(cluster.committed().last().map(|entry| entry.commands.len()), Some(2));
    assert!(nobody_waits(&cluster));
}

#[test]
fn a_parked_call_is_answered_after_a_change_of_leaders() {
    let (mut cluster, key) = ready();
    let mut on_leader = parked(&mut cluster, 1, key, 1);
    let mut on_follower = parked(&mut cluster, 3, key, 2);
    cluster.elect(2);
    give(&mut cluster, 2, 7);
    cluster.elect(3);
    give(&mut cluster, 1, 8);
    assert_eq!((value(&mut on_leader), value(&mut on_follower)), (json("\"7\""), json("\"8\"")));
    assert!(nobody_waits(&cluster));
}

#[test]
fn a_member_that_lags_answers_its_waiters_when_it_catches_up() {
    let (mut cluster, key) = ready();
    let mut call = parked(&mut cluster, 3, key, 1);
    cluster.hold_apply(3, true);
    give(&mut cluster, 1, 7);
    assert_eq!(value(&mut call), None);
    cluster.hold_apply(3, false);
    cluster.run();
    assert_eq!(value(&mut call), json("\"7\""));
}

#[test]
fn after_a_snapshot_waiters_find_their_outcome_or_wait_on() {
    let (mut cluster, key) = ready();
    let (mut first, mut second) = (parked(&mut cluster, 3, key, 1), parked(&mut cluster, 3, key, 2));
    cluster.hold_apply(3, true);
    give(&mut cluster, 1, 7);
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    assert_eq!((value(&mut first), value(&mut second)), (json("\"7\""), None));
    give(&mut cluster, 1, 8);
    assert_eq!(value(&mut second), json("\"8\""));
    assert!(nobody_waits(&cluster));
}

#[test]
fn after_a_snapshot_a_waiter_whose_request_is_gone_asks_again() {
    let (mut cluster, key) = ready();
    let other = cluster.open(1, 2, TTL_MS);
    let (mut acknowledged, mut ended) = (parked(&mut cluster, 3, key, 1), parked(&mut cluster, 3, other, 1));
    cluster.hold_apply(3, true);
    give(&mut cluster, 1, 7);
    let acknowledging =
        Request { acknowledged_below: RequestId(2), acknowledged: vec![RequestId(1)], ..request(2) };
    let mut next = cluster.start_request(1, key, acknowledging, ("add", "n", 1));
    cluster.run();
    assert_eq!(value(&mut next), json("\"1\""));
    cluster.close(1, other.session).expect("closed");
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    cluster.advance(Duration::from_millis(100));
    assert_eq!(rejection(look(&mut acknowledged).expect("an answer")).reason, Reason::AlreadyAcknowledged);
    assert_eq!(rejection(look(&mut ended).expect("an answer")).reason, Reason::SessionExpired);
    assert!(nobody_waits(&cluster));
}

#[test]
fn a_waiter_that_asks_again_does_so_until_there_is_a_leader() {
    let (mut cluster, key) = ready();
    let mut call = parked(&mut cluster, 3, key, 1);
    cluster.hold_apply(3, true);
    cluster.close(1, key.session).expect("closed");
    cluster.depose();
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    cluster.advance(Duration::from_secs(60));
    assert_eq!(look(&mut call), None);
    cluster.elect(2);
    cluster.advance(Duration::from_secs(1));
    assert_eq!(rejection(look(&mut call).expect("an answer")).reason, Reason::SessionExpired);
}

#[test]
fn a_call_that_a_snapshot_jumps_over_while_it_parks_waits() {
    let (mut cluster, key) = ready();
    cluster.hold_apply(3, true);
    let mut call = cluster.start_request(3, key, request(1), WAIT);
    cluster.run();
    assert_eq!(waiting(&cluster), 1);
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    cluster.advance(Duration::from_millis(100));
    assert_eq!(look(&mut call), None);
    give(&mut cluster, 2, 9);
    assert_eq!(value(&mut call), json("\"9\""));
    assert_eq!(waiting(&cluster), 0);
}

#[test]
fn a_retry_on_another_member_waits_for_the_same_outcome() {
    let (mut cluster, key) = ready();
    let mut first = parked(&mut cluster, 2, key, 1);
    let (mut here, mut there) = (parked(&mut cluster, 2, key, 1), parked(&mut cluster, 3, key, 1));
    assert_eq!(waiting(&cluster), 1);
    let given = give(&mut cluster, 1, 3);
    for pending in [&mut first, &mut here, &mut there] {
        let answer = look(pending).expect("an answer").expect("a result");
        assert_eq!((answer.value, answer.revision), (Value::Json("\"3\"".into()), given.revision));
    }
    let mut late = cluster.start_request(1, key, request(1), WAIT);
    cluster.run();
    assert_eq!(look(&mut late).expect("an answer").expect("a result").revision, given.revision);
}

#[test]
fn the_waiters_of_a_request_are_bounded_and_dropping_them_leaves_nothing() {
    let (mut cluster, key) = ready();
    let mut calls: Vec<_> =
        (0..=WAITERS_PER_REQUEST).map(|_| cluster.start_call(2, key, request(1), WAIT)).collect();
    cluster.run();
    assert!(is_unavailable(
        calls.pop().map(|mut call| look(&mut call).expect("an answer")),
        UnavailableReason::Busy
    ));
    let waiters: Vec<_> = calls.iter_mut().map(look).collect();
    assert!(waiters.iter().all(|waiter| matches!(waiter, Some(Ok(SessionAnswer::Parked(_))))));
    let (requests, waiters_there, bytes) = cluster.member(2).0.parked.counts();
    assert_eq!((requests, waiters_there), (1, WAITERS_PER_REQUEST));
    assert!(bytes > 0);
    drop(waiters);
    assert!(nobody_waits(&cluster));
    assert_eq!(waiting(&cluster), 1);
    let mut again = parked(&mut cluster, 3, key, 1);
    give(&mut cluster, 1, 3);
    assert_eq!(value(&mut again), json("\"3\""));
}

#[test]
fn ten_thousand_parked_calls_are_limited_per_space_and_leave_nothing() {
    let (mut cluster, _) = ready();
    let keys: Vec<_> = (10..20).map(|number| cluster.open(1, number, TTL_MS)).collect();
    let mut calls: Vec<_> = keys
        .iter()
        .flat_map(|key| {
            (1..=1_000).map(|id| cluster.start_request(2, *key, request(id), WAIT)).collect::<Vec<_>>()
        })
        .collect();
    cluster.advance(Duration::from_secs(1));
    let refused: Vec<_> = calls.iter_mut().filter_map(look).map(|answer| rejection(answer).reason).collect();
    let limit = synod_abi::limits::SPACE_TICKETS as usize;
    assert_eq!(refused, vec![Reason::TooManyWaiting; calls.len() - limit]);
    assert_eq!((cluster.member(2).0.parked.counts().1, waiting(&cluster)), (limit, limit as u64));
    for key in keys {
        cluster.close(3, key.session).expect("closed");
    }
    cluster.run();
    assert!(nobody_waits(&cluster));
    let counts = cluster.head(1).counts;
    assert_eq!((counts.sessions, counts.requests, counts.waiting, counts.timers), (1, 0, 0, 0));
}

#[test]
fn a_call_waits_as_long_as_it_may() {
    let (mut cluster, key) = ready();
    let mut none = cluster.start_request(2, key, waiting_request(1, 0), WAIT);
    let mut some = cluster.start_request(2, key, waiting_request(2, 5_000), WAIT);
    cluster.advance(Duration::from_millis(4_900));
    assert_eq!(rejection(look(&mut none).expect("an answer")).reason, Reason::WaitTimeout);
    assert_eq!(look(&mut some), None);
    cluster.advance(Duration::from_millis(200));
    assert_eq!(rejection(look(&mut some).expect("an answer")).reason, Reason::WaitTimeout);
    assert_eq!((cluster.number(2, CANCELLED), waiting(&cluster)), (1, 0));
    assert!(nobody_waits(&cluster));
}

#[test]
fn cancelling_ends_the_waiting() {
    let (mut cluster, key) = ready();
    let mut call = parked(&mut cluster, 2, key, 1);
    let member = cluster.member(3);
    let was = cluster
        .wait(async move { member.cancel_request(key, RequestId(1), Caller::default(), TIMEOUT).await });
    assert_eq!(was, Ok(Cancelled::Waiting));
    cluster.run();
    assert_eq!(rejection(look(&mut call).expect("an answer")).reason, Reason::Cancelled);
    assert_eq!(cluster.number(1, CANCELLED), 1);
}

#[test]
fn cancelling_what_was_answered_and_not_acknowledged_gives_it_back() {
    let (mut cluster, key) = ready();
    let mut call = parked(&mut cluster, 2, key, 1);
    give(&mut cluster, 1, 3);
    assert_eq!(value(&mut call), json("\"3\""));
    let member = cluster.member(3);
    let cancel = move || {
        let member = member.clone();
        async move { member.cancel_request(key, RequestId(1), Caller::default(), TIMEOUT).await }
    };
    assert_eq!(
        (cluster.wait(cancel()), cluster.wait(cancel())),
        (Ok(Cancelled::Granted), Ok(Cancelled::Final))
    );
    assert_eq!(cluster.number(1, CANCELLED), 1);
}

#[test]
fn the_end_of_a_session_ends_its_waiting() {
    let (mut cluster, _) = ready();
    let key = cluster.open(1, 7, 5_000);
    let mut call = parked(&mut cluster, 3, key, 1);
    cluster.advance(Duration::from_secs(6));
    assert_eq!(rejection(look(&mut call).expect("an answer")).reason, Reason::SessionExpired);
    assert_eq!((cluster.number(3, ENDED), waiting(&cluster)), (1, 0));
    assert!(nobody_waits(&cluster));
}

#[test]
fn a_call_that_parks_though_its_schema_does_not_say_so_waits_all_the_same() {
    let (mut cluster, key) = ready();
    let mut call = cluster.start_request(2, key, request(1), ("sneak", "k", 0));
    cluster.run();
    assert_eq!(look(&mut call), None);
    give(&mut cluster, 1, 6);
    assert_eq!(value(&mut call), json("\"6\""));
    let (mut fast, mut given) = (
        cluster.start_request(1, key, request(2), ("sneak", "k", 0)),
        cluster.start_plain(1, ("give", "k", 7)),
    );
    cluster.run();
    assert_eq!((value(&mut fast), value(&mut given)), (json("\"7\""), json("\"1\"")));
    assert!(nobody_waits(&cluster));
}

#[test]
fn only_a_sessions_call_may_wait() {
    let (mut cluster, _) = ready();
    let mut call = cluster.start_plain(2, WAIT);
    cluster.run();
    assert_eq!(rejection(look(&mut call).expect("an answer")).reason, Reason::CannotWait);
}

#[test]
fn a_member_that_stops_tells_its_waiters_to_ask_another() {
    let (mut cluster, key) = ready();
    let mut call = parked(&mut cluster, 2, key, 1);
    let member = cluster.member(2);
    cluster.wait(async move { member.shut_down(TIMEOUT).await });
    cluster.run();
    assert!(matches!(look(&mut call), Some(Err(CallFailure::OutcomeUnknown(_)))));
    assert_eq!(waiting(&cluster), 1);
    let mut elsewhere = parked(&mut cluster, 3, key, 1);
    give(&mut cluster, 1, 4);
    assert_eq!(value(&mut elsewhere), json("\"4\""));
}
