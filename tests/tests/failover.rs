//! A leader whose process ends is replaced at once: its connections are closed, and its port
//! refuses new ones. Election time-outs are longer here than tests wait.
use synod_client::Client;
use synod_kv::Kv;
use synod_sdk::prelude::Blob;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::proxy::{End, Flow};
use synod_tests::wait::until;

/// A leader that is only missed is replaced after 70 s at the earliest.
const PATIENT: [&str; 4] = ["--election-min-ms", "30000", "--election-max-ms", "40000"];

async fn put(client: &Client, value: String) {
    Kv::client(client, "kv").put("a", Blob::from(value.as_str())).await.expect("it is put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_long_before_it_is_missed() {
    for members in [3, 5] {
        let mut cluster = Cluster::started(members, &PATIENT).await;
        let client = cluster.client().await;
        for kill in 0..3 {
            put(&client, format!("before kill {kill}")).await;
            let leader = cluster.leader().await;
            cluster.kill(leader);
            assert_ne!(cluster.leader_except(leader).await, leader);
            put(&client, format!("after kill {kill}")).await;
            cluster.start(leader);
            cluster.ready().await;
        }
        cluster.assert_equal_digests().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_one_follower_loses_sight_of_stays() {
    let mut cluster = Cluster::with_proxies(3, &PATIENT, 1);
    (0..3).for_each(|member| cluster.start(member));
    cluster.ready().await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.expect("it answers").term;
    let follower = (leader + 1) % 3;
    for times in 1..=3 {
        cluster.network().set_both(End::Member(leader), End::Member(follower), Flow::Cut);
        until("the follower to take the leader for ended", PATIENCE, || async {
            (cluster.log(follower).matches("the leader has ended").count() >= times).then_some(())
        })
        .await;
        put(&cluster.client().await, "while it is out of sight".to_owned()).await;
        cluster.network().open_all();
        cluster.ready().await;
    }
    let status = cluster.status(leader).await.expect("it answers");
    assert_eq!((status.role(), status.term), (synod_api::v1::Role::Leader, term));
    cluster.assert_equal_digests().await;
}
