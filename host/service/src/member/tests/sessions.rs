//! Sessions: opened once, taken up with their secret, touched through the leader, and closed.
use std::time::Duration;

use synod_abi::SessionId;
use synod_machine::{Caller, SessionBounds, TtlPolicy};

use super::rejection;
use crate::Lease;
use crate::failure::{Reason, UnavailableReason};
use crate::member::NewSession;
use crate::ports::Touched;
use crate::sessions::SessionKey;
use crate::sessions::touches::TOUCHES_PER_BUNDLE;
use crate::testing::client::{new_session, request, secret};
use crate::testing::cluster::{Cluster, Pending, TIMEOUT, is_unavailable, look};
use crate::testing::recipe::ENDED;
use crate::{Args, CallAnswer, QueryOptions, SessionOpened};

const TTL_MS: u64 = 10_000;
const ALIVE: Lease = Lease::Alive { ttl_ms: TTL_MS };

fn start_open(cluster: &Cluster, member: u64, new: NewSession) -> Pending<SessionOpened> {
    let member = cluster.member(member);
    cluster.sim.start(async move { member.open_session(new, Caller::default(), TIMEOUT).await })
}

fn start_query(cluster: &Cluster, key: SessionKey) -> Pending<CallAnswer> {
    let (member, args) = (cluster.member(2), Args::Json("{\"key\":\"k\"}".into()));
    let options = QueryOptions { session: Some(key), ..QueryOptions::default() };
    cluster.sim.start(async move {
        member.query("counter", "get", args, options, TIMEOUT).await.map(|(answer, _)| answer)
    })
}

#[test]
fn a_session_is_opened_once_per_nonce_and_known_on_every_member() {
    let mut cluster = Cluster::ready(3);
    let (mut first, mut again) =
        (start_open(&cluster, 2, new_session(1, TTL_MS)), start_open(&cluster, 3, new_session(1, TTL_MS)));
    cluster.run();
    let (first, again) = (
        look(&mut first).expect("an answer").expect("open"),
        look(&mut again).expect("an answer").expect("open"),
    );
    assert_eq!((first.session, first.ttl_ms), (again.session, TTL_MS));
    assert_ne!(first.already, again.already);
    let member = cluster.member(1);
    let (record, list) = cluster.wait(async move {
        (
            member.session(first.session, TIMEOUT).await.expect("a session"),
            member.sessions(None, 9, TIMEOUT).await.expect("sessions"),
        )
    });
    assert_eq!((record.label.as_str(), list.items.len(), list.more), ("client 1", 1, false));
    assert!((1..=3).all(|member| cluster.member(member).0.sessions.known() == 1));
    assert_eq!(cluster.head(2).counts.sessions, 1);
}

#[test]
fn opening_again_gives_the_whole_time_again_and_needs_the_secret() {
    let mut cluster = Cluster::ready(2);
    let key = cluster.open(1, 1, TTL_MS);
    cluster.advance(Duration::from_millis(TTL_MS - 100));
    let mut again = start_open(&cluster, 2, new_session(1, TTL_MS));
    let mut stolen = start_open(&cluster, 2, NewSession { secret: secret(9), ..new_session(1, TTL_MS) });
    cluster.run();
    assert_eq!(look(&mut again).expect("an answer").expect("open").session, key.session);
    assert_eq!(rejection(look(&mut stolen).expect("an answer")).reason, Reason::ForeignSession);
    cluster.advance(Duration::from_millis(TTL_MS - 1));
    assert_eq!(cluster.member(1).0.sessions.known(), 1);
    cluster.advance(Duration::from_millis(1));
    assert_eq!(cluster.member(1).0.sessions.known(), 0);
}

