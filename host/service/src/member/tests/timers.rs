//! Timers: fired by the leader's ticks, in order, never before their time, and by whoever leads
//! then.
use std::time::Duration;

use synod_machine::Action;

use crate::failure::Value;
use crate::testing::cluster::{Cluster, Mood, look};
use crate::testing::recipe::FIRED;
use crate::testing::sim::WALL_MS;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn set(cluster: &mut Cluster, name: &str, at: u64) {
    let mut pending = cluster.start_plain(1, ("alarm", name, at));
    cluster.run();
    assert!(matches!(look(&mut pending).expect("an answer").expect("set").value, Value::Json(_)));
}

/// What has fired on `member`, and when by cluster time.
fn fired(cluster: &Cluster, member: u64) -> Vec<(String, u64)> {
    cluster.row(member, FIRED).map_or_else(Vec::new, |row| synod_abi::decode(&row).expect("a list"))
}

fn names(cluster: &Cluster, member: u64) -> Vec<String> {
    fired(cluster, member).into_iter().map(|(name, _)| name).collect()
}

fn ticks(cluster: &Cluster) -> usize {
    cluster
        .committed()
        .iter()
        .flat_map(|entry| &entry.commands)
        .filter(|command| command.action == Action::Tick)
        .count()
}

#[test]
fn timers_fire_in_order_and_never_early() {
    let mut cluster = Cluster::ready(3);
    for (name, after) in [("b", 2_000), ("c", 2_000), ("d", 9_000), ("a", 1_500)] {
        set(&mut cluster, name, WALL_MS + after);
    }
    set(&mut cluster, "past", 1);
    cluster.run();
    assert_eq!(names(&cluster, 3), [""; 0]);
    cluster.advance(ms(1));
    assert_eq!(names(&cluster, 3), ["past"]);
    cluster.advance(ms(1_498));
    assert_eq!(names(&cluster, 3), ["past"]);
    cluster.advance(ms(1));
    assert_eq!(names(&cluster, 3), ["past", "a"]);
    cluster.advance(ms(60_000));
    assert_eq!(names(&cluster, 3), ["past", "a", "b", "c", "d"]);
    let due = [WALL_MS + 1, WALL_MS + 1_500, WALL_MS + 2_000, WALL_MS + 2_000, WALL_MS + 9_000];
    assert!(fired(&cluster, 3).iter().zip(due).all(|((_, at), due)| *at >= due && *at <= due + 1));
    assert_eq!(ticks(&cluster), 4);
    assert_eq!(cluster.head(2).counts.timers, 0);
    cluster.assert_members_agree();
}

#[test]
fn timers_fire_after_a_change_of_leaders_and_on_a_leader_that_had_a_snapshot() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(2, true);
    for (name, after) in [("a", 1_000), ("b", 5_000), ("c", 9_000)] {
        set(&mut cluster, name, WALL_MS + after);
    }
    cluster.advance(ms(2_000));
    cluster.hold_apply(2, false);
    cluster.install_snapshot(1, 2);
    cluster.elect(2);
    cluster.advance(ms(2_999));
    assert_eq!(names(&cluster, 3), ["a"]);
    cluster.advance(ms(1));
    assert_eq!(names(&cluster, 3), ["a", "b"]);
    cluster.depose();
    cluster.advance(ms(20_000));
    assert_eq!(names(&cluster, 3), ["a", "b"]);
    cluster.elect(1);
    cluster.run();
    assert_eq!(names(&cluster, 3), ["a", "b", "c"]);
    cluster.assert_members_agree();
}

#[test]
fn many_timers_that_are_due_at_once_fire_in_as_many_ticks_as_it_takes() {
    let mut cluster = Cluster::ready(2);
    let count = 2 * synod_abi::limits::TICK_TIMERS + 1;
    let mut pending: Vec<_> = (0..count)
        .map(|number| cluster.start_plain(2, ("alarm", &format!("{number:04}"), WALL_MS + 1_000)))
        .collect();
    cluster.run();
    assert!(pending.iter_mut().all(|one| look(one).is_some_and(|answer| answer.is_ok())));
    cluster.advance(ms(1_000));
    let expected: Vec<_> = (0..count).map(|number| format!("{number:04}")).collect();
    assert_eq!(names(&cluster, 2), expected);
    assert_eq!(ticks(&cluster), 3);
}

#[test]
fn a_tick_of_a_deposed_leader_is_never_appended_later() {
    let mut cluster = Cluster::ready(2);
    set(&mut cluster, "a", WALL_MS + 1_000);
    cluster.mood(Mood::Refuse);
    cluster.advance(ms(1_500));
    cluster.mood(Mood::Accept);
    cluster.elect(2);
    cluster.advance(ms(5_000));
    assert_eq!((names(&cluster, 1), ticks(&cluster)), (vec!["a".to_owned()], 1));
    assert_eq!(cluster.member(1).proposer().stats().waiting, 0);
}

#[test]
fn timers_of_tomorrow_cost_nothing_while_idle() {
    let mut cluster = Cluster::ready(1);
    let tomorrow = WALL_MS + 86_400_000;
    let mut pending: Vec<_> =
        (0..10_000).map(|number| cluster.start_plain(1, ("alarm", "x", tomorrow + number))).collect();
    cluster.run();
    assert!(pending.iter_mut().all(|one| look(one).is_some_and(|answer| answer.is_ok())));
    let polls = cluster.sim.polls();
    cluster.advance(ms(3_600_000));
    assert!(cluster.sim.polls() - polls < 10, "{}", cluster.sim.polls() - polls);
    assert_eq!(ticks(&cluster), 0);
    assert_eq!(cluster.head(1).counts.timers, 10_000);
}
