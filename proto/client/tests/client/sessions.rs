//! Sessions against members that are made up: what goes over the wire when they fail, and what the
//! owner is told.
use std::time::{Duration, Instant};

use synod_abi::SessionId;
use synod_client::api::{Context, SessionBounds};
use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Error, Options, RawCall, RawError, RawQuery, Session, SessionState, Transport};

use crate::cluster::{Calls, Cluster, FIRST_REVISION, SESSION, Seen, Touches};

const LONG_MS: u64 = 60_000;

async fn opened(client: &Client) -> Session {
    client.session().label("test").open().await.expect("it is opened")
}

/// Calls `echo` and checks that it is answered.
async fn echo(session: &Session, n: u64) {
    let answer = session.call_json("s", "echo", &n.to_string()).await;
    assert_eq!(answer.map(|answer| answer.value), Ok(n.to_string()));
}

fn spawn(session: &Session, operation: &'static str) -> tokio::task::JoinHandle<Result<String, Error>> {
    let session = session.clone();
    tokio::spawn(async move { session.call_json("s", operation, "1").await.map(|answer| answer.value) })
}

/// Waits for the session to be in this state.
async fn state(session: &Session, wanted: SessionState) {
    let mut states = session.states();
    let reached =
        tokio::time::timeout(Duration::from_secs(10), states.wait_for(|state| *state == wanted)).await;
    assert!(reached.is_ok(), "never {wanted:?}, but {:?}", session.state());
}

fn call(id: u64, after: u64, below: u64) -> Seen {
    Seen { member: 1, id, after, below, acknowledged: vec![], wait_ms: None }
}

#[tokio::test]
async fn calls_one_by_one_acknowledge_the_one_before() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let session = opened(&cluster.client().await).await;
    for n in 1..=3 {
        echo(&session, n).await;
    }
    assert_eq!(cluster.ledger().seen, [call(1, 0, 1), call(2, 0, 2), call(3, 0, 3)]);
}

#[tokio::test]
async fn queries_say_in_which_session_they_are_asked() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let client = cluster.client().await;
    let session = opened(&client).await;
    let consistency = synod_client::api::Consistency::Linearizable;
    session.query_json("s", "q", "1", consistency).await.expect("it is answered");
    let raw = RawQuery { space: "s".into(), query: "q", signature: 1, args: vec![1] };
    Transport::query(&session, raw).await.expect("it is answered");
    client.query_json("s", "q", "1", consistency).await.expect("it is answered");
    let own = (SESSION.to_vec(), session.secret().to_vec());
    let told = |context: &Context| (context.session.clone(), context.secret.clone());
    let asked: Vec<_> = cluster.ledger().asked.iter().map(told).collect();
    assert_eq!(asked, [own.clone(), own, (vec![], vec![])]);
}

#[tokio::test]
async fn a_thousand_pipelined_calls_run_once_each_and_in_the_order_they_were_made() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let session = opened(&cluster.client().await).await;
    futures::future::join_all((1..=1_000).map(|n| echo(&session, n))).await;
    let ledger = cluster.ledger();
    assert_eq!(ledger.ran, (1..=1_000).collect::<Vec<_>>());
    assert!(ledger.seen.iter().all(|seen| seen.below <= seen.id && seen.after < seen.id));
    assert!(ledger.seen.iter().any(|seen| seen.after == seen.id - 1 && seen.id > 1), "they were pipelined");
}

