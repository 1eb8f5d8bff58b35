//! Members that start at other addresses: one, or all at once. The cluster finds itself again, has
//! the new addresses committed, and says truthfully who answers.
use synod_client::api::MemberStatus;
use synod_kv::Kv;
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;

/// What member `asked` says of all members, in the order of their names.
async fn seen_by(cluster: &Cluster, asked: usize) -> Option<Vec<MemberStatus>> {
    let members = cluster.client_of(asked).await?.status(false).await.ok()?.members;
    (members.len() == cluster.members.len()).then_some(members)
}

/// Waits until everybody sees everybody where they are, and all take writes.
async fn found_again(cluster: &Cluster) {
    for asked in 0..cluster.members.len() {
        until("everybody to be seen where it is", PATIENCE, || async move {
            let seen = seen_by(cluster, asked).await?;
            let is_right = seen.iter().zip(&cluster.members).all(|(seen, member)| {
                seen.reachable
                    && seen.name == member.name
                    && seen.peer_address == member.peer_address
                    && seen.client_address == member.client_address
            });
            is_right.then_some(())
        })
        .await;
    }
    cluster.ready().await;
    let client = cluster.client().await;
    Kv::client(&client, "kv").put("moved", Blob::from("yes")).await.expect("it takes writes");
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_members_all_moved_finds_itself_again() {
    let mut cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    Kv::client(&client, "kv").put("before", Blob::from("yes")).await.expect("it takes writes");
    for n in 0..3 {
        cluster.kill(n);
        cluster.move_away(n);
    }
    (0..3).for_each(|n| cluster.start(n));
    found_again(&cluster).await;
    let client = cluster.client().await;
    let before = Kv::client(&client, "kv").get("before").await.expect("it is read");
    assert!(before.is_some(), "what was written before the move is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_that_moved_is_found_by_members_that_were_not_told() {
    let mut cluster = Cluster::started(3, &[]).await;
    let moved = (cluster.leader().await + 1) % 3;
    cluster.kill(moved);
    cluster.move_away(moved);
    cluster.start(moved);
    found_again(&cluster).await;
    for n in (0..3).filter(|n| *n != moved) {
        cluster.kill(n);
        cluster.start(n);
    }
    found_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_moved_is_found_again() {
    let mut cluster = Cluster::started(3, &[]).await;
    let moved = cluster.leader().await;
    cluster.kill(moved);
    cluster.move_away(moved);
    cluster.start(moved);
    found_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_who_answers_and_who_does_not() {
    let mut cluster = Cluster::started(3, &[]).await;
    found_again(&cluster).await;
    cluster.kill(2);
    let other = until("the dead member to be seen as such", PATIENCE, || async {
        let seen = seen_by(&cluster, 0).await?;
        (!seen[2].reachable).then_some(seen)
    })
    .await;
    assert!(other[0].reachable && other[1].reachable, "{other:?}");
    assert!(other[2].problem.contains("does not answer"), "{other:?}");
    assert_eq!((&other[2].name, &other[2].peer_address), (&"c".to_owned(), &cluster.members[2].peer_address));
    let data = cluster.members[2].data.clone();
    cluster.members[2].data = data.with_extension("new");
    cluster.start_with(2, &["--bundled=false"]);
    assert!(!cluster.exited(2).await.success());
    assert!(!seen_by(&cluster, 0).await.expect("it answers")[2].reachable);
}
