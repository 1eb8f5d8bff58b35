//! Sessions, exactly-once effect and parked calls, with real members that are killed and stopped in
//! the middle.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use synod_client::api::Consistency;
use synod_client::{CallError, Client, Session};
use synod_counter::Counters;
use synod_lock::{Held, Lock, LockError};
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::recipes;
use synod_tests::wait::until;

const TTL: Duration = Duration::from_secs(2);
const CLIENTS: usize = 8;
const KILLS: usize = 6;
const PIPELINED: usize = 1_000;

async fn open(client: &Client) -> Session {
    until("a session to be opened", PATIENCE, || async {
        client.session().ttl(TTL).label("test").open().await.ok()
    })
    .await
}

async fn acquired(session: &Session, lock: &str) -> Result<Held, CallError<LockError>> {
    Lock::client(session, "lock").acquire(lock, None).await
}

async fn waiters(client: &Client, lock: &str) -> usize {
    Lock::client(client, "lock").queue(lock, None, None).await.map_or(0, |line| line.len())
}

async fn install_waiting(client: &Client) {
    client.install_recipe(recipes::install("waiting")).await.expect("the recipe is admitted");
}

/// Kills members one after the other, the leader every other time, until `enough`.
async fn kill_members(cluster: &mut Cluster, kills: usize) {
    for round in 0..kills {
        let leader = cluster.leader().await;
        let victim = if round % 2 == 0 { leader } else { (leader + 1) % cluster.members.len() };
        cluster.kill(victim);
        let _heir = cluster.leader_except(victim).await;
        cluster.start(victim);
        cluster.ready().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retried_increments_count_once_while_members_are_killed() {
    let mut cluster = Cluster::started(3, &["--snapshot-entries", "2000"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS {
        let (client, stop) = (cluster.client().await, stop.clone());
        tasks.push(tokio::spawn(async move {
            let session =
                client.session().ttl(Duration::from_secs(20)).open().await.expect("a session is opened");
            let mut acknowledged = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                Counters::client(&session, "counter")
                    .add("exact", 1)
                    .await
                    .expect("a session's call has its outcome in the end");
                acknowledged += 1;
            }
            session.close().await.expect("the session is closed");
            acknowledged
        }));
    }
    kill_members(&mut cluster, KILLS).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for task in tasks {
        acknowledged += task.await.expect("a client does not panic");
    }
    let client = cluster.client().await;
    let counted = Counters::client(&client, "counter").get("exact").await.expect("the counter can be read");
    eprintln!("{acknowledged} increments, {KILLS} kills");
    assert!(acknowledged > 100, "only {acknowledged} increments");
    assert_eq!(counted, acknowledged as i64);
    cluster.assert_equal_digests().await;
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pipelined_calls_of_one_session_keep_their_order_while_the_leader_is_killed() {
    let mut cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    install_waiting(&client).await;
    let session = client.session().ttl(Duration::from_secs(20)).open().await.expect("a session is opened");
    let done = Arc::new(AtomicU64::new(0));
    let calls = (0..PIPELINED).map(|n| {
        let (session, done) = (session.clone(), done.clone());
        async move {
            let args = format!(r#"{{"key": "order", "value": "{n}"}}"#);
            session
                .call_json("waiting", "append", &args)
                .await
                .expect("a session's call has its outcome in the end");
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Without tokio's budget, which would let some begin later than those that follow them.
    let calls = tokio::spawn(tokio::task::unconstrained(join_all(calls)));
    until("the first calls to be answered", PATIENCE, || async {
        (done.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader_except(leader).await;
    cluster.start(leader);
    calls.await.expect("no call panics");
    let list = client
        .query_json("waiting", "list", r#"{"key": "order"}"#, Consistency::Linearizable)
        .await
        .expect("the list can be read");
    let list: Vec<String> = serde_json::from_str(&list.value).expect("a list of strings");
    assert_eq!(list.len(), PIPELINED, "each call has its effect once");
    let wrong = list.iter().enumerate().position(|(n, value)| *value != n.to_string());
    assert_eq!(
        wrong,
        None,
        "the order is lost: {:?}",
        wrong.map(|at| &list[at.saturating_sub(3)..(at + 5).min(list.len())])
    );
    session.close().await.expect("the session is closed");
    cluster.ready().await;
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_acquire_returns_exactly_once_while_leader_and_follower_are_killed() {
    let mut cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    let (holder, waiter) = (open(&client).await, open(&cluster.client().await).await);
    let first = acquired(&holder, "db").await.expect("the lock is free");
    let waiting = tokio::spawn({
        let waiter = waiter.clone();
        async move { acquired(&waiter, "db").await }
    });
    until("the second to stand in line", PATIENCE, || async {
        (waiters(&client, "db").await == 1).then_some(())
    })
    .await;
    kill_members(&mut cluster, 2).await;
    assert_eq!(waiters(&client, "db").await, 1, "it stands in line once");
    assert!(!waiting.is_finished());
    Lock::client(&holder, "lock").release("db", None).await.expect("the holder releases");
    let second = waiting.await.expect("no panic").expect("the lock is handed on");
    assert!(second.token > first.token && second.count == 1);
    Lock::client(&waiter, "lock").release("db", None).await.expect("it is held once");
    let twice = Lock::client(&waiter, "lock").release("db", None).await;
    assert!(matches!(twice, Err(CallError::Rejected(LockError::NotHeld))), "{twice:?}");
    holder.close().await.expect("closed");
    waiter.close().await.expect("closed");
    cluster.assert_equal_digests().await;
    cluster.nothing_left().await;
}

/// What each contender believes by its own deadline, held against the others.
#[derive(Default)]
struct Beliefs {
    holder: tokio::sync::Mutex<Option<(Session, u64)>>,
    grants: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_clients_believe_that_they_hold_the_lock_while_the_leader_is_stopped_for_longer_than_the_ttl()
{
    let cluster = Cluster::started(3, &[]).await;
    let (beliefs, stop) = (Arc::new(Beliefs::default()), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS {
        let (client, beliefs, stop) = (cluster.client().await, beliefs.clone(), stop.clone());
        tasks.push(tokio::spawn(async move { contend(client, &beliefs, &stop).await }));
    }
    for _ in 0..3 {
        let before = beliefs.grants.load(Ordering::Relaxed);
        until("the lock to go round", PATIENCE, || async {
            (beliefs.grants.load(Ordering::Relaxed) > before + 20).then_some(())
        })
        .await;
        let leader = cluster.leader().await;
        cluster.pause(leader);
        cluster.leader_except(leader).await;
        tokio::time::sleep(TTL * 2).await;
        cluster.resume(leader);
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no contender saw two holders");
    }
    eprintln!("{} grants", beliefs.grants.load(Ordering::Relaxed));
    cluster.ready().await;
    cluster.assert_equal_digests().await;
    cluster.nothing_left().await;
}

/// Acquires and releases one lock, with a new session whenever one is lost.
async fn contend(client: Client, beliefs: &Beliefs, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let session = open(&client).await;
        while !stop.load(Ordering::Relaxed) && !session.is_lost() {
            let Ok(held) = Lock::client(&session, "lock").waiting_ms(1_000).acquire("one", None).await else {
                continue;
            };
            if session.is_lost() {
                break;
            }
            let mut holder = beliefs.holder.lock().await;
            if let Some((other, token)) = holder.as_ref() {
                assert!(
                    other.is_lost(),
                    "two clients believe that they hold the lock, with tokens {token} and {}",
                    held.token
                );
                assert!(held.token.0 > *token, "token {} was drawn after {token}", held.token);
            }
            *holder = Some((session.clone(), held.token.0));
            drop(holder);
            beliefs.grants.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(2)).await;
            let mut holder = beliefs.holder.lock().await;
            if holder.as_ref().is_some_and(|(_, token)| *token == held.token.0) {
                *holder = None;
            }
            drop(holder);
            let _lost = Lock::client(&session, "lock").release("one", None).await;
        }
        let _lost = session.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_ends_with_its_time_and_leaves_the_line() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let (holder, waiter) = (open(&client).await, open(&client).await);
    acquired(&holder, "db").await.expect("the lock is free");
    let late = Lock::client(&waiter, "lock").waiting_ms(300).acquire("db", None).await;
    assert!(matches!(late, Err(CallError::WaitTimeout)), "{late:?}");
    let at_once = Lock::client(&waiter, "lock").waiting_ms(0).acquire("db", None).await;
    assert!(matches!(at_once, Err(CallError::WaitTimeout)), "{at_once:?}");
    assert_eq!(waiters(&client, "db").await, 0);
    drop(tokio::time::timeout(Duration::from_millis(200), acquired(&waiter, "db")).await);
    until("the given up call to leave the line", PATIENCE, || async {
        (waiters(&client, "db").await == 0).then_some(())
    })
    .await;
    holder.close().await.expect("closed");
    let held = acquired(&waiter, "db").await.expect("nobody is granted what he gave up");
    assert_eq!(held.count, 1);
    waiter.close().await.expect("closed");
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sessions_of_one_client_are_served_and_gone_when_it_is() {
    const SESSIONS: usize = 10_000;
    const AT_ONCE: usize = 256;
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let mut sessions = Vec::new();
    while sessions.len() < SESSIONS {
        let opened = join_all(
            (0..AT_ONCE.min(SESSIONS - sessions.len()))
                .map(|_| client.session().ttl(Duration::from_secs(60)).open()),
        )
        .await;
        sessions.extend(opened.into_iter().map(|session| session.expect("within the cluster's limit")));
    }
    let status = cluster.status(0).await.expect("the member serves");
    assert_eq!(status.counts.map(|counts| counts.sessions), Some(SESSIONS as u64));
    while !sessions.is_empty() {
        let closing = sessions.split_off(sessions.len().saturating_sub(AT_ONCE));
        join_all(closing.into_iter().map(|session| async move { session.close().await.expect("closed") }))
            .await;
    }
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_parked_calls_meet_typed_limits_and_one_command_answers_all_that_wait() {
    const SESSIONS: usize = 12;
    const CALLS: usize = 900;
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    install_waiting(&client).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions
            .push(client.session().ttl(Duration::from_secs(60)).open().await.expect("a session is opened"));
    }
    let (refused, entered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for session in &sessions {
        let (session, refused, entered) = (session.clone(), refused.clone(), entered.clone());
        tasks.push(tokio::spawn(async move {
            let calls = (0..CALLS).map(|_| async {
                match session.call_json("waiting", "enter", r#"{"key": "gate", "parties": 1000000}"#).await {
                    Ok(_) => entered.fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        assert!(error.to_string().contains("wait"), "{error}");
                        refused.fetch_add(1, Ordering::Relaxed)
                    }
                }
            });
            join_all(calls).await;
        }));
    }
    let limit = u64::from(synod_abi::limits::SPACE_TICKETS);
    until("the space to be full", Duration::from_secs(60), || async {
        let waiting = cluster.status(0).await?.counts?.waiting;
        (waiting == limit && refused.load(Ordering::Relaxed) == (SESSIONS * CALLS) as u64 - limit)
            .then_some(())
    })
    .await;
    client
        .call_json("waiting", "open", r#"{"key": "gate"}"#)
        .await
        .expect("whatever waits can be answered at once");
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(entered.load(Ordering::Relaxed), limit);
    for session in sessions {
        session.close().await.expect("closed");
    }
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_vanish_before_while_and_after_they_wait_leave_nothing() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    let idle = open(&client).await;
    let granted = open(&client).await;
    acquired(&granted, "db").await.expect("the lock is free");
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let session = open(&client).await;
        waiting.push((session.clone(), tokio::spawn(async move { acquired(&session, "db").await })));
    }
    until("three to stand in line", PATIENCE, || async { (waiters(&client, "db").await == 3).then_some(()) })
        .await;
    let _gone = (idle.detach(), granted.detach());
    for (session, call) in waiting {
        let _gone = session.detach();
        assert!(
            call.await.expect("no panic").is_err(),
            "a client that let go of its session is granted nothing"
        );
    }
    cluster.nothing_left().await;
    assert!(Lock::client(&client, "lock").holder("db").await.expect("the lock can be asked").is_none());
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_fire_once_and_in_order_after_a_failover_a_snapshot_and_a_restart_of_all() {
    const ALARMS: u64 = 200;
    let mut cluster = Cluster::started(3, &["--snapshot-entries", "100"]).await;
    let client = cluster.client().await;
    install_waiting(&client).await;
    let began = std::time::Instant::now();
    for n in 0..ALARMS {
        let args = format!(r#"{{"after_ms": {}, "text": "{n}"}}"#, 4_000 + n * 10);
        client.call_json("waiting", "alarm", &args).await.expect("an alarm is set");
    }
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader_except(leader).await;
    cluster.start(leader);
    cluster.ready().await;
    (0..3).for_each(|n| cluster.kill(n));
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready().await;
    let client = cluster.client().await;
    let fired = until("all alarms to fire", PATIENCE, || async {
        let fired = client.query_json("waiting", "fired", "{}", Consistency::Linearizable).await.ok()?;
        let fired: Vec<String> = serde_json::from_str(&fired.value).expect("a list of texts");
        assert!(fired.is_empty() || began.elapsed() >= Duration::from_secs(4), "an alarm fired early");
        (fired.len() as u64 >= ALARMS).then_some(fired)
    })
    .await;
    assert_eq!(fired, (0..ALARMS).map(|n| n.to_string()).collect::<Vec<_>>());
    cluster.assert_equal_digests().await;
    cluster.nothing_left().await;
}