/// Far more sessions than a link's queue has slots make calls at once over one link: the order in
/// which these arrived.
async fn crowd(sessions: usize, calls: u64) -> Vec<(Vec<u8>, u64)> {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    cluster.members[0].calls(Calls::ServeAny);
    let client = cluster.client().await;
    let opened = futures::future::join_all((0..sessions).map(|_| opened(&client))).await;
    let answered = opened.iter().map(|session| {
        let session = session.clone();
        tokio::spawn(async move {
            futures::future::join_all((1..=calls).map(|n| echo(&session, n))).await;
        })
    });
    let all = tokio::time::timeout(Duration::from_secs(20), futures::future::join_all(answered)).await;
    assert!(all.expect("all are answered in time").iter().all(Result::is_ok));
    let arrived = std::mem::take(&mut cluster.ledger().arrived);
    for session in &opened {
        let ids: Vec<u64> =
            arrived.iter().filter(|(of, _)| *of == session.id().0).map(|(_, id)| *id).collect();
        assert_eq!(ids, (1..=calls).collect::<Vec<_>>(), "once each, in the order they were made");
    }
    arrived
}

#[tokio::test]
async fn a_thousand_sessions_share_a_link_whose_queue_is_shorter_and_none_waits_for_all_calls_of_others() {
    let arrived = crowd(1_000, 8).await;
    let last_first_call = arrived.iter().rposition(|(_, id)| *id == 1).expect("there are first calls");
    assert!(
        last_first_call < arrived.len() / 2,
        "in turns: the last session had its first call taken as number {last_first_call}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_crowd_a_link_from_several_threads_are_all_answered() {
    crowd(1_000, 8).await;
}

#[tokio::test]
async fn after_a_broken_stream_everything_pending_is_sent_again_in_order_and_runs_once() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    cluster.members[0].calls(Calls::RunAndHangUpAt(20));
    let session = opened(&cluster.client().await).await;
    futures::future::join_all((1..=50).map(|n| echo(&session, n))).await;
    let ledger = cluster.ledger();
    assert_eq!(ledger.ran, (1..=50).collect::<Vec<_>>());
    let again: Vec<u64> = ledger.seen.iter().filter(|seen| seen.member == 2).map(|seen| seen.id).collect();
    assert!(again.is_sorted() && again.contains(&20) && again.ends_with(&[50]), "{again:?}");
    assert!(ledger.seen.iter().any(|seen| seen.member == 1 && seen.id == 20));
}

#[tokio::test]
async fn what_is_surely_not_applied_goes_to_another_member() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    cluster.members[0].calls(Calls::NoLeader);
    let session = opened(&cluster.client().await).await;
    futures::future::join_all((1..=10).map(|n| echo(&session, n))).await;
    assert_eq!(cluster.ledger().ran, (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_parked_call_waits_past_every_time_limit_and_is_acknowledged_singly() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let policy = Policy { give_up_ms: 100, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    let client = cluster.client_with(Options { policy, attempt_timeout_ms: 100, ..Options::default() }).await;
    let session = opened(&client).await;
    let parked = spawn(&session, "park");
    cluster.until("the call is parked", |ledger| ledger.ran == [1]).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        let next = session.call_json("s", "echo", "2").await;
        assert!(next.is_ok(), "{next:?}");
    }
    assert!(!parked.is_finished());
    cluster.complete(1, "\"granted\"").await;
    assert_eq!(parked.await.expect("no panic"), Ok("\"granted\"".into()));
    let seen_until = cluster.ledger().seen.len();
    echo(&session, 3).await;
    echo(&session, 4).await;
    let ledger = cluster.ledger();
    let acknowledged: Vec<_> =
        ledger.seen[seen_until..].iter().map(|seen| seen.acknowledged.clone()).collect();
    assert_eq!(acknowledged, [vec![1], vec![]]);
    assert!(ledger.seen[seen_until..].iter().all(|seen| seen.below == seen.id), "the floor passed over it");
    assert_eq!(ledger.seen.iter().filter(|seen| seen.id == 1).count(), 1);
}

#[tokio::test]
async fn a_parked_call_is_taken_up_on_another_member_when_its_stream_breaks() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    let session = opened(&cluster.client().await).await;
    let parked = spawn(&session, "park");
    cluster.until("the call is parked", |ledger| ledger.ran == [1]).await;
    cluster.members[0].calls(Calls::RunAndHangUpAt(2));
    echo(&session, 2).await;
    cluster
        .until("it waits on the other member", |ledger| {
            ledger.seen.iter().any(|seen| (seen.member, seen.id) == (2, 1))
        })
        .await;
    cluster.complete(1, "\"granted\"").await;
    assert_eq!(parked.await.expect("no panic"), Ok("\"granted\"".into()));
    assert_eq!(cluster.ledger().ran, [1, 2]);
}

