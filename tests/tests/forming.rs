//! Forming a cluster: by exactly one member, whatever crashes at which step, and never out of two
//! lists.
//!
//! The short form dies once at each step. `make soak WHAT=forming` does it twenty times.
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;

/// Exit code of wrong usage.
const USAGE: i32 = 2;
/// Steps of the member that forms, at which it kills itself.
const STEPS_OF_FOUNDER: [&str; 6] =
    ["identity", "databases", "opened", "founder_promised", "all_promised", "initialized"];
/// The same of one of the others.
const STEPS_OF_OTHERS: [&str; 4] = ["identity", "databases", "opened", "promised"];

fn rounds() -> usize {
    if std::env::var_os("SYNOD_SOAK").is_some() { 20 } else { 1 }
}

async fn ends_with(cluster: &mut Cluster, member: usize, code: Option<i32>, words: &[&str]) {
    let status = cluster.exited(member).await;
    let log = cluster.log(member);
    assert_eq!(status.code(), code, "{log}");
    for word in words {
        assert!(log.contains(word), "`{word}` is not in: {log}");
    }
}

async fn logs(cluster: &Cluster, member: usize, words: &str) {
    until(&format!("member {member} to log `{words}`"), PATIENCE, || {
        std::future::ready(cluster.log(member).contains(words).then_some(()))
    })
    .await;
}

/// Forms a cluster of three whose `member` dies once at `step`.
async fn forms_although(member: usize, step: &str) {
    let mut cluster = Cluster::new(3, &["--bundled=false"]);
    (0..3).filter(|n| *n != member).for_each(|n| cluster.start(n));
    cluster.start_with(member, &["--crash-at", step]);
    ends_with(&mut cluster, member, None, &["dying, as --crash-at wants it"]).await;
    cluster.start(member);
    cluster.leader().await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_forms_whatever_step_its_founder_dies_at() {
    for _ in 0..rounds() {
        for step in STEPS_OF_FOUNDER {
            forms_although(0, step).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_forms_whatever_step_another_member_dies_at() {
    for _ in 0..rounds() {
        for step in STEPS_OF_OTHERS {
            forms_although(2, step).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_different_lists_are_refused_and_both_are_named() {
    let mut cluster = Cluster::new(3, &[]);
    let ours = cluster.peers();
    let theirs = format!("{ours},d=127.0.0.1:9");
    cluster.start(0);
    cluster.start_among(1, &theirs, &[]);
    let first = until("whoever hears of the other first to end", PATIENCE, || {
        std::future::ready((0..2).find(|n| !cluster.runs(*n)))
    })
    .await;
    ends_with(&mut cluster, first, Some(USAGE), &[&ours, &theirs]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promised_member_keeps_to_its_list() {
    let mut cluster = Cluster::new(3, &[]);
    cluster.start(1);
    cluster.start(2);
    cluster.start_with(0, &["--crash-at", "all_promised"]);
    ends_with(&mut cluster, 0, None, &[]).await;
    cluster.stop(1).await;
    let ours = cluster.peers();
    let theirs = format!("{ours},d=127.0.0.1:9");
    cluster.start_among(1, &theirs, &[]);
    ends_with(&mut cluster, 1, Some(USAGE), &["promised", &ours, &theirs]).await;
    cluster.start(1);
    cluster.start(0);
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_lost_its_folder_forms_no_second_cluster() {
    let mut cluster = Cluster::new(3, &[]);
    cluster.start(1);
    cluster.start(2);
    cluster.start_with(0, &["--crash-at", "all_promised"]);
    ends_with(&mut cluster, 0, None, &[]).await;
    cluster.wipe(0);
    cluster.start(0);
    ends_with(&mut cluster, 0, Some(USAGE), &["nothing was stored yet"]).await;
    for n in [1, 2] {
        cluster.stop(n).await;
        cluster.wipe(n);
    }
    cluster.wipe(0);
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_wiped_before_the_cluster_is_formed_takes_part_with_its_new_id() {
    let mut cluster = Cluster::new(3, &["--bundled=false"]);
    cluster.start(2);
    cluster.start(1);
    logs(&cluster, 1, "waiting for every member").await;
    cluster.kill(1);
    cluster.wipe(1);
    cluster.start(1);
    cluster.start(0);
    cluster.leader().await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_folder_does_not_take_the_place_of_a_member_unless_that_is_asked_for() {
    let mut cluster = Cluster::started(3, &[]).await;
    cluster.kill(0);
    cluster.wipe(0);
    cluster.start(0);
    ends_with(&mut cluster, 0, Some(USAGE), &["formed already", "--replace-lost"]).await;
}