#[test]
fn a_time_to_live_out_of_bounds_is_rejected_or_brought_within() {
    let mut cluster = Cluster::ready(1);
    let member = cluster.member(1);
    let bounds = SessionBounds { min_ttl_ms: 5_000, max_ttl_ms: 20_000 };
    let set = cluster.wait(async move {
        member.set_session_bounds(bounds, Caller::default(), TIMEOUT).await?;
        member.session_bounds(TIMEOUT).await
    });
    assert_eq!(set, Ok(bounds));
    let mut exact = start_open(&cluster, 1, new_session(1, 1_000));
    let mut nearest =
        start_open(&cluster, 1, NewSession { ttl_policy: TtlPolicy::Nearest, ..new_session(2, 1_000) });
    let mut labelled =
        start_open(&cluster, 1, NewSession { label: "x".repeat(300), ..new_session(3, TTL_MS) });
    cluster.run();
    assert_eq!(rejection(look(&mut exact).expect("an answer")).reason, Reason::TtlOutOfBounds);
    assert_eq!(look(&mut nearest).expect("an answer").expect("open").ttl_ms, 5_000);
    assert_eq!(rejection(look(&mut labelled).expect("an answer")).reason, Reason::LabelTooLong);
}

#[test]
fn only_the_secret_takes_a_session_up() {
    let mut cluster = Cluster::ready(2);
    let key = cluster.open(1, 1, TTL_MS);
    let wrong = SessionKey { secret: secret(9), ..key };
    let unknown = SessionKey { session: SessionId([9; 16]), ..key };
    let before = cluster.committed().len();
    for (key, reason) in [(wrong, Reason::WrongSecret), (unknown, Reason::SessionExpired)] {
        let mut call = cluster.start_request(2, key, request(1), ("add", "k", 1));
        let (member, mut touch) = (cluster.member(2), cluster.start_touch(2, key));
        let mut cancel = cluster.sim.start(async move {
            member.cancel_request(key, request(1).id, Caller::default(), TIMEOUT).await
        });
        let mut query = start_query(&cluster, key);
        cluster.run();
        assert_eq!(rejection(look(&mut call).expect("an answer")).reason, reason);
        assert_eq!(rejection(look(&mut query).expect("an answer")).reason, reason);
        assert_eq!(rejection(look(&mut cancel).expect("an answer")).reason, reason);
        match look(&mut touch).expect("an answer") {
            Ok(touched) => assert_eq!((touched, reason), (Lease::Ended, Reason::SessionExpired)),
            touched => assert_eq!(rejection(touched).reason, reason),
        }
    }
    let mut right = start_query(&cluster, key);
    cluster.run();
    assert!(look(&mut right).expect("an answer").is_ok());
    assert_eq!(cluster.committed().len(), before);
    assert!(!format!("{key:?}").contains("secret"), "a secret is not printed");
}

#[test]
fn a_member_that_lags_looks_again_before_it_denies_a_session() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(3, true);
    let key = cluster.open(1, 1, TTL_MS);
    let mut call = cluster.start_request(3, key, request(1), ("add", "k", 1));
    cluster.run();
    assert!(look(&mut call).is_none());
    cluster.hold_apply(3, false);
    cluster.advance(Duration::from_millis(100));
    assert!(look(&mut call).is_some_and(|answer| answer.is_ok()));
}

#[test]
fn closing_runs_the_hooks_and_leaves_nothing() {
    let mut cluster = Cluster::ready(2);
    let key = cluster.open(1, 1, TTL_MS);
    let mut call = cluster.start_request(2, key, request(1), ("add", "k", 1));
    cluster.run();
    assert!(look(&mut call).is_some_and(|answer| answer.is_ok()));
    assert_eq!(cluster.close(2, key.session), Ok(()));
    assert_eq!(rejection(cluster.close(2, key.session)).reason, Reason::SessionExpired);
    assert_eq!(cluster.number(2, ENDED), 1);
    let counts = cluster.head(1).counts;
    assert_eq!((counts.sessions, counts.requests, counts.waiting, counts.timers), (0, 0, 0, 0));
    let mut late = cluster.start_request(1, key, request(2), ("add", "k", 1));
    cluster.run();
    assert_eq!(rejection(look(&mut late).expect("an answer")).reason, Reason::SessionExpired);
}