#[tokio::test]
async fn a_dropped_call_that_waits_is_cancelled_and_harms_no_other() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let session = opened(&cluster.client().await).await;
    let parked = spawn(&session, "park");
    cluster.until("the call is parked", |ledger| ledger.ran == [1]).await;
    parked.abort();
    cluster.until("it is cancelled", |ledger| ledger.cancelled == [1]).await;
    echo(&session, 2).await;
    echo(&session, 3).await;
    assert!(cluster.ledger().seen.iter().any(|seen| seen.acknowledged == [1]));
}

#[tokio::test]
async fn a_dropped_call_without_an_answer_is_cancelled_and_those_behind_it_run() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    cluster.members[0].calls(Calls::Ignore);
    let session = opened(&cluster.client().await).await;
    let dropped = spawn(&session, "echo");
    cluster.until("it was sent", |ledger| ledger.seen.len() == 1).await;
    cluster.members[0].calls(Calls::Serve);
    let next = spawn(&session, "echo");
    cluster.until("the next was sent", |ledger| ledger.seen.iter().any(|seen| seen.id == 2)).await;
    assert!(!next.is_finished(), "it may not run before the first");
    dropped.abort();
    assert_eq!(next.await.expect("no panic"), Ok("1".into()));
    let ledger = cluster.ledger();
    assert_eq!((&ledger.ran, &ledger.cancelled), (&vec![2], &vec![1]));
}

#[tokio::test]
async fn a_call_gives_up_when_no_member_has_a_word_for_the_policys_time() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    let policy = Policy { give_up_ms: 200, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    let client = cluster.client_with(Options { policy, ..Options::default() }).await;
    let session = opened(&client).await;
    for member in &cluster.members {
        member.calls(Calls::NoLeader);
    }
    let error = session.call_json("s", "echo", "1").await.expect_err("no leader");
    assert!(matches!(error, Error::Unavailable(_)), "every member said that it is not applied: {error}");
    for member in &cluster.members {
        member.calls(Calls::Serve);
    }
    echo(&session, 2).await;
    assert_eq!(cluster.ledger().ran, [2]);
}

