//! Members that cannot do their work: what waits there moves elsewhere, and what they report.
use std::time::{Duration, Instant};

use synod_api::v1::LogsRequest;
use synod_api::v1::recipes_client::RecipesClient;
use synod_client::{Client, Follow, Options, Session};
use synod_lock::Lock;
use synod_tests::cluster::{Cluster, PATIENCE, signal};
use synod_tests::proxy::Flow;
use synod_tests::wait::until;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long a lock may take from its release to a waiter whose member receives nothing any more.
const MOVES_WITHIN: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(60);
/// How long a member may take to stop: a second, and what a busy machine adds.
const STOPS_WITHIN: Duration = Duration::from_millis(2_500);
/// Lines that a member without a majority may log in ten seconds.
const LINES: usize = 40;

/// A client that asks member `n` first.
async fn client_near(cluster: &Cluster, n: usize) -> Client {
    let nearest = Options { follow: Follow::Nearest, ..Options::default() };
    let order = [n, (n + 1) % 3, (n + 2) % 3].map(|n| cluster.members[n].client_address.clone());
    Client::connect_with(order.join(","), nearest).await.expect("it answers")
}

async fn one_waits(cluster: &Cluster, n: usize) {
    until("one call to wait", PATIENCE, || async {
        (cluster.status(n).await?.counts?.waiting == 1).then_some(())
    })
    .await;
}

async fn channel(cluster: &Cluster, n: usize) -> Channel {
    let address = format!("http://{}", cluster.members[n].client_address);
    Endpoint::from_shared(address).expect("an address").connect().await.expect("it listens")
}

async fn becomes(cluster: &Cluster, n: usize, wanted: ServingStatus) {
    let health = HealthClient::new(channel(cluster, n).await);
    until(&format!("health to be {wanted:?}"), PATIENCE, || async {
        let asked = HealthCheckRequest { service: "synod.v1.Spaces".to_owned() };
        let status = health.clone().check(asked).await.ok()?.into_inner().status();
        (status == wanted).then_some(())
    })
    .await;
}

async fn acquire(session: &Session) {
    Lock::client(session, "lock").acquire("db", None).await.expect("it is granted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_granted_within_seconds_to_a_waiter_whose_member_is_cut_off() {
    let mut cluster = Cluster::with_proxies(3, &[], 1);
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready().await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let client = cluster.client().await;
    let holder = client.session().ttl(TTL).open().await.expect("a session is opened");
    acquire(&holder).await;

    let near = client_near(&cluster, follower).await;
    let waiter = near.session().ttl(TTL).open().await.expect("a session is opened");
    let waiting = tokio::spawn(async move { Lock::client(&waiter, "lock").acquire("db", None).await });
    one_waits(&cluster, follower).await;

    cluster.reach(follower, Flow::Cut);
    Lock::client(&holder, "lock").release("db", None).await.expect("the holder releases");
    let released = Instant::now();
    let granted = tokio::time::timeout(MOVES_WITHIN, waiting).await;
    granted.expect("the lock is granted in time").expect("the task ends").expect("it is granted");
    eprintln!("granted {} ms after its release", released.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_survivor_says_so_in_health_status_and_a_few_lines_and_recovers() {
    let cluster = Cluster::started(3, &[]).await;
    let leader = cluster.leader().await;
    let survivor = (leader + 1) % 3;
    let others = [leader, (leader + 2) % 3];
    becomes(&cluster, survivor, ServingStatus::Serving).await;
    assert!(cluster.log(survivor).contains("a leader is known"), "{}", cluster.log(survivor));
    others.iter().for_each(|n| cluster.pause(*n));
    becomes(&cluster, survivor, ServingStatus::NotServing).await;
    let status = cluster.status(survivor).await.expect("it answers");
    assert_eq!(status.leader_id, 0);
    assert!(status.problem.contains("majority"), "{}", status.problem);
    let complaints = |log: &str| log.matches("it reaches no leader with a majority").count();
    until("a second complaint", PATIENCE, || async {
        (complaints(&cluster.log(survivor)) >= 2).then_some(())
    })
    .await;
    let log = cluster.log(survivor);
    let between = log.split("it reaches no leader with a majority").nth(1).expect("two complaints");
    assert!(between.lines().count() < LINES, "it logs too much: {between}");
    others.iter().for_each(|n| cluster.resume(*n));
    becomes(&cluster, survivor, ServingStatus::Serving).await;
    assert!(cluster.log(survivor).contains("no longer"), "{}", cluster.log(survivor));
    assert_eq!(cluster.status(survivor).await.expect("it answers").problem, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_stops_ends_its_streams_with_a_reason_and_stops_within_a_second() {
    let mut cluster = Cluster::started(3, &[]).await;
    let stopping = (cluster.leader().await + 1) % 3;
    let client = client_near(&cluster, stopping).await;
    let holder = client.session().ttl(TTL).open().await.expect("a session is opened");
    acquire(&holder).await;
    let waiter = client.session().ttl(TTL).open().await.expect("a session is opened");
    let waiting = tokio::spawn(async move { acquire(&waiter).await });
    one_waits(&cluster, stopping).await;
    let follow = LogsRequest { follow: true, ..LogsRequest::default() };
    let logs = RecipesClient::new(channel(&cluster, stopping).await).logs(follow).await;
    let mut logs = logs.expect("logs can be followed").into_inner();

    let told = Instant::now();
    assert!(cluster.stop(stopping).await.success(), "{}", cluster.log(stopping));
    let took = told.elapsed();
    eprintln!("stopped after {} ms", took.as_millis());
    assert!(took < STOPS_WITHIN, "it took {took:?}: {}", cluster.log(stopping));
    let reason = loop {
        match logs.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the log ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason.code(), Code::Unavailable);
    assert!(reason.message().contains("stopping"), "{reason}");
    Lock::client(&holder, "lock").release("db", None).await.expect("the holder releases");
    tokio::time::timeout(MOVES_WITHIN, waiting).await.expect("it is granted in time").expect("it is granted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_up_stops_no_member_and_a_second_interrupt_ends_one_that_waits() {
    let mut cluster = Cluster::started(3, &["--shutdown-grace-ms", "60000"]).await;
    let leader = cluster.leader().await;
    let process = cluster.process_id(leader);
    signal(process, libc::SIGHUP);
    until("the hang-up to be noticed", PATIENCE, || {
        std::future::ready(cluster.log(leader).contains("SIGHUP").then_some(()))
    })
    .await;
    assert!(cluster.runs(leader));
    let client = cluster.client_of(leader).await.expect("it answers");
    (1..3).for_each(|n| cluster.pause((leader + n) % 3));
    let _unanswered =
        tokio::spawn(async move { client.call_json("counter", "add", r#"{"key": "k", "by": 1}"#).await });
    until("the call to be in the log", PATIENCE, || async {
        let status = cluster.status(leader).await?;
        (status.last_log_index > status.committed_index).then_some(())
    })
    .await;
    signal(process, libc::SIGINT);
    until("the first interrupt to be noticed", PATIENCE, || {
        std::future::ready(cluster.log(leader).contains("told to stop").then_some(()))
    })
    .await;
    signal(process, libc::SIGINT);
    let told = Instant::now();
    assert_eq!(cluster.exited(leader).await.code(), Some(128 + libc::SIGINT));
    assert!(told.elapsed() < STOPS_WITHIN, "it took {:?}", told.elapsed());
    (1..3).for_each(|n| cluster.resume((leader + n) % 3));
}
