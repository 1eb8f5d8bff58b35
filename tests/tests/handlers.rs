//! Handlers that trap, loop, emit without measure, or feed each other: what exceeds a bound rejects
//! the call that caused it, with a typed error, or is skipped where the binding or the system's
//! command wants it; nothing half-done is left, on any member.
use std::time::Duration;

use synod_abi::Fault;
use synod_api::v1::{Binding, OnFailure, SpaceInfo};
use synod_client::api::Consistency;
use synod_client::{Client, Error, Refusal};
use synod_kv::Kv;
use synod_lock::Lock;
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::recipes;
use synod_tests::wait::until;

/// The spaces of `tests/recipes/hostile`: the second one's handler reacts to the first.
const SOURCE: &str = "hostile";
const HANDLER: &str = "reacting";

async fn install(client: &Client) {
    client.install_recipe(recipes::install("hostile")).await.expect("it is a valid module");
    client.create_space(HANDLER, "hostile", 1).await.expect("a space can be created");
}

fn binding(space: &str, source: &str, prefix: &str, on_failure: OnFailure) -> Binding {
    let mut binding = Binding {
        space: space.to_owned(),
        source: source.to_owned(),
        topic: prefix.to_owned(),
        prefix: true,
        ..Binding::default()
    };
    binding.set_on_failure(on_failure);
    binding
}

async fn bind(client: &Client, on_failure: OnFailure) {
    client.bind_space(binding(HANDLER, SOURCE, "", on_failure)).await.expect("it can be bound");
}

async fn call(client: &Client, space: &str, operation: &str, args: &str) -> Result<String, Error> {
    client.call_json(space, operation, args).await.map(|answer| answer.value)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, Error>) -> Refusal {
    match answer {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{what} was not refused: {other:?}"),
    }
}

async fn asked(client: &Client, space: &str, query: &str) -> u64 {
    let answer = client
        .query_json(space, query, "{}", Consistency::Linearizable)
        .await
        .expect("the member serves the next request");
    answer.value.trim_matches('"').parse().expect("a number")
}

async fn nothing_left(client: &Client, what: &str) {
    for space in [SOURCE, HANDLER] {
        assert_eq!(asked(client, space, "rows").await, 0, "{what} left rows in {space}");
    }
}

async fn info(client: &Client, space: &str) -> SpaceInfo {
    client.space_info(space).await.expect("the space can be described")
}

async fn failures(client: &Client, space: &str) -> u64 {
    info(client, space).await.hook_failures.map_or(0, |failures| failures.count)
}

