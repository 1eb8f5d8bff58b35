//! Binaries are replaced, one member after the other, by one that has another edition of the
//! engines: the cluster goes on to it when all members have it, and serves all the while.
use std::time::Duration;

use synod_client::api::{Environment, MemberStatus};
use synod_tests::binary::Build;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;
use synod_tests::writers::{Writers, check, read_all};

const MEMBERS: usize = 3;
const WRITERS: usize = 8;
/// Revisions by which the cluster goes on between two steps.
const STEP_REVISIONS: u64 = 200;
/// A busy machine is allowed more than the two seconds that are promised.
const GAP_LIMIT: Duration = Duration::from_secs(5);

async fn status(cluster: &Cluster, n: usize) -> MemberStatus {
    until("the member to say how it is", PATIENCE, || cluster.status(n)).await
}

async fn environment(cluster: &Cluster, n: usize) -> Environment {
    status(cluster, n).await.environment.expect("a cluster that serves has an execution environment")
}

/// Waits until writes were acknowledged on top of those that there are now.
async fn go_on(cluster: &Cluster) {
    let before = status(cluster, 0).await.revision;
    until("the cluster to go on", PATIENCE, || async {
        (cluster.status(0).await?.revision >= before + STEP_REVISIONS).then_some(())
    })
    .await;
}

async fn upgrade(cluster: &mut Cluster, n: usize) {
    assert!(cluster.stop(n).await.success());
    cluster.replace_binary(n, Build::NextEdition);
    cluster.start(n);
    cluster.ready().await;
    go_on(cluster).await;
}

/// Waits until every member applies in another environment than `old`; the new one.
async fn went_on_from(cluster: &Cluster, old: &Environment) -> Environment {
    for n in 0..MEMBERS {
        until("the cluster to be in the new execution environment", PATIENCE, || async {
            (cluster.status(n).await?.environment.as_ref() != Some(old)).then_some(())
        })
        .await;
    }
    environment(cluster, 0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_to_a_new_execution_environment_without_a_pause_when_all_members_have_it() {
    Build::NextEdition.path();
    let mut cluster = Cluster::started(MEMBERS, &[]).await;
    let old = environment(&cluster, 0).await;
    assert_eq!(status(&cluster, 0).await.environments, std::slice::from_ref(&old), "the old binary has one");
    let writers = Writers::start(cluster.clients(WRITERS).await);
    go_on(&cluster).await;
    for n in 0..MEMBERS {
        assert_eq!(environment(&cluster, n).await, old, "as long as one member has only the old one");
        upgrade(&mut cluster, n).await;
    }
    let new = went_on_from(&cluster, &old).await;
    assert_eq!(status(&cluster, 0).await.environments, [old.clone(), new.clone()]);
    go_on(&cluster).await;
    let records = writers.stop().await;
    let acknowledged: usize = records.iter().map(|record| record.acknowledged.len()).sum();
    let unknown: usize = records.iter().map(|record| record.unknown.len()).sum();
    let gap = records.iter().map(|record| record.longest_gap).max().unwrap_or_default();
    eprintln!("{acknowledged} writes acknowledged, {unknown} of unknown outcome, longest gap {gap:?}");
    assert!(gap < GAP_LIMIT, "a writer heard nothing for {gap:?}");
    check(&read_all(&cluster.client().await).await, &records);
    cluster.assert_equal_digests().await;

    (0..MEMBERS).for_each(|n| cluster.kill(n));
    (0..MEMBERS).for_each(|n| cluster.start(n));
    cluster.ready().await;
    let after = status(&cluster, 0).await;
    assert_eq!(after.environment.as_ref(), Some(&new), "entries of both are applied again, each in its own");
    assert_eq!(after.environments, [old, new]);
    check(&read_all(&cluster.client().await).await, &records);
    cluster.assert_equal_digests().await;

    assert!(cluster.stop(0).await.success());
    cluster.replace_binary(0, Build::Usual);
    cluster.start(0);
    assert!(!cluster.exited(0).await.success(), "the old binary can't go on from here");
    let why = "start this member with the binary that the others run";
    assert!(cluster.log(0).contains(why), "{}", cluster.log(0));
    cluster.replace_binary(0, Build::NextEdition);
    cluster.start(0);
    cluster.ready().await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_away_holds_up_a_new_execution_environment_and_nothing_else() {
    let mut cluster = Cluster::started(MEMBERS, &[]).await;
    let old = environment(&cluster, 0).await;
    let writers = Writers::start(cluster.clients(WRITERS).await);
    cluster.kill(2);
    for n in 0..2 {
        assert!(cluster.stop(n).await.success());
        cluster.replace_binary(n, Build::NextEdition);
        cluster.start(n);
        cluster.ready().await;
    }
    for n in 0..2 {
        until("both to be ready for the new one", PATIENCE, || async {
            (cluster.status(n).await?.environments.len() == 2).then_some(())
        })
        .await;
    }
    go_on(&cluster).await;
    assert_eq!(environment(&cluster, 0).await, old);
    cluster.start(2);
    cluster.ready().await;
    go_on(&cluster).await;
    assert_eq!(environment(&cluster, 2).await, old, "a member that has only the old one serves on");
    upgrade(&mut cluster, 2).await;
    went_on_from(&cluster, &old).await;
    let records = writers.stop().await;
    check(&read_all(&cluster.client().await).await, &records);
    cluster.assert_equal_digests().await;
}
