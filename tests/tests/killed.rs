//! Members that die at each step of creating, installing, switching, purging and truncating, while
//! clients write: they start again, catch up, and nothing that was acknowledged is lost. The steps
//! of forming are in `forming`.
//!
//! The short form dies once at each step, `make soak WHAT=killed` twenty times.
use synod_storage::Step;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;
use synod_tests::writers::{Writers, check, read_all};

/// Entries between two compactions, so low that a few writes purge the log.
const PURGES_SOON: [&str; 2] = ["--snapshot-entries", "50"];
const WRITERS: usize = 4;
/// How often a leader is left with entries until they are truncated.
const TRIES: usize = 10;

fn rounds() -> usize {
    if std::env::var_os("SYNOD_SOAK").is_some() { 20 } else { 1 }
}

/// Starts a member that dies at `step`, and waits until it has.
async fn die(cluster: &mut Cluster, member: usize, step: Step) {
    cluster.start_with(member, &["--crash-at", step.name()]);
    has_died(cluster, member, step).await;
}

async fn has_died(cluster: &mut Cluster, member: usize, step: Step) {
    let status = cluster.exited(member).await;
    let log = cluster.log(member);
    let last = log.lines().rfind(|line| line.contains("dying, as --crash-at wants it"));
    let named = last.is_some_and(|line| line.contains(step.name()));
    assert!(!status.success() && named, "member {member} did not die at {step:?}: {log}");
}

/// Waits until a member has applied what the leader has now.
async fn catches_up(cluster: &Cluster, member: usize) {
    let ahead = until("what the leader has", PATIENCE, || async {
        Some(cluster.status(cluster.leader().await).await?.applied_index)
    })
    .await;
    until("the member to catch up", PATIENCE, || async {
        (cluster.status(member).await?.applied_index >= ahead).then_some(())
    })
    .await;
}

async fn nothing_is_lost(cluster: &Cluster, writers: Writers) {
    let records = writers.stop().await;
    let acknowledged: usize = records.iter().map(|record| record.acknowledged.len()).sum();
    eprintln!("{acknowledged} writes were acknowledged");
    check(&read_all(&cluster.client().await).await, &records);
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_die_at_each_step_of_creating_form_a_cluster() {
    for _ in 0..rounds() {
        for step in Step::CREATING {
            let mut cluster = Cluster::new(3, &["--bundled=false"]);
            (0..3).for_each(|n| cluster.start_with(n, &["--crash-at", step.name()]));
            for n in 0..3 {
                has_died(&mut cluster, n, step).await;
            }
            (0..3).for_each(|n| cluster.start(n));
            cluster.leader().await;
            cluster.assert_equal_digests().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dies_at_each_step_of_installing_and_switching_catches_up() {
    let mut cluster = Cluster::started(3, &PURGES_SOON).await;
    let writers = Writers::start(cluster.clients(WRITERS).await);
    for step in (0..rounds()).flat_map(|_| Step::INSTALLING) {
        let absent = (cluster.leader().await + 1) % 3;
        cluster.kill(absent);
        let last = until("what the leader has", PATIENCE, || async {
            Some(cluster.status(cluster.leader().await).await?.last_log_index)
        })
        .await;
        until("the log to be purged", PATIENCE, || async {
            for other in (0..3).filter(|other| *other != absent) {
                (cluster.status(other).await?.purged_index > last).then_some(())?;
            }
            Some(())
        })
        .await;
        die(&mut cluster, absent, step).await;
        cluster.start(absent);
        catches_up(&cluster, absent).await;
    }
    nothing_is_lost(&cluster, writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dies_at_each_step_of_purging_catches_up() {
    let mut cluster = Cluster::started(3, &PURGES_SOON).await;
    let writers = Writers::start(cluster.clients(WRITERS).await);
    for (n, step) in (0..rounds()).flat_map(|_| Step::PURGING).enumerate() {
        let member = (cluster.leader().await + n) % 3;
        cluster.kill(member);
        die(&mut cluster, member, step).await;
        cluster.start(member);
        catches_up(&cluster, member).await;
    }
    nothing_is_lost(&cluster, writers).await;
}

/// Kills all members; one of them probably has entries that no other has.
async fn leave_entries_with_one(cluster: &mut Cluster) -> usize {
    let leader = cluster.leader().await;
    (1..3).for_each(|n| cluster.pause((leader + n) % 3));
    until("the leader to have what it cannot commit", PATIENCE, || async {
        let status = cluster.status(leader).await?;
        (status.last_log_index > status.committed_index).then_some(())
    })
    .await;
    for member in (0..3).rev().map(|n| (leader + n) % 3) {
        cluster.kill(member);
    }
    leader
}

/// Starts a member that dies at `step` if it comes so far; whether it has.
async fn may_die(cluster: &mut Cluster, member: usize, step: Step) -> bool {
    let leader = cluster.leader_except(member).await;
    cluster.start_with(member, &["--crash-at", step.name()]);
    let cluster = &*cluster;
    until("the member to die or to catch up", PATIENCE, || async {
        if !cluster.runs(member) {
            return Some(true);
        }
        let (behind, ahead) = (cluster.status(member).await?, cluster.status(leader).await?);
        (behind.applied_index >= ahead.applied_index).then_some(false)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dies_at_each_step_of_truncating_catches_up() {
    let mut cluster = Cluster::started(3, &[]).await;
    let writers = Writers::start(cluster.clients(WRITERS).await);
    for step in (0..rounds()).flat_map(|_| Step::TRUNCATING) {
        let mut tries = 0..TRIES;
        let former = loop {
            tries.next().expect("a leader has entries that no other has, in one of some tries");
            let former = leave_entries_with_one(&mut cluster).await;
            (1..3).for_each(|n| cluster.start((former + n) % 3));
            if may_die(&mut cluster, former, step).await {
                break former;
            }
        };
        has_died(&mut cluster, former, step).await;
        cluster.start(former);
        catches_up(&cluster, former).await;
    }
    nothing_is_lost(&cluster, writers).await;
}