#[tokio::test]
async fn a_member_that_owes_an_answer_is_left_for_another() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    cluster.members[0].calls(Calls::Ignore);
    let policy = Policy { give_up_ms: 5_000, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    let client = cluster.client_with(Options { policy, attempt_timeout_ms: 100, ..Options::default() }).await;
    let session = opened(&client).await;
    echo(&session, 1).await;
    assert_eq!(cluster.ledger().seen.iter().map(|seen| seen.member).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_call_that_waited_as_long_as_allowed_says_so_to_typed_clients() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let session = opened(&cluster.client().await).await;
    let call =
        |operation| RawCall { space: "s".into(), operation, signature: 9, args: vec![7], wait_ms: Some(5) };
    assert_eq!(Transport::call(&session, call("wait")).await, Err(RawError::WaitTimeout));
    assert_eq!(cluster.ledger().seen[0].wait_ms, Some(5));
    assert_eq!(
        Transport::call(&session, call("echo")).await.map(|reply| (reply.revision.0, reply.result)),
        Ok((FIRST_REVISION, vec![7]))
    );
}

#[tokio::test]
async fn signs_of_life_go_to_another_member_when_one_fails_and_the_owner_is_told() {
    let cluster = Cluster::with_ttl(2, 900).await;
    let session = opened(&cluster.client().await).await;
    assert_eq!(session.state(), SessionState::Connected);
    cluster.until("a first sign of life", |ledger| ledger.touched == [1]).await;
    let mut states = session.states();
    cluster.members[0].touches(Touches::NoLeader);
    states.wait_for(|state| *state == SessionState::Suspended).await.expect("it is suspended");
    state(&session, SessionState::Reconnected).await;
    assert!(cluster.ledger().touched.contains(&2));
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        assert!(
            !session.is_lost()
                && session.deadline() > Duration::ZERO
                && session.deadline() <= Duration::from_millis(810)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn when_a_member_does_not_answer_signs_of_life_its_calls_move_too() {
    let cluster = Cluster::with_ttl(2, 900).await;
    let session = opened(&cluster.client().await).await;
    let parked = spawn(&session, "park");
    cluster.until("the call is parked", |ledger| ledger.ran == [1]).await;
    cluster.members[0].calls(Calls::Ignore);
    cluster.members[0].touches(Touches::Ignore);
    let stuck = spawn(&session, "echo");
    assert_eq!(stuck.await.expect("no panic"), Ok("1".into()));
    cluster
        .until("it waits on the other member", |ledger| {
            ledger.seen.iter().any(|seen| (seen.member, seen.id) == (2, 1))
        })
        .await;
    cluster.complete(1, "\"granted\"").await;
    assert_eq!(parked.await.expect("no panic"), Ok("\"granted\"".into()));
    assert!(!session.is_lost());
}

#[tokio::test]
async fn without_contact_it_is_lost_at_nine_tenths_of_its_time_to_live_and_nothing_is_sent_any_more() {
    let cluster = Cluster::with_ttl(2, 1_000).await;
    let session = opened(&cluster.client().await).await;
    cluster.until("a first sign of life", |ledger| !ledger.touched.is_empty()).await;
    let parked = spawn(&session, "park");
    cluster.until("the call is parked", |ledger| ledger.ran == [1]).await;
    let silent_from = Instant::now();
    for member in &cluster.members {
        member.calls(Calls::Ignore);
        member.touches(Touches::Ignore);
    }
    let unanswered = spawn(&session, "echo");
    state(&session, SessionState::Suspended).await;
    assert!(!session.is_lost());
    session.lost().await;
    let lost_after = silent_from.elapsed();
    assert!(
        (Duration::from_millis(500)..Duration::from_millis(1_000)).contains(&lost_after),
        "{lost_after:?}"
    );
    assert!(session.is_lost() && session.deadline().is_zero());
    assert!(matches!(parked.await.expect("no panic"), Err(Error::SessionExpired(_))));
    assert!(matches!(unanswered.await.expect("no panic"), Err(Error::OutcomeUnknown(_))));
    let sent = cluster.ledger().seen.len();
    assert!(matches!(session.call_json("s", "echo", "1").await, Err(Error::SessionExpired(_))));
    let ledger = cluster.ledger();
    assert_eq!((ledger.seen.len(), ledger.closed), (sent, 0));
}

#[tokio::test]
async fn what_the_cluster_ended_is_lost_at_once_by_a_sign_of_life_or_a_call() {
    let cluster = Cluster::with_ttl(1, 600).await;
    let client = cluster.client().await;
    let session = opened(&client).await;
    cluster.ledger().alive = false;
    session.lost().await;
    assert!(cluster.ledger().touched.len() == 1);
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let session = opened(&cluster.client().await).await;
    cluster.ledger().alive = false;
    let told = session.call_json("s", "echo", "1").await;
    assert!(matches!(told, Err(Error::SessionExpired(_))), "{told:?}");
    assert_eq!((session.state(), session.is_lost()), (SessionState::Lost, true));
}

#[tokio::test]
async fn a_session_that_ended_under_a_retry_leaves_its_outcome_unknown() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    cluster.members[0].calls(Calls::Ignore);
    let client = cluster.client_with(Options { attempt_timeout_ms: 100, ..Options::default() }).await;
    let session = opened(&client).await;
    cluster.ledger().alive = false;
    let told = session.call_json("s", "echo", "1").await;
    assert!(matches!(told, Err(Error::OutcomeUnknown(_))), "{told:?}");
}

#[tokio::test]
async fn closing_ends_it_on_the_cluster_gives_calls_up_and_is_no_error_twice() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    let session = opened(&cluster.client().await).await;
    let parked = spawn(&session, "park");
    cluster.until("the call is parked", |ledger| ledger.ran == [1]).await;
    echo(&session, 2).await;
    session.close().await.expect("closed");
    assert!(!cluster.ledger().alive && session.is_lost());
    assert!(matches!(parked.await.expect("no panic"), Err(Error::SessionExpired(_))));
    session.close().await.expect("there is none: that is as good as closed");
    drop(session);
    assert_eq!(cluster.ledger().closed, 2);
}

#[tokio::test]
async fn dropping_the_last_handle_closes_it_and_detaching_does_not() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let client = cluster.client().await;
    let session = opened(&client).await;
    echo(&session, 1).await;
    let clone = session.clone();
    let detached = session.detach();
    assert!(clone.is_lost());
    drop(clone);
    let session =
        client.resume(detached.session, detached.secret, detached.next_request_id).await.expect("taken up");
    assert_eq!(cluster.ledger().closed, 0);
    echo(&session, 2).await;
    assert_eq!(cluster.ledger().seen.last(), Some(&call(2, 0, 2)));
    let clone = session.clone();
    drop(session);
    echo(&clone, 3).await;
    drop(clone);
    cluster.until("it is closed", |ledger| !ledger.alive).await;
}