#[test]
fn a_close_that_a_snapshot_jumps_over_is_repeated_and_done() {
    let mut cluster = Cluster::ready(3);
    let key = cluster.open(3, 1, TTL_MS);
    cluster.hold_apply(3, true);
    let member = cluster.member(3);
    let mut close =
        cluster.sim.start(async move { member.close_session(key.session, Caller::default(), TIMEOUT).await });
    cluster.run();
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    cluster.advance(Duration::from_millis(100));
    assert_eq!(look(&mut close), Some(Ok(())));
}

#[test]
fn touches_are_answered_on_every_member_and_log_nothing() {
    let mut cluster = Cluster::ready(3);
    let key = cluster.open(1, 1, TTL_MS);
    let before = cluster.committed().len();
    for member in 1..=3 {
        let mut touch = cluster.start_touch(member, key);
        cluster.run();
        assert_eq!(look(&mut touch), Some(Ok(ALIVE)));
    }
    assert_eq!(cluster.committed().len(), before);
}

#[test]
fn touches_go_in_bundles_of_bounded_size_one_at_a_time() {
    let mut cluster = Cluster::ready(2);
    let mut opened: Vec<_> =
        (0..10_000).map(|number| start_open(&cluster, 1, new_session(number, TTL_MS))).collect();
    cluster.run();
    let keys: Vec<_> = (0..)
        .zip(&mut opened)
        .map(|(number, opened)| SessionKey {
            session: look(opened).expect("an answer").expect("open").session,
            secret: secret(number),
        })
        .collect();
    cluster.hold_commits(true);
    let mut touches = vec![cluster.start_touch(2, keys[0])];
    cluster.run();
    touches.extend(keys[1..].iter().map(|key| cluster.start_touch(2, *key)));
    cluster.run();
    assert_eq!(cluster.bundles(), [1]);
    assert_eq!(cluster.member(2).0.touches.waiting(), keys.len() - 1);
    cluster.hold_commits(false);
    cluster.run();
    assert_eq!(
        cluster.bundles(),
        [1, TOUCHES_PER_BUNDLE, TOUCHES_PER_BUNDLE, keys.len() - 1 - 2 * TOUCHES_PER_BUNDLE]
    );
    assert!(touches.iter_mut().all(|touch| look(touch) == Some(Ok(ALIVE))));
    cluster.advance(Duration::from_millis(2 * TTL_MS));
    for member in 1..=2 {
        assert_eq!(cluster.member(member).0.sessions.known(), 0);
        assert_eq!(cluster.member(member).0.touches.waiting(), 0);
        assert_eq!(cluster.head(member).counts.sessions, 0);
    }
    cluster.assert_members_agree();
}

#[test]
fn a_touch_waits_for_a_leader_and_is_unavailable_when_none_comes() {
    let mut cluster = Cluster::ready(3);
    let key = cluster.open(1, 1, 60_000);
    cluster.depose();
    let mut short = cluster.start_touch_for(2, key, Duration::from_secs(1));
    let mut long = cluster.start_touch_for(2, key, Duration::from_secs(5));
    cluster.advance(Duration::from_secs(2));
    assert!(is_unavailable(look(&mut short), UnavailableReason::NoLeader));
    assert_eq!(look(&mut long), None);
    cluster.elect(3);
    cluster.advance(Duration::from_millis(100));
    assert_eq!(look(&mut long), Some(Ok(Lease::Alive { ttl_ms: 60_000 })));
    assert_eq!(cluster.member(2).0.touches.waiting(), 0);
}

#[test]
fn a_member_answers_no_more_touches_than_a_bundle_has_and_none_when_it_follows() {
    let mut cluster = Cluster::ready(2);
    let key = cluster.open(1, 1, TTL_MS);
    let (leader, follower) = (cluster.member(1), cluster.member(2));
    let (many, following, unknown) = cluster.wait(async move {
        (
            leader.serve_touches(vec![key.session; TOUCHES_PER_BUNDLE + 1]).await,
            follower.serve_touches(vec![key.session]).await,
            leader.serve_touches(vec![key.session, SessionId([7; 16])]).await,
        )
    });
    assert!(many.is_err() && following.is_err());
    assert_eq!(unknown, Ok(vec![Touched::Alive { ttl_ms: TTL_MS }, Touched::Ended]));
}
