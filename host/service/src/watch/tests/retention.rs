//! Leaders compact the events of spaces to their retention: by count, bytes and age, in their own
//! term, and no more often than they must.
use std::time::Duration;

use synod_abi::Revision;
use synod_machine::events::EventLog;
use synod_machine::{Action, Caller, EventRetention};

use crate::RetentionChange;
use crate::failure::Reason;
use crate::testing::cluster::{Cluster, Mood, TIMEOUT};
use crate::testing::oracle::Oracle;

fn keep(cluster: &mut Cluster, change: RetentionChange) -> EventLog {
    let member = cluster.member(2);
    cluster
        .wait(async move { member.set_event_retention("counter", change, Caller::default(), TIMEOUT).await })
        .expect("set")
}

fn log(cluster: &Cluster) -> EventLog {
    Oracle::of(cluster).log("counter")
}

fn compactions(cluster: &Cluster) -> usize {
    let commands = cluster.committed().into_iter().flat_map(|entry| entry.commands);
    commands.filter(|command| matches!(command.action, Action::CompactEvents { .. })).count()
}

#[test]
fn by_count_whole_revisions_go_and_steady_writing_costs_one_compaction_a_second() {
    let mut cluster = Cluster::ready(2);
    let retention =
        keep(&mut cluster, RetentionChange { events: Some(100), ..RetentionChange::default() }).retention;
    assert_eq!(retention, EventRetention { events: 100, ..EventRetention::default() });
    let mut last = Revision(0);
    for _ in 0..1_000 {
        last = cluster.emit(1, "counter", &["a", "b", "c"], 5);
        cluster.advance(Duration::from_millis(5));
    }
    let before = compactions(&cluster);
    assert!((2..=7).contains(&before), "{before}");
    cluster.advance(Duration::from_secs(2));
    let log = log(&cluster);
    assert_eq!((log.events, log.last), (99, last));
    let oracle = Oracle::of(&cluster);
    let kept = oracle.matching(&synod_abi::TopicFilter::all(), log.compacted);
    assert_eq!(kept.len(), 99);
    let now = compactions(&cluster);
    cluster.advance(Duration::from_secs(3_600));
    assert_eq!(compactions(&cluster), now, "nothing is proposed when there is nothing to do");
}

#[test]
fn by_bytes_and_to_nothing_at_all() {
    let mut cluster = Cluster::ready(2);
    for _ in 0..200 {
        cluster.emit(1, "counter", &["a"], 1_000);
    }
    keep(&mut cluster, RetentionChange { bytes: Some(50_000), ..RetentionChange::default() });
    cluster.advance(Duration::from_secs(2));
    let kept = log(&cluster);
    assert!(kept.bytes <= 50_000 && kept.bytes > 48_000, "{kept:?}");
    keep(&mut cluster, RetentionChange { events: Some(0), ..RetentionChange::default() });
    cluster.advance(Duration::from_secs(2));
    let kept = log(&cluster);
    assert_eq!((kept.events, kept.bytes, kept.compacted, kept.oldest_at), (0, 0, kept.last, None));
}

#[test]
fn many_events_go_in_as_many_commands_as_it_takes_without_waiting() {
    let mut cluster = Cluster::ready(2);
    let topics = ["a"; 1_000];
    for _ in 0..20 {
        cluster.emit(1, "counter", &topics, 0);
    }
    keep(&mut cluster, RetentionChange { events: Some(10), ..RetentionChange::default() });
    cluster.advance(Duration::from_millis(1_100));
    assert_eq!(log(&cluster).events, 0);
    assert!(compactions(&cluster) <= 8, "{}", compactions(&cluster));
}

#[test]
fn by_age_of_cluster_time_through_changes_of_leaders_and_restarts() {
    let mut cluster = Cluster::ready(3);
    keep(&mut cluster, RetentionChange { age_ms: Some(60_000), ..RetentionChange::default() });
    cluster.emit(1, "counter", &["a"], 0);
    cluster.advance(Duration::from_secs(30));
    let later = cluster.emit(1, "counter", &["b"], 0);
    cluster.advance(Duration::from_secs(29));
    assert_eq!(log(&cluster).events, 2);
    cluster.elect(2);
    cluster.restart(1);
    cluster.advance(Duration::from_secs(3));
    let kept = log(&cluster);
    assert_eq!((kept.events, kept.compacted.0), (1, later.0 - 1));
    cluster.elect(1);
    cluster.advance(Duration::from_secs(27));
    assert_eq!(log(&cluster).events, 1);
    cluster.advance(Duration::from_secs(3));
    assert_eq!(log(&cluster).events, 0);
    cluster.assert_members_agree();
}

#[test]
fn what_a_deposed_leader_decided_is_not_appended_later_and_the_next_one_decides_again() {
    let mut cluster = Cluster::ready(3);
    for _ in 0..20 {
        cluster.emit(1, "counter", &["a"], 0);
    }
    keep(&mut cluster, RetentionChange { events: Some(5), ..RetentionChange::default() });
    cluster.advance(Duration::from_secs(2));
    assert_eq!(log(&cluster).events, 5);
    let before = compactions(&cluster);
    cluster.hold_commits(true);
    let _pending: Vec<_> = (0..5).map(|_| cluster.start_emit(1, "counter", &["a"], 0)).collect();
    cluster.run();
    cluster.mood(Mood::Refuse);
    cluster.hold_commits(false);
    cluster.advance(Duration::from_secs(3));
    assert_eq!(
        (log(&cluster).events, compactions(&cluster)),
        (10, before),
        "the leader's proposals are refused"
    );
    cluster.mood(Mood::Accept);
    cluster.elect(3);
    cluster.advance(Duration::from_secs(3));
    assert_eq!(log(&cluster).events, 5);
    assert_eq!(cluster.member(1).proposer().stats().waiting, 0);
    cluster.assert_members_agree();
}

#[test]
fn retention_out_of_bounds_is_refused() {
    let mut cluster = Cluster::ready(2);
    let member = cluster.member(1);
    let change = RetentionChange { age_ms: Some(1), ..RetentionChange::default() };
    let refused = cluster
        .wait(async move { member.set_event_retention("counter", change, Caller::default(), TIMEOUT).await });
    let Err(crate::CallFailure::Rejected(rejected)) = refused else { panic!("not rejected") };
    assert_eq!(rejected.reason, Reason::RetentionOutOfBounds);
}
