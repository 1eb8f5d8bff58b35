//! When sessions end by themselves: after their time, by the leader of the present term only, and
//! never because a leader was stopped, cut off or new.
use std::time::Duration;

use synod_machine::{Action, Caller, EndCause};

use crate::Lease;
use crate::ports::Touched;
use crate::sessions::SessionKey;
use crate::testing::client::request;
use crate::testing::cluster::{Cluster, Mood, TIMEOUT, look};
use crate::testing::recipe::ENDED;

const TTL_MS: u64 = 10_000;
const ALIVE: Lease = Lease::Alive { ttl_ms: TTL_MS };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Three members led by the first, with a session that is touched or used now.
fn ready() -> (Cluster, SessionKey) {
    let mut cluster = Cluster::ready(3);
    let key = cluster.open(1, 1, TTL_MS);
    (cluster, key)
}

fn sessions(cluster: &Cluster, member: u64) -> usize {
    cluster.member(member).0.sessions.known()
}

fn ends(cluster: &Cluster) -> usize {
    let commands = cluster.committed().into_iter().flat_map(|entry| entry.commands);
    commands
        .filter(|command| matches!(command.action, Action::EndSession { cause: EndCause::Expired, .. }))
        .count()
}

#[test]
fn a_session_ends_after_its_time_and_not_before() {
    let (mut cluster, key) = ready();
    let mut call = cluster.start_request(2, key, request(1), ("add", "k", 1));
    cluster.advance(ms(TTL_MS - 1));
    assert!(look(&mut call).is_some_and(|answer| answer.is_ok()));
    assert_eq!((sessions(&cluster, 3), ends(&cluster)), (1, 0));
    cluster.advance(ms(1));
    assert_eq!((sessions(&cluster, 3), ends(&cluster)), (0, 1));
    assert_eq!(cluster.number(3, ENDED), 1);
    cluster.assert_members_agree();
}

#[test]
fn a_touch_on_any_member_gives_the_whole_time_again() {
    let (mut cluster, key) = ready();
    for member in [2, 3, 1] {
        cluster.advance(ms(TTL_MS - 100));
        let mut touch = cluster.start_touch(member, key);
        cluster.run();
        assert_eq!(look(&mut touch), Some(Ok(ALIVE)));
    }
    cluster.advance(ms(TTL_MS - 1));
    assert_eq!(sessions(&cluster, 1), 1);
    cluster.advance(ms(1));
    assert_eq!((sessions(&cluster, 1), ends(&cluster)), (0, 1));
}

#[test]
fn a_new_leader_grants_the_whole_time() {
    let (mut cluster, _) = ready();
    cluster.advance(ms(TTL_MS - 500));
    cluster.elect(2);
    cluster.advance(ms(TTL_MS - 1));
    assert_eq!(sessions(&cluster, 1), 1);
    cluster.advance(ms(1));
    assert_eq!((sessions(&cluster, 1), ends(&cluster)), (0, 1));
}

#[test]
fn a_leader_decides_nothing_before_it_has_applied_its_terms_first_entry() {
    let (mut cluster, key) = ready();
    cluster.hold_apply(2, true);
    cluster.elect(2);
    cluster.advance(ms(3 * TTL_MS));
    assert_eq!(ends(&cluster), 0);
    let member = cluster.member(2);
    assert!(cluster.wait(async move { member.serve_touches(vec![key.session]).await }).is_err());
    cluster.hold_apply(2, false);
    cluster.advance(ms(TTL_MS - 1));
    assert_eq!(ends(&cluster), 0);
    cluster.advance(ms(1));
    assert_eq!(ends(&cluster), 1);
}

#[test]
fn what_a_deposed_leader_decided_is_never_appended_later() {
    let (mut cluster, key) = ready();
    cluster.mood(Mood::Refuse);
    cluster.advance(ms(TTL_MS + 100));
    assert_eq!(sessions(&cluster, 1), 1);
    cluster.mood(Mood::Accept);
    cluster.elect(2);
    let mut touch = cluster.start_touch(3, key);
    cluster.advance(ms(TTL_MS - 1));
    assert_eq!(look(&mut touch), Some(Ok(ALIVE)));
    assert_eq!((sessions(&cluster, 3), ends(&cluster)), (1, 0));
    assert_eq!(cluster.member(1).proposer().stats().waiting, 0);
}

