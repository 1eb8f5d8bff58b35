//! A member in place of one that lost its folder catches up by snapshot. `killed` has members die
//! at each step of that.
use synod_kv::Kv;
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;

/// Entries between two compactions, so low that a few writes purge the log.
const FLAGS: [&str; 2] = ["--snapshot-entries", "50"];

/// Writes until the log of every running member no longer begins where the absent one ended.
async fn outrun(cluster: &Cluster, absent: usize, from: u64, round: u64) {
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    let mut n = 0;
    loop {
        for _ in 0..50 {
            kv.put(format!("round-{round}/{n:06}"), Blob::from("x".repeat(100).as_str()))
                .await
                .expect("two of three members take writes");
            n += 1;
        }
        let mut purged = u64::MAX;
        for member in (0..3).filter(|member| *member != absent) {
            purged = purged.min(cluster.status(member).await.map_or(0, |status| status.purged_index));
        }
        if purged > from {
            return;
        }
        assert!(n < 20_000, "the log is never purged");
    }
}

async fn caught_up(cluster: &Cluster, member: usize) {
    until("the member to catch up", PATIENCE, || async {
        let (behind, ahead) = (cluster.status(member).await?, cluster.status((member + 1) % 3).await?);
        (behind.applied_index >= ahead.applied_index).then_some(())
    })
    .await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_in_place_of_one_that_lost_its_folder_gets_everything() {
    let mut cluster = Cluster::started(3, &FLAGS).await;
    let absent = (cluster.leader().await + 1) % 3;
    let applied = cluster.status(absent).await.expect("the member runs").applied_index;
    outrun(&cluster, absent, applied, 0).await;
    cluster.kill(absent);
    std::fs::remove_dir_all(&cluster.members[absent].data).expect("the folder can be removed");
    cluster.start_with(absent, &["--replace-lost"]);
    caught_up(&cluster, absent).await;
    let status = cluster.status(absent).await.expect("the member runs");
    assert!(
        status.snapshot_index > 0 || status.purged_index > 0,
        "it came up without a snapshot: {status:?}"
    );
}
