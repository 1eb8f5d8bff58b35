//! Members whose clocks are wrong: what becomes of cluster time, who may lead, what is reported.
use std::time::Duration;

use synod_machine::Caller;

use crate::availability::Problem;
use crate::clocks::OwnClocks;
use crate::testing::client::args;
use crate::testing::cluster::{Cluster, TIMEOUT, look};
use crate::testing::sim::WALL_MS;

const DAY_MS: i64 = 86_400_000;
const YEAR_MS: i64 = 365 * DAY_MS;
/// How long members take to learn what is wrong with their clocks.
const NOTICED: Duration = Duration::from_secs(8);
/// How long a reading of a clock is believed, and more.
const STALE: Duration = Duration::from_secs(12);

/// Three members that measure one another's clocks; member 1 leads.
fn measuring() -> Cluster {
    let mut cluster = Cluster::ready(3);
    cluster.measure_clocks();
    cluster.elect(1);
    cluster
}

/// How far cluster time is ahead of the right time, in milliseconds: the stamp of a call now.
fn ahead_ms(cluster: &mut Cluster, number: u64) -> i64 {
    let member = cluster.member(number);
    let called = cluster.wait(async move {
        member.call("counter", "add", args("add", "k", 1), Caller::default(), TIMEOUT).await
    });
    let right = WALL_MS + cluster.sim.elapsed().as_millis() as u64;
    called.expect("it is called").time.0 as i64 - right as i64
}

fn problem(cluster: &Cluster, number: u64) -> Option<Problem> {
    let standing = cluster.member(number).standing().get();
    [Problem::WallClock, Problem::ClockRate].into_iter().find(|problem| standing.has(*problem))
}

fn own(cluster: &Cluster, number: u64) -> OwnClocks {
    cluster.member(number).own_clocks()
}

#[test]
fn a_leader_whose_wall_clock_is_wrong_moves_nothing_keeps_its_place_and_reports_it() {
    for offset in [2 * DAY_MS, 40 * YEAR_MS, -2 * DAY_MS, -40 * YEAR_MS] {
        let mut cluster = Cluster::ready(3);
        cluster.node_sim(3).set_wall_clock(offset);
        cluster.measure_clocks();
        cluster.elect(3);
        assert_eq!(ahead_ms(&mut cluster, 1), 0);
        cluster.advance(NOTICED);
        assert_eq!(ahead_ms(&mut cluster, 2), 0);
        assert_eq!((problem(&cluster, 3), problem(&cluster, 1)), (Some(Problem::WallClock), None));
        assert_eq!((own(&cluster, 3).offset_ms, own(&cluster, 1).offset_ms), (Some(offset), Some(0)));
        assert!(cluster.member(3).standing().get().may_lead());
        cluster.elect(1);
        assert_eq!(ahead_ms(&mut cluster, 3), 0);
    }
}

#[test]
fn a_wall_clock_that_jumps_while_its_member_leads_moves_nothing() {
    let mut cluster = measuring();
    for offset in [2 * DAY_MS, -40 * YEAR_MS, 3_600_000, 0] {
        cluster.node_sim(1).set_wall_clock(offset);
        assert_eq!(ahead_ms(&mut cluster, 1), 0, "{offset}");
        cluster.advance(NOTICED);
        assert_eq!(ahead_ms(&mut cluster, 1), 0, "{offset}");
        assert_eq!(problem(&cluster, 1), (offset != 0).then_some(Problem::WallClock));
    }
}