#[test]
fn what_a_leader_decided_and_lost_is_decided_anew_when_it_leads_again() {
    let (mut cluster, _) = ready();
    cluster.mood(Mood::UnknownLost);
    cluster.advance(ms(TTL_MS + 100));
    cluster.mood(Mood::Accept);
    cluster.elect(1);
    cluster.advance(ms(TTL_MS - 1));
    assert_eq!((sessions(&cluster, 1), ends(&cluster)), (1, 0));
    cluster.advance(ms(1));
    assert_eq!((sessions(&cluster, 1), ends(&cluster)), (0, 1));
}

#[test]
fn a_leader_that_does_not_apply_keeps_the_sessions_that_are_touched() {
    let (mut cluster, key) = ready();
    cluster.hold_apply(1, true);
    for _ in 0..8 {
        let mut through_another = cluster.start_touch(3, key);
        let mut at_the_leader = cluster.start_touch(1, key);
        cluster.run();
        assert_eq!(look(&mut through_another), Some(Ok(ALIVE)));
        assert_eq!(look(&mut at_the_leader), Some(Ok(ALIVE)));
        cluster.advance(ms(TTL_MS / 2));
    }
    cluster.hold_apply(1, false);
    cluster.run();
    assert_eq!((sessions(&cluster, 1), ends(&cluster)), (1, 0));
}

#[test]
fn a_session_whose_end_is_in_an_entry_is_not_said_to_live_until_that_is_settled() {
    let (mut cluster, key) = ready();
    cluster.hold_apply(1, true);
    let closer = cluster.member(2);
    let mut closed =
        cluster.sim.start(async move { closer.close_session(key.session, Caller::default(), TIMEOUT).await });
    cluster.run();
    assert_eq!(look(&mut closed), Some(Ok(())), "it is applied where it was asked for");
    let leader = cluster.member(1);
    let touched = cluster.wait(async move { leader.serve_touches(vec![key.session]).await });
    assert_eq!(touched, Ok(vec![Touched::Unsettled]));
    let mut touch = cluster.start_touch(3, key);
    cluster.hold_apply(1, false);
    cluster.advance(ms(100));
    assert_eq!(look(&mut touch), Some(Ok(Lease::Ended)));
}

#[test]
fn a_session_that_the_leader_has_not_applied_yet_is_not_said_to_have_ended() {
    let (mut cluster, _) = ready();
    cluster.hold_apply(1, true);
    let key = cluster.open(2, 2, TTL_MS);
    let mut touch = cluster.start_touch(2, key);
    cluster.advance(ms(200));
    assert_eq!(look(&mut touch), None);
    cluster.hold_apply(1, false);
    cluster.advance(ms(100));
    assert_eq!(look(&mut touch), Some(Ok(ALIVE)));
}

#[test]
fn an_end_that_is_refused_is_proposed_again_and_the_session_is_not_prolonged_meanwhile() {
    let (mut cluster, key) = ready();
    cluster.mood(Mood::Refuse);
    cluster.advance(ms(TTL_MS));
    let mut touch = cluster.start_touch(2, key);
    let member = cluster.member(1);
    let ending = cluster.wait(async move { member.serve_touches(vec![key.session]).await });
    assert_eq!(ending, Ok(vec![Touched::Unsettled]));
    cluster.advance(ms(500));
    assert_eq!((look(&mut touch), sessions(&cluster, 2)), (None, 1));
    cluster.mood(Mood::Accept);
    cluster.advance(ms(200));
    assert_eq!((look(&mut touch), sessions(&cluster, 2)), (Some(Ok(Lease::Ended)), 0));
    assert_eq!(ends(&cluster), 1);
}

#[test]
fn an_end_whose_outcome_is_unknown_is_proposed_again() {
    let (mut cluster, _) = ready();
    cluster.mood(Mood::UnknownLost);
    cluster.advance(ms(TTL_MS));
    cluster.mood(Mood::Accept);
    cluster.advance(ms(TTL_MS + 1_000));
    assert_eq!((sessions(&cluster, 2), ends(&cluster)), (0, 1));
}

