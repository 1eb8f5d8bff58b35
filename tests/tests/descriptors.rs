//! Clients that open connections until a member has no file descriptors left: it keeps those of its
//! store, serves who is connected, burns no processor, says why, and serves again afterwards.
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use synod_client::Client;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;

/// Descriptors beyond those that an idle member has.
const SPARE: usize = 40;
/// Connections of the faulty client.
const CONNECTIONS: usize = 300;
/// Largest share of a processor that a member may use that has nothing to do, in percent.
const PROCESSOR_PERCENT: u128 = 30;

async fn count(client: &Client) -> String {
    let added = client.call_json("counter", "add", r#"{"key": "k", "by": 1}"#).await;
    added.expect("the member serves").value
}

/// Opens connections that say nothing.
fn silent(cluster: &Cluster, connections: usize) -> Vec<TcpStream> {
    let address = &cluster.members[0].client_address;
    let open = |_| TcpStream::connect(address.as_str()).expect("the member listens");
    (0..connections).map(open).collect()
}

/// Waits until the other side has closed all of them.
async fn all_closed(mut connections: Vec<TcpStream>) {
    connections.iter().for_each(|stream| stream.set_nonblocking(true).expect("a socket need not block"));
    until("the silent connections to be closed", PATIENCE, || {
        connections.retain_mut(|stream| {
            let read = stream.read(&mut [0]);
            read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        });
        std::future::ready(connections.is_empty().then_some(()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_the_limit_allows_are_closed_at_once() {
    let mut cluster = Cluster::started(1, &[]).await;
    let limit = cluster.descriptors(0) + SPARE;
    assert!(cluster.stop(0).await.success());
    cluster.wrap(0, &["prlimit", &format!("--nofile={limit}:{limit}"), "--"]);
    cluster.start(0);
    cluster.ready().await;
    let before = cluster.client().await;
    assert_eq!(count(&before).await, "\"1\"");
    let (began, used) = (Instant::now(), cluster.processor_time(0));
    let connections = silent(&cluster, CONNECTIONS);
    assert_eq!(count(&before).await, "\"2\"");
    assert!(cluster.descriptors(0) < limit, "{} of {limit} are open", cluster.descriptors(0));
    all_closed(connections).await;
    let (took, used) = (began.elapsed(), cluster.processor_time(0) - used);
    let for_closing = Duration::from_millis(CONNECTIONS as u64);
    assert!(
        used.saturating_sub(for_closing).as_millis() * 100 <= took.as_millis() * PROCESSOR_PERCENT,
        "{used:?} of {took:?}"
    );
    assert!(cluster.log(0).contains("closed at once"), "{}", cluster.log(0));
    assert_eq!(count(&cluster.client().await).await, "\"3\"");
    cluster.kill(0);
    cluster.wrap(0, &[]);
    cluster.start(0);
    cluster.ready().await;
    assert_eq!(count(&cluster.client().await).await, "\"4\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_loop_without_descriptors_waits_and_logs_once_a_second() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    assert_eq!(count(&client).await, "\"1\"");
    cluster.limit_descriptors(0, cluster.descriptors(0) as u64);
    let (began, used) = (Instant::now(), cluster.processor_time(0));
    let connections = silent(&cluster, 8);
    let lines = |cluster: &Cluster| cluster.log(0).matches("cannot accept connections").count();
    until("a few lines of the log", PATIENCE, || {
        let enough = lines(&cluster) >= 3;
        std::future::ready(enough.then_some(()))
    })
    .await;
    let (took, used) = (began.elapsed(), cluster.processor_time(0) - used);
    assert!(lines(&cluster) as u64 <= took.as_secs() + 1, "{} lines in {took:?}", lines(&cluster));
    assert!(used.as_millis() * 100 < took.as_millis() * PROCESSOR_PERCENT, "{used:?} of {took:?}");
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert_eq!(count(&client).await, "\"2\"");
    drop(connections);
    assert!(cluster.runs(0));
}