#[test]
fn two_wrong_clocks_of_three_move_time_and_it_is_right_again_without_going_back() {
    let mut cluster = measuring();
    let hour = 3_600_000;
    assert_eq!(ahead_ms(&mut cluster, 1), 0);
    cluster.node_sim(1).set_wall_clock(hour);
    cluster.node_sim(2).set_wall_clock(hour);
    cluster.advance(Duration::from_secs(10));
    let slewed = ahead_ms(&mut cluster, 1);
    assert!((1_000..=11_000).contains(&slewed), "a leader approaches the clocks: {slewed}");
    cluster.elect(2);
    assert_eq!(ahead_ms(&mut cluster, 1), hour, "a new leader begins at them");
    assert_eq!((problem(&cluster, 1), problem(&cluster, 3)), (None, Some(Problem::WallClock)));
    cluster.node_sim(1).set_wall_clock(0);
    cluster.node_sim(2).set_wall_clock(0);
    cluster.advance(Duration::from_secs(2));
    let before = ahead_ms(&mut cluster, 3);
    cluster.advance(Duration::from_secs(100));
    let after = ahead_ms(&mut cluster, 3);
    assert!((before - after).abs_diff(50_000) < 100, "it runs at half of its rate: {before}, {after}");
    cluster.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(ahead_ms(&mut cluster, 3), 0);
}

#[test]
fn a_member_whose_monotonic_clock_runs_wrong_may_not_lead_and_leads_rightly_until_another_does() {
    for percent in [200, 50] {
        let cluster = Cluster::new(3);
        cluster.node_sim(1).set_speed(percent);
        let mut cluster = cluster.formed();
        cluster.measure_clocks();
        cluster.elect(1);
        cluster.advance(NOTICED);
        assert_eq!(problem(&cluster, 1), Some(Problem::ClockRate), "{percent}");
        assert!(!cluster.member(1).standing().get().may_lead());
        assert_eq!((problem(&cluster, 2), problem(&cluster, 3)), (None, None));
        let wrong = ahead_ms(&mut cluster, 1);
        assert!(wrong.abs() <= 2_000, "{wrong} ms at {percent} percent");
        cluster.elect(2);
        cluster.advance(STALE);
        assert_eq!(problem(&cluster, 1), Some(Problem::ClockRate), "it may not be elected either");
    }
}

#[test]
fn without_a_majority_of_clocks_time_goes_on_from_the_last_stamp() {
    let mut cluster = measuring();
    assert_eq!(ahead_ms(&mut cluster, 1), 0);
    cluster.node_sim(1).set_wall_clock(2 * DAY_MS);
    for number in [2, 3] {
        cluster.stop_tasks(number, true);
    }
    cluster.advance(STALE);
    assert_eq!((own(&cluster, 1).offset_ms, ahead_ms(&mut cluster, 1)), (None, 0), "the leader goes on");
    cluster.elect(1);
    assert_eq!(ahead_ms(&mut cluster, 1), 0, "a new term begins where the last one was");
    for number in [2, 3] {
        cluster.stop_tasks(number, false);
    }
    cluster.advance(NOTICED);
    assert_eq!((own(&cluster, 1).offset_ms, ahead_ms(&mut cluster, 1)), (Some(2 * DAY_MS), 0));
}

#[test]
fn a_cluster_that_was_down_goes_on_at_the_present_time_when_the_first_clocks_are_known() {
    let mut cluster = measuring();
    let down = Duration::from_secs(3 * 3_600);
    cluster.depose();
    for number in 1..=3 {
        cluster.stop_tasks(number, true);
    }
    cluster.advance(down);
    for number in 1..=3 {
        cluster.restart(number);
    }
    cluster.measure_clocks();
    cluster.elect(2);
    assert_eq!(ahead_ms(&mut cluster, 2), 0);
}

#[test]
fn a_new_leader_that_knows_no_clocks_yet_waits_for_them_for_a_moment() {
    let mut cluster = measuring();
    cluster.restart(1);
    cluster.member(1).clocks().set_voters(Default::default());
    cluster.elect(1);
    let mut add = cluster.start_add(1, "k", 1);
    cluster.run();
    assert_eq!(look(&mut add), None, "its own clock is no majority");
    cluster.measure_clocks();
    assert!(look(&mut add).expect("an answer").is_ok());
    assert_eq!(ahead_ms(&mut cluster, 1), 0);
}
