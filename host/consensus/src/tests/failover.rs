//! Electing a leader in place of one that is known to have ended. Election time-outs are longer
//! here than tests wait.
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use synod_abi::MemberId;

use super::cluster::{Cluster, TestRaft, within};
use super::disk::InMemory;
use crate::{Role, Settings};

/// Less than any election time-out here, and far more than a failover takes.
const LONG: Duration = Duration::from_secs(15);

fn patient() -> Settings {
    Settings {
        election_timeout_min_ms: 1_000,
        election_timeout_max_ms: 20_000,
        quorum_loss_probe_interval_ms: 60_000,
        replication_idle_timeout_ms: 30_000,
        ..Settings::default()
    }
}

async fn of(members: u64) -> Cluster<InMemory> {
    let mut cluster = Cluster::new(members, patient());
    for id in 1..=members {
        cluster.start(MemberId(id)).await;
    }
    cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
    let last = cluster.write("a").await;
    cluster.applied_everywhere(last).await;
    cluster
}

fn others(cluster: &Cluster<InMemory>, lost: MemberId) -> Vec<TestRaft<InMemory>> {
    cluster.disks.keys().filter(|id| **id != lost).map(|id| cluster.raft(*id)).collect()
}

/// Ends the leader and tells these of the others.
async fn end_leader(cluster: &mut Cluster<InMemory>, told: &[TestRaft<InMemory>]) {
    let leader = cluster.leader().await;
    let (id, term) = (leader.id(), leader.term_state().term);
    drop(leader);
    cluster.stop(id).await;
    within("all have done what they can", try_join_all(told.iter().map(|raft| raft.leader_ended(id, term))))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ended_is_replaced_before_any_election_time_out() {
    for members in [3, 5] {
        let mut cluster = of(members).await;
        let told = others(&cluster, cluster.leader().await.id());
        let begun = Instant::now();
        end_leader(&mut cluster, &told).await;
        cluster.write("b").await;
        assert!(begun.elapsed() < LONG, "{members} members: {:?}", begun.elapsed());
        drop(told);
        cluster.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_has_all_entries_is_elected_although_others_have_their_turns_before_it() {
    let mut cluster = of(5).await;
    let lost = cluster.leader().await.id();
    let told = others(&cluster, lost);
    let behind = [told[0].id(), told[1].id()];
    behind.iter().for_each(|id| cluster.cut(*id));
    let written = cluster.write("b").await;
    let begun = Instant::now();
    let term = cluster.leader().await.term_state().term;
    cluster.stop(lost).await;
    behind.iter().for_each(|id| cluster.heal(*id));
    within(
        "all have done what they can",
        try_join_all(told.iter().map(|raft| raft.leader_ended(lost, term))),
    )
    .await
    .unwrap();
    let next = cluster.leader().await;
    assert!(!behind.contains(&next.id()));
    cluster.applied_everywhere(written).await;
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    drop((told, next));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_does_not_stand_gives_its_vote_at_once() {
    let mut cluster = of(3).await;
    let told = others(&cluster, cluster.leader().await.id());
    told[0].stand(false);
    let begun = Instant::now();
    end_leader(&mut cluster, &told).await;
    assert_eq!(cluster.leader().await.id(), told[1].id());
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    drop(told);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_that_is_mistaken_disturbs_nobody() {
    let cluster = of(3).await;
    let leader = cluster.leader().await;
    let before = leader.term_state();
    let mistaken = others(&cluster, leader.id()).remove(0);
    within("it has done what it can", mistaken.leader_ended(leader.id(), before.term)).await.unwrap();
    assert_eq!(leader.term_state(), before);
    assert_eq!(mistaken.term_state().leader, Some(leader.id()));
    let last = cluster.write("b").await;
    cluster.applied_everywhere(last).await;
    drop((leader, mistaken));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_another_leader_or_of_an_older_term_is_no_news() {
    let cluster = of(3).await;
    let leader = cluster.leader().await;
    let before = leader.term_state();
    for raft in others(&cluster, leader.id()) {
        let begun = Instant::now();
        raft.leader_ended(MemberId(9), before.term).await.unwrap();
        raft.leader_ended(leader.id(), before.term - 1).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(patient().election_timeout_min_ms));
    }
    leader.leader_ended(leader.id(), before.term).await.unwrap();
    assert_eq!(leader.term_state(), before);
    assert_eq!(before.role, Role::Leader { established: true });
    drop(leader);
    cluster.shut_down().await;
}