/// What a handler may be told to do, and the fault that this is.
const REACTIONS: [(&str, Fault); 5] = [
    (r#""Panic""#, Fault::Panic),
    (r#""Spin""#, Fault::OutOfFuel),
    (r#""BreakLimit""#, Fault::KeyTooLong),
    (r#"{"Emit": {"count": 2000, "bytes": 1}}"#, Fault::TooManyEvents),
    (r#"{"Emit": {"count": 1, "bytes": 300000}}"#, Fault::TooManyEvents),
];

async fn react(client: &Client, reaction: &str) {
    call(client, HANDLER, "react", &format!(r#"{{"reaction": {reaction}}}"#)).await.expect("the mode is set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_fails_rejects_the_call_or_is_skipped_as_its_binding_says_and_leaves_nothing() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    install(&client).await;
    bind(&client, OnFailure::Reject).await;
    call(&client, SOURCE, "echo", "{}").await.expect("the handler counts");
    assert_eq!(asked(&client, HANDLER, "heard").await, 1);
    for (reaction, fault) in REACTIONS {
        react(&client, reaction).await;
        let before = info(&client, SOURCE).await.events.unwrap_or_default().events;
        let refusal = refused(reaction, call(&client, SOURCE, "echo", "{}").await);
        assert_eq!(
            (refusal.reason.as_str(), refusal.fault),
            ("HANDLER_FAILED", Some(fault)),
            "{reaction}: {refusal}"
        );
        assert!(refusal.message.contains(HANDLER), "{refusal}");
        nothing_left(&client, reaction).await;
        assert_eq!(
            info(&client, SOURCE).await.events.unwrap_or_default().events,
            before,
            "a rejected call emitted something"
        );
    }
    assert_eq!(failures(&client, HANDLER).await, 0, "nothing was skipped");

    bind(&client, OnFailure::Skip).await;
    for (n, (reaction, _)) in (1..).zip(REACTIONS) {
        react(&client, reaction).await;
        call(&client, SOURCE, "echo", "{}").await.expect("the call goes on");
        nothing_left(&client, reaction).await;
        assert_eq!(failures(&client, HANDLER).await, n, "{reaction}");
    }
    react(&client, r#""Count""#).await;
    call(&client, SOURCE, "echo", "{}").await.expect("the handler counts again");
    assert_eq!(asked(&client, HANDLER, "heard").await, 2);
    client.unbind_space(binding(HANDLER, SOURCE, "", OnFailure::Skip)).await.expect("it can be taken back");
    call(&client, SOURCE, "echo", "{}").await.expect("nobody listens");
    assert_eq!(asked(&client, HANDLER, "heard").await, 2);
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circles_of_bindings_are_refused_and_circles_of_sends_end_at_the_depth_with_everything_undone() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    install(&client).await;
    client.create_space("third", "hostile", 1).await.expect("a space can be created");
    client.bind_space(binding("third", HANDLER, "", OnFailure::Reject)).await.expect("it can be bound");
    bind(&client, OnFailure::Reject).await;
    for (space, source, what) in [
        (SOURCE, "third", "a circle of three"),
        (SOURCE, HANDLER, "a circle of two"),
        (SOURCE, SOURCE, "itself"),
    ] {
        let refusal = refused(what, client.bind_space(binding(space, source, "x/", OnFailure::Skip)).await);
        assert_eq!(refusal.reason, "BINDING_CIRCLE", "{what}: {refusal}");
    }
    for (space, source, reason) in [
        ("nowhere", SOURCE, "UNKNOWN_SPACE"),
        (SOURCE, "nowhere", "UNKNOWN_SPACE"),
        ("kv", SOURCE, "NO_HANDLER"),
    ] {
        let refusal = refused(reason, client.bind_space(binding(space, source, "", OnFailure::Reject)).await);
        assert_eq!(refusal.reason, reason, "{refusal}");
    }
    let unknown =
        refused("unbind", client.unbind_space(binding(HANDLER, SOURCE, "other/", OnFailure::Reject)).await);
    assert_eq!(unknown.reason, "UNKNOWN_BINDING", "{unknown}");

    let args = format!(r#"{{"there": "{HANDLER}", "here": "{SOURCE}"}}"#);
    let bounced = refused("bounce", call(&client, SOURCE, "bounce", &args).await);
    assert_eq!(
        (bounced.reason.as_str(), bounced.fault),
        ("SEND_FAILED", Some(Fault::TooDeepDelivery)),
        "{bounced}"
    );
    react(&client, &format!(r#"{{"Send": {{"space": "{SOURCE}", "operation": "echo"}}}}"#)).await;
    let fed = refused("a handler that sends back", call(&client, SOURCE, "echo", "{}").await);
    assert_eq!(fed.fault, Some(Fault::TooDeepDelivery), "{fed}");
    assert!(["HANDLER_FAILED", "SEND_FAILED"].contains(&fed.reason.as_str()), "{fed}");
    let args = format!(r#"{{"there": "{HANDLER}", "times": 70, "generations": 2}}"#);
    let many = refused("multiply", call(&client, SOURCE, "multiply", &args).await);
    assert_eq!((many.reason.as_str(), many.fault), ("SEND_FAILED", Some(Fault::TooManyDeliveries)), "{many}");
    let nowhere = refused(
        "send",
        call(&client, SOURCE, "send", r#"{"space": "nowhere", "operation": "echo", "count": 1}"#).await,
    );
    assert_eq!(nowhere.reason, "SEND_FAILED", "{nowhere}");
    nothing_left(&client, "a circle").await;
    assert_eq!(info(&client, SOURCE).await.events.unwrap_or_default().events, 0, "everything was undone");
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_recipe_emits_is_bounded_by_call() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    install(&client).await;
    call(&client, SOURCE, "emit", r#"{"count": 1024, "bytes": 100}"#).await.expect("as many as may be");
    for (operation, args, fault, limit) in [
        ("emit", r#"{"count": 1025, "bytes": 0}"#, Fault::TooManyEvents, "CALL_EVENT_BYTES"),
        ("emit", r#"{"count": 1, "bytes": 262145}"#, Fault::TooManyEvents, "CALL_EVENT_BYTES"),
        ("emit", r#"{"count": 8, "bytes": 200000}"#, Fault::TooManyEvents, "CALL_EVENT_BYTES"),
        ("emit_topic", r#"{"bytes": 513}"#, Fault::BadTopic, "EVENT_TOPIC_BYTES"),
        ("emit_topic", r#"{"bytes": 0}"#, Fault::BadTopic, "EVENT_TOPIC_BYTES"),
        (
            "send",
            r#"{"space": "hostile", "operation": "echo", "count": 257}"#,
            Fault::TooManySends,
            "CALL_SENDS",
        ),
    ] {
        let refusal = refused(args, call(&client, SOURCE, operation, args).await);
        assert_eq!(
            (refusal.reason.as_str(), refusal.fault),
            ("RECIPE_FAULT", Some(fault)),
            "{operation} {args}: {refusal}"
        );
        assert_eq!(refusal.limit.map(|limit| limit.0).unwrap_or_default(), limit, "{operation} {args}");
    }
    assert_eq!(asked(&client, SOURCE, "rows").await, 0);
    assert_eq!(
        info(&client, SOURCE).await.events.unwrap_or_default().events,
        1_024,
        "what was refused emitted nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_handler_does_not_keep_a_session_from_ending_nor_its_lock_from_moving_on() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    install(&client).await;
    client.bind_space(binding(HANDLER, "lock", "", OnFailure::Reject)).await.expect("it can be bound");
    let session = client.session().ttl(Duration::from_secs(2)).open().await.expect("a session is opened");
    Lock::client(&session, "lock")
        .acquire("db", None)
        .await
        .expect("the lock is free, and the handler counts");
    react(&client, r#""Spin""#).await;
    let next = client.session().ttl(Duration::from_secs(20)).open().await.expect("a session is opened");
    let other = refused_lock(&next).await;
    assert_eq!(other.0, Some(Fault::OutOfFuel), "{}", other.1);
    let waiting = tokio::spawn({
        let next = next.clone();
        async move { Lock::client(&next, "lock").acquire("db", None).await }
    });
    until("the second to stand in line", PATIENCE, || async {
        (cluster.status(0).await?.counts?.waiting == 1).then_some(())
    })
    .await;
    session.detach();
    let held = waiting.await.expect("no panic");
    assert!(held.is_ok(), "the lock moves on although the handler of its events loops: {held:?}");
    assert!(failures(&client, HANDLER).await >= 2, "Released and Granted were skipped");
    nothing_left(&client, "a handler of the system's command").await;
    react(&client, r#""Count""#).await;
    next.close().await.expect("closed");
    cluster.assert_equal_digests().await;
    cluster.nothing_left().await;
}

/// Acquires another lock, whose handler fails.
async fn refused_lock(session: &synod_client::Session) -> (Option<Fault>, String) {
    match Lock::client(session, "lock").acquire("other", None).await {
        Err(synod_client::CallError::Fault { fault, message }) => (fault, message),
        other => panic!("the call was not rejected: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_trail_has_exactly_the_changes_that_were_made_through_failovers() {
    let mut cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    client.bind_space(binding("audit", "kv", "config/", OnFailure::Reject)).await.expect("it can be bound");
    let session = client.session().ttl(Duration::from_secs(20)).open().await.expect("a session is opened");
    let mut made = Vec::new();
    for n in 0..40_u64 {
        if n == 20 {
            let leader = cluster.leader().await;
            cluster.kill(leader);
            cluster.leader_except(leader).await;
            cluster.start(leader);
        }
        let kv = Kv::client(&session, "kv");
        let folder = if n % 4 == 0 { "other" } else { "config" };
        let written = kv
            .put(format!("{folder}/{n}"), Blob::from("v"))
            .await
            .expect("a session's call has its outcome in the end");
        if folder == "config" {
            made.push((written.revision.0, format!("config/{n}")));
        }
    }
    cluster.ready().await;
    let trail = client
        .query_json("audit", "trail", r#"{"limit": 500}"#, Consistency::Linearizable)
        .await
        .expect("the trail can be read");
    let trail: serde_json::Value = serde_json::from_str(&trail.value).expect("a trail is JSON");
    let records = trail.as_array().or_else(|| trail["records"].as_array()).expect("records");
    let number = |value: &serde_json::Value| {
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
    };
    let kept: Vec<_> = records
        .iter()
        .map(|record| (number(&record["revision"]), record["topic"].as_str().expect("a topic").to_owned()))
        .collect();
    assert_eq!(kept, made);
    session.close().await.expect("closed");
    cluster.assert_equal_digests().await;
}
