//! Compacting the log, and bringing members up to date that need what it does not hold any more.
use std::sync::atomic::Ordering;
use std::time::Duration;

use synod_abi::MemberId;

use super::cluster::{Cluster, eventually};
use super::disk::{Disk, InMemory, OnDisk};
use crate::{Blocking, ChangeError, MemberInfo, Settings};

/// The pace of a load that leaves the members time for everything else.
const WRITE_EVERY: Duration = Duration::from_millis(8);

/// Settings with which a handful of entries compact the log to nearly nothing.
fn short_log() -> Settings {
    Settings { compaction_entries: 20, log_entries_to_keep: 2, purge_batch_entries: 1, ..Settings::default() }
}

async fn fill<D: Disk>(cluster: &Cluster<D>, from: u32, to: u32) {
    for number in from..to {
        cluster.write(&format!("{number:04}")).await;
    }
}

fn numbers(to: u32) -> Vec<String> {
    (0..to).map(|number| format!("{number:04}")).collect()
}

async fn purged_beyond<D: Disk>(cluster: &Cluster<D>, index: u64) {
    let leader = cluster.leader().await;
    eventually("the log is compacted", || leader.status().purged.filter(|purged| purged.index > index)).await;
}

async fn catches_up_a_member_that_was_away<D: Disk>() {
    let mut cluster = Cluster::<D>::of_three(short_log()).await;
    let seen = cluster.write("0000").await;
    cluster.applied_everywhere(seen).await;
    let away = MemberId(cluster.leader().await.id().0 % 3 + 1);
    cluster.stop(away).await;
    fill(&cluster, 1, 100).await;
    purged_beyond(&cluster, seen.index + 10).await;
    cluster.start(away).await;
    let last = cluster.write("0100").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(away), numbers(101));
    assert!(cluster.hub.snapshots_sent.load(Ordering::SeqCst) > 0);
    assert!(
        cluster.appliers[&away].restored.load(Ordering::SeqCst) > 0,
        "the applier is told to read its state again"
    );
    cluster.stop(away).await;
    cluster.start(away).await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(away), numbers(101), "what was installed is still there after a restart");
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_member_catches_up_by_snapshot() {
    catches_up_a_member_that_was_away::<InMemory>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_member_on_rocksdb_catches_up_by_snapshot() {
    catches_up_a_member_that_was_away::<OnDisk>().await;
}

async fn catches_up_an_empty_member<D: Disk>() {
    let mut cluster = Cluster::<D>::new(3, short_log());
    cluster.start(MemberId(1)).await;
    cluster.start(MemberId(2)).await;
    cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
    fill(&cluster, 0, 100).await;
    purged_beyond(&cluster, 10).await;
    cluster.start(MemberId(3)).await;
    let last = cluster.write("0100").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(MemberId(3)), numbers(101));
    assert_eq!(cluster.raft(MemberId(3)).status().voters, cluster.all_members());
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_member_catches_up_by_snapshot() {
    catches_up_an_empty_member::<InMemory>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_member_on_rocksdb_catches_up_by_snapshot() {
    catches_up_an_empty_member::<OnDisk>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_damaged_on_the_way_is_sent_again() {
    let mut cluster = Cluster::<InMemory>::new(3, Settings { blocking: Blocking::Inline, ..short_log() });
    cluster.start(MemberId(1)).await;
    cluster.start(MemberId(2)).await;
    cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
    fill(&cluster, 0, 60).await;
    purged_beyond(&cluster, 10).await;
    cluster.hub.damage_next_snapshot.store(true, Ordering::SeqCst);
    cluster.start(MemberId(3)).await;
    let last = cluster.write("0060").await;
    cluster.applied_everywhere(last).await;
    assert!(cluster.hub.snapshots_sent.load(Ordering::SeqCst) >= 2);
    assert_eq!(cluster.rows(MemberId(3)), numbers(61));
    assert!(cluster.raft(MemberId(3)).is_running());
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_breaks_off_or_is_no_state_is_sent_again() {
    let mut cluster = Cluster::<OnDisk>::of_three(short_log()).await;
    let seen = cluster.write("0000").await;
    cluster.applied_everywhere(seen).await;
    let away = MemberId(cluster.leader().await.id().0 % 3 + 1);
    for (round, broken) in [1, 2, 3, usize::MAX].into_iter().enumerate() {
        let from = 1 + 60 * round as u32;
        cluster.stop(away).await;
        fill(&cluster, from, from + 60).await;
        purged_beyond(&cluster, u64::from(from) + 10).await;
        cluster.hub.snapshots_sent.store(0, Ordering::SeqCst);
        cluster.hub.break_next_snapshot.store(broken, Ordering::SeqCst);
        cluster.start(away).await;
        cluster.appliers[&away].unlike.store(broken == usize::MAX, Ordering::SeqCst);
        let leader = cluster.leader().await;
        let last = leader.status().last_log_index;
        let caught_up = || leader.status().peers?.get(&away)?.matched.filter(|at| Some(at.index) >= last);
        eventually("the member has caught up, as its leader knows", caught_up).await;
        cluster.raft(away).wait_applied(last.unwrap()).await.unwrap();
        assert_eq!(cluster.rows(away), numbers(from + 60));
        assert!(cluster.hub.snapshots_sent.load(Ordering::SeqCst) >= 2, "{broken}");
    }
    cluster.shut_down().await;
}

/// A cluster whose third member is being sent a snapshot that does not pass, and how far its leader
/// had purged the log then.
async fn sending(settings: Settings) -> (Cluster<InMemory>, u64) {
    let mut cluster = Cluster::<InMemory>::new(3, settings);
    cluster.start(MemberId(1)).await;
    cluster.start(MemberId(2)).await;
    cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
    fill(&cluster, 0, 100).await;
    purged_beyond(&cluster, 10).await;
    cluster.hub.snapshots_pass.send_replace(false);
    cluster.start(MemberId(3)).await;
    let sent = || Some(()).filter(|()| cluster.hub.snapshots_sent.load(Ordering::SeqCst) > 0);
    eventually("a snapshot is sent", sent).await;
    let purged = cluster.leader().await.status().purged.unwrap().index;
    (cluster, purged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_for_who_receives_a_snapshot_and_one_is_enough() {
    let (cluster, _) = sending(short_log()).await;
    fill(&cluster, 100, 400).await;
    let leader = cluster.leader().await;
    let moved = || leader.status().snapshot.filter(|snapshot| snapshot.index > 380);
    eventually("all of it might go", moved).await;
    cluster.hub.snapshots_pass.send_replace(true);
    let last = cluster.write("0400").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.hub.snapshots_sent.load(Ordering::SeqCst), 1);
    assert_eq!(cluster.rows(MemberId(3)), numbers(401));
    purged_beyond(&cluster, 380).await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_its_limit_the_log_goes_and_a_receiver_gets_a_newer_snapshot() {
    let settings = Settings { compaction_bytes: 64 * 1_024, log_limit_bytes: 256 * 1_024, ..short_log() };
    let (cluster, purged) = sending(settings).await;
    let long = "x".repeat(4_096);
    while cluster.leader().await.status().purged.unwrap().index < purged + 100 {
        cluster.write(&long).await;
    }
    let sent = || Some(()).filter(|()| cluster.hub.snapshots_sent.load(Ordering::SeqCst) > 1);
    eventually("a newer snapshot is sent", sent).await;
    cluster.hub.snapshots_pass.send_replace(true);
    let last = cluster.write("last").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(MemberId(3)), cluster.rows(MemberId(1)));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_takes_its_time_gets_a_newer_snapshot_before_it_has_all_of_one() {
    let settings = Settings { compaction_bytes: 64 * 1_024, log_limit_bytes: 256 * 1_024, ..short_log() };
    let mut cluster = Cluster::<OnDisk>::new(3, settings);
    cluster.start(MemberId(1)).await;
    cluster.start(MemberId(2)).await;
    cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
    fill(&cluster, 0, 100).await;
    purged_beyond(&cluster, 10).await;
    cluster.slow(MemberId(3), 900);
    cluster.start(MemberId(3)).await;
    let sent = |count| cluster.hub.snapshots_sent.load(Ordering::SeqCst).ge(&count).then_some(());
    eventually("a snapshot is sent", || sent(1)).await;
    let long = "x".repeat(4_096);
    for _ in 0..150 {
        cluster.write(&long).await;
    }
    eventually("a newer snapshot is sent", || sent(2)).await;
    let restored = cluster.appliers[&MemberId(3)].restored.load(Ordering::SeqCst);
    assert_eq!(restored, 0, "the first one was of no use any more");
    cluster.slow(MemberId(3), 0);
    let last = cluster.write("last").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(MemberId(3)), cluster.rows(MemberId(1)));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_follower_never_grows_the_log_beyond_its_limit() {
    let settings = Settings {
        compaction_bytes: 64 * 1_024,
        log_limit_bytes: 256 * 1_024,
        replication_batch_entries: 2,
        log_entries_to_keep: 20,
        ..short_log()
    };
    let mut cluster = Cluster::<InMemory>::of_three(settings).await;
    let slow = MemberId(cluster.leader().await.id().0 % 3 + 1);
    cluster.stop(slow).await;
    cluster.slow(slow, 200);
    cluster.start(slow).await;
    let long = "x".repeat(4_096);
    let (mut longest, mut overtaken) = (0, 0);
    let mut pace = tokio::time::interval(WRITE_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for _ in 0..600 {
        pace.tick().await;
        cluster.write(&long).await;
        let leader = cluster.leader().await;
        let kept = || {
            let status = leader.status();
            let purged = status.purged.map_or(0, |id| id.index);
            (purged, status.last_log_index.unwrap() - purged)
        };
        longest = longest.max(kept().1);
        let (purged, _) =
            eventually("64 entries for 256 KiB stay, and what was written since the last look", || {
                Some(kept()).filter(|(_, kept)| *kept < 64 + 32)
            })
            .await;
        overtaken += u64::from(purged > cluster.raft(slow).status().last_log_index.unwrap_or(0));
    }
    assert!(longest > 45, "the log is kept for a slow follower: {longest} entries at most");
    assert!(overtaken > 0, "the log is not kept until the slow follower has it");
    cluster.slow(slow, 0);
    let last = cluster.write("last").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(slow).len(), 601);
    assert!(cluster.hub.snapshots_sent.load(Ordering::SeqCst) > 0);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_long_entries_compact_the_log_too() {
    let settings = Settings { compaction_bytes: 64 * 1_024, ..Settings::default() };
    let cluster = Cluster::<InMemory>::of_three(settings).await;
    let long = "x".repeat(16 * 1_024);
    for _ in 0..40 {
        cluster.write(&long).await;
    }
    for id in [1, 2, 3] {
        let raft = cluster.raft(MemberId(id));
        let status = eventually("the log is compacted", || {
            Some(raft.status()).filter(|status| status.purged.is_some())
        })
        .await;
        let kept = status.last_log_index.unwrap() - status.purged.unwrap().index;
        assert!(kept >= 4, "{kept} entries are fewer than the newest 64 KiB");
    }
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacting_on_request_keeps_what_is_to_be_kept() {
    let settings = Settings { log_entries_to_keep: 10, purge_batch_entries: 1, ..Settings::default() };
    let cluster = Cluster::<InMemory>::of_three(settings).await;
    fill(&cluster, 0, 50).await;
    let leader = cluster.leader().await;
    let last = leader.status().last_log_index.unwrap();
    leader.wait_applied(last).await.unwrap();
    leader.trigger_snapshot().await.unwrap();
    let status =
        eventually("the log is compacted", || Some(leader.status()).filter(|status| status.purged.is_some()))
            .await;
    let (snapshot, purged) = (status.snapshot.unwrap(), status.purged.unwrap());
    assert!(snapshot.index >= last);
    assert_eq!(purged.index, snapshot.index - 10);
    leader.purge(snapshot.index - 3).await.unwrap();
    eventually("it is purged to where it was asked to", || {
        leader.status().purged.filter(|purged| purged.index == snapshot.index - 3)
    })
    .await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_member_is_replaced_by_one_that_counts_once_it_has_caught_up() {
    let mut cluster = Cluster::<InMemory>::of_three(short_log()).await;
    fill(&cluster, 0, 60).await;
    let lost = MemberId(cluster.leader().await.id().0 % 3 + 1);
    cluster.stop(lost).await;
    let new = MemberId(77);
    cluster.disks.insert(new, InMemory::blank());
    cluster.start(new).await;
    let leader = cluster.leader().await;
    let info = MemberInfo { name: "new".into(), ..MemberInfo::default() };
    leader.add_learner(new, info.clone(), Vec::new()).await.unwrap();
    assert_eq!(leader.replace_voter(MemberId(9), new).await, Err(ChangeError::NotAMember(MemberId(9))));
    let caught_up = || leader.status().peers?.get(&new)?.matched.filter(|matched| matched.index >= 60);
    eventually("the new member catches up", caught_up).await;
    leader.replace_voter(lost, new).await.unwrap();
    let last = cluster.write("0060").await;
    cluster.raft(new).wait_applied(last.index).await.unwrap();
    assert_eq!(cluster.rows(new), numbers(61));
    let status = leader.status();
    assert_eq!(status.voters.get(&new), Some(&info));
    assert!(!status.voters.contains_key(&lost) && status.learners.is_empty() && !status.is_changing);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_members_are_called_and_where_they_are_is_committed() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let leader = cluster.leader().await;
    let follower = MemberId(leader.id().0 % 3 + 1);
    let moved = MemberInfo { peer_address: "elsewhere:1".into(), ..MemberInfo::default() };
    assert!(matches!(
        cluster.raft(follower).set_member(follower, moved.clone()).await,
        Err(ChangeError::NotLeader { .. })
    ));
    leader.set_member(follower, moved.clone()).await.unwrap();
    assert_eq!(
        leader.set_member(MemberId(9), moved.clone()).await,
        Err(ChangeError::NotAMember(MemberId(9)))
    );
    eventually("the member knows where it is", || {
        cluster.raft(follower).status().voters.get(&follower).filter(|info| **info == moved).cloned()
    })
    .await;
    cluster.shut_down().await;
}