#[test]
fn a_leader_that_was_stopped_grants_the_whole_time() {
    let (mut cluster, _) = ready();
    cluster.advance(ms(1_000));
    cluster.stop(1, true);
    cluster.advance(ms(3 * TTL_MS));
    cluster.stop(1, false);
    cluster.advance(ms(TTL_MS - 1));
    assert_eq!((sessions(&cluster, 1), ends(&cluster)), (1, 0));
    cluster.advance(ms(1));
    assert_eq!((sessions(&cluster, 1), ends(&cluster)), (0, 1));
}

#[test]
fn a_leader_that_was_stopped_and_deposed_meanwhile_ends_nothing() {
    let (mut cluster, key) = ready();
    cluster.stop(1, true);
    cluster.advance(ms(TTL_MS - 2_000));
    cluster.elect(2);
    cluster.advance(ms(5_000));
    let mut touch = cluster.start_touch(3, key);
    cluster.run();
    assert_eq!(look(&mut touch), Some(Ok(ALIVE)));
    cluster.stop(1, false);
    cluster.advance(ms(TTL_MS - 1));
    assert_eq!((sessions(&cluster, 3), ends(&cluster)), (1, 0));
}

#[test]
fn a_leader_that_is_cut_off_answers_no_touch() {
    let (mut cluster, key) = ready();
    cluster.isolate(1);
    let mut touch = cluster.start_touch_for(1, key, ms(60_000));
    cluster.advance(ms(100));
    assert_eq!(look(&mut touch), None);
    cluster.elect(2);
    cluster.advance(ms(TTL_MS));
    assert_eq!((sessions(&cluster, 2), ends(&cluster)), (0, 1));
    assert_eq!(look(&mut touch), None);
    cluster.reconnect(1);
    cluster.advance(ms(1_000));
    assert_eq!(look(&mut touch), Some(Ok(Lease::Ended)));
}

#[test]
fn a_leader_that_is_cut_off_ends_no_session() {
    let (mut cluster, key) = ready();
    cluster.advance(ms(TTL_MS - 1_000));
    cluster.isolate(1);
    cluster.elect(2);
    let mut touch = cluster.start_touch(3, key);
    cluster.advance(ms(TTL_MS - 1_000));
    assert_eq!(look(&mut touch), Some(Ok(ALIVE)));
    cluster.reconnect(1);
    cluster.advance(ms(999));
    assert_eq!((sessions(&cluster, 1), sessions(&cluster, 3), ends(&cluster)), (1, 1, 0));
}

#[test]
fn a_read_index_of_a_later_term_answers_no_touch_of_an_earlier() {
    let (mut cluster, key) = ready();
    cluster.isolate(1);
    let member = cluster.member(1);
    let mut answer = cluster.sim.start(async move { Ok(member.serve_touches(vec![key.session]).await) });
    cluster.run();
    cluster.elect(2);
    cluster.elect(1);
    cluster.reconnect(1);
    assert!(matches!(look(&mut answer), Some(Ok(Err(_)))));
}

#[test]
fn sessions_are_known_again_after_a_snapshot_and_a_leader_without_sessions_sleeps() {
    let (mut cluster, key) = ready();
    cluster.hold_apply(3, true);
    let other = cluster.open(1, 2, 60_000);
    cluster.close(1, key.session).expect("closed");
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    cluster.elect(3);
    let mut touch = cluster.start_touch(3, other);
    cluster.advance(ms(60_000 - 1));
    assert_eq!(look(&mut touch), Some(Ok(Lease::Alive { ttl_ms: 60_000 })));
    assert_eq!(sessions(&cluster, 3), 1);
    cluster.advance(ms(1_000));
    assert_eq!(sessions(&cluster, 3), 0);
    let polls = cluster.sim.polls();
    cluster.advance(ms(3_600_000));
    assert!(cluster.sim.polls() - polls < 100, "{}", cluster.sim.polls() - polls);
}
