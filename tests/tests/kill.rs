//! Members are killed again and again under load, and nothing that was acknowledged is lost.
use std::time::Duration;

use synod_tests::cluster::Cluster;
use synod_tests::dice::Dice;
use synod_tests::writers::{Writers, check, read_all};

const ROUNDS: usize = 20;
const WRITERS: usize = 8;
/// Writes that must be acknowledged between two kills, so that each kill hits a working cluster.
const WRITES_PER_ROUND: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_twenty_kills_of_random_members() {
    let mut dice = Dice::seeded();
    let mut cluster = Cluster::started(3, &["--snapshot-entries", "2000"]).await;
    let writers = Writers::start(cluster.clients(WRITERS).await);
    for round in 0..ROUNDS {
        let leader = cluster.leader().await;
        let victim = if round % 2 == 0 { leader } else { (leader + 1 + dice.below(2) as usize) % 3 };
        let before = cluster.status(leader).await.map_or(0, |status| status.revision);
        progress(&cluster, before).await;
        cluster.kill(victim);
        tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
        cluster.start(victim);
        cluster.ready().await;
    }
    let records = writers.stop().await;
    let acknowledged: usize = records.iter().map(|record| record.acknowledged.len()).sum();
    let unknown: usize = records.iter().map(|record| record.unknown.len()).sum();
    eprintln!("{acknowledged} writes acknowledged, {unknown} of unknown outcome, {ROUNDS} kills");
    check(&read_all(&cluster.client().await).await, &records);
    cluster.assert_equal_digests().await;
    for n in 0..3 {
        assert!(cluster.runs(n), "member {n} has ended: {}", cluster.log(n));
    }
}

/// Waits until the cluster has taken some more writes.
async fn progress(cluster: &Cluster, before: u64) {
    synod_tests::wait::until("writes to be acknowledged", synod_tests::cluster::PATIENCE, || async {
        for n in 0..3 {
            if cluster.status(n).await.is_some_and(|status| status.revision >= before + WRITES_PER_ROUND) {
                return Some(());
            }
        }
        None
    })
    .await;
}