#[tokio::test]
async fn opening_is_one_session_however_often_it_is_tried() {
    let cluster = Cluster::with_ttl(2, LONG_MS).await;
    cluster.members[0].hang_up_on_open();
    let session = opened(&cluster.client().await).await;
    let opened = cluster.ledger().opened.clone();
    assert_eq!((opened.len(), opened[0] == opened[1]), (2, true));
    assert_eq!((session.id(), session.ttl()), (SessionId(SESSION), Duration::from_millis(LONG_MS)));
    echo(&session, 1).await;
}

#[tokio::test]
async fn what_cannot_be_opened_or_taken_up_is_refused() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let client = cluster.client().await;
    let told = client.session().label("too long").open().await.map(|_| ());
    assert!(matches!(&told, Err(Error::Refused(refusal)) if refusal.reason == "LABEL_TOO_LONG"), "{told:?}");
    let told = client.resume(SessionId(SESSION), [1; 16], 1).await.map(|_| ());
    assert!(matches!(&told, Err(Error::SessionExpired(_))), "{told:?}");
    let told = client.resume(SessionId(SESSION), [0; 16], 1).await.map(|_| ());
    assert!(matches!(&told, Err(Error::Refused(refusal)) if refusal.reason == "WRONG_SECRET"), "{told:?}");
}

#[tokio::test]
async fn operators_list_describe_close_and_bound_sessions() {
    let cluster = Cluster::with_ttl(1, LONG_MS).await;
    let client = cluster.client().await;
    let page = client.list_sessions(None, 1).await.expect("a page");
    assert!(page.more && page.sessions[0].session == SESSION);
    assert!(client.list_sessions(Some(SessionId(SESSION)), 0).await.expect("a page").sessions.is_empty());
    assert_eq!(client.describe_session(SessionId(SESSION)).await.expect("one").label, "l");
    assert!(matches!(client.close_session(SessionId(SESSION)).await, Err(Error::SessionExpired(_))));
    assert_eq!(client.session_bounds().await.expect("bounds").max_ttl_ms, 9_000);
    let told = client.set_session_bounds(SessionBounds { min_ttl_ms: 1, max_ttl_ms: 2 }).await;
    assert!(
        matches!(&told, Err(Error::Refused(refusal)) if refusal.reason == "TTL_OUT_OF_BOUNDS"),
        "{told:?}"
    );
}
