//! Members that cannot do their work: what waits there moves elsewhere, and what they report.
use std::time::{Duration, Instant};

use synod_client::{Follow, Options};
use synod_lock::Lock;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::proxy::Link;
use synod_tests::wait::until;

/// How long a lock may take from its release to a waiter whose member receives nothing any more.
const MOVES_WITHIN: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_granted_within_seconds_to_a_waiter_whose_member_is_cut_off() {
    let mut cluster = Cluster::with_proxies(3, &[]);
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready().await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let client = cluster.client().await;
    let holder = client.session().ttl(TTL).open().await.expect("a session is opened");
    Lock::client(&holder, "lock").acquire("db", None).await.expect("the lock is free");

    let nearest = Options { follow: Follow::Nearest, ..Options::default() };
    let first = [follower, leader, (follower + 1) % 3].map(|n| cluster.members[n].client_address.clone());
    let near = synod_client::Client::connect_with(first.join(","), nearest).await.expect("it answers");
    let waiter = near.session().ttl(TTL).open().await.expect("a session is opened");
    let waiting = tokio::spawn(async move { Lock::client(&waiter, "lock").acquire("db", None).await });
    until("the second to wait", PATIENCE, || async {
        (cluster.status(follower).await?.counts?.waiting == 1).then_some(())
    })
    .await;

    cluster.link(follower, Link::Cut);
    Lock::client(&holder, "lock").release("db", None).await.expect("the holder releases");
    let released = Instant::now();
    let granted = tokio::time::timeout(MOVES_WITHIN, waiting).await;
    granted.expect("the lock is granted in time").expect("the task ends").expect("it is granted");
    eprintln!("granted {} ms after its release", released.elapsed().as_millis());
}
