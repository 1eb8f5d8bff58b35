//! What a session's requests cost when some of them are refused and leave no trace, so that those
//! behind them come back: sendings are counted, against a cluster that keeps the order and answers
//! after a while.
use std::collections::{BTreeSet, VecDeque};

use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;

use super::land::RECORDED;
use super::*;
use crate::core::{Backoff, Trouble};

const CALLS: u64 = MAX_RUNNING as u64;

/// For which reason the cluster refuses a request, with a number to choose.
type Rule = fn(u64, u64) -> Option<&'static str>;

/// Refused by a member that does not propose it.
const EARLY: &str = Reason::InvalidArguments.as_str();
/// Refused where it would have run.
const LATE: &str = "SOME_LIMIT";

/// The cluster: what ran and is not acknowledged.
struct Cluster {
    every: u64,
    refuse: Rule,
    room: usize,
    floor: u64,
    kept: BTreeSet<u64>,
}

impl Cluster {
    fn answer(&mut self, sending: &Sending) -> Landed {
        let floor = self.floor.max(sending.acknowledged_below);
        let failure = |kind: Kind, reason: &str| {
            Landed::Failed(Trouble::Answered(Box::new(Failure {
                kind: kind as i32,
                reason: reason.into(),
                ..Failure::default()
            })))
        };
        let refused = (self.refuse)(sending.id, self.every);
        if refused == Some(EARLY) {
            return failure(Kind::Rejected, EARLY);
        }
        if sending.after >= floor && !self.kept.contains(&sending.after) {
            return failure(Kind::Unavailable, Reason::OutOfOrder.as_str());
        }
        if self.kept.range(floor..).count() >= self.room {
            return failure(Kind::Rejected, Reason::TooManyOutcomes.as_str());
        }
        if refused == Some(LATE) {
            return failure(Kind::Rejected, LATE);
        }
        self.floor = floor;
        self.kept = self.kept.split_off(&floor);
        self.kept.insert(sending.id);
        refused.map_or(Landed::Result, |reason| failure(Kind::Rejected, reason))
    }
}

/// Sendings until all calls, made at once, are answered by such a cluster after `trip_ms` each.
fn sendings(refuse: Rule, every: u64, room: usize, trip_ms: u64) -> u64 {
    let policy = Policy { give_up_ms: u64::MAX, backoff: Backoff::default() };
    let mut requests = Requests::new(1, Patience { policy, attempt_ms: u64::MAX, silent_ms: u64::MAX });
    let mut cluster = Cluster { every, refuse, room, floor: 1, kept: BTreeSet::new() };
    (0..CALLS).for_each(|_| assert!(requests.add(0).is_ok()));
    requests.begin_round();
    let mut under_way: VecDeque<(u64, Sending)> = VecDeque::new();
    let (mut now_ms, mut count, mut answered) = (0, 0, 0);
    loop {
        while let Some(sending) = requests.next_to_send(now_ms) {
            count += 1;
            assert!(count < CALLS * CALLS, "{answered} of {CALLS} are answered: {requests:?}");
            under_way.push_back((now_ms + trip_ms, sending));
        }
        if answered == CALLS {
            return count;
        }
        let next_ms = under_way.front().map(|(at_ms, _)| *at_ms);
        now_ms = [next_ms, requests.wake_at(now_ms)]
            .into_iter()
            .flatten()
            .min()
            .expect("it stands still")
            .max(now_ms);
        let Some((_, sending)) = under_way.pop_front_if(|(at_ms, _)| *at_ms <= now_ms) else { continue };
        let landed = cluster.answer(&sending);
        match requests.landed(sending.id, sending.round, landed, now_ms, 0) {
            Step::Nothing => {}
            Step::Deliver => {
                requests.taken(sending.id);
                answered += 1;
            }
            Step::Fail(_) => answered += 1,
            step => panic!("{step:?}"),
        }
    }
}

/// Trips within the first pause, and many times longer.
const TRIPS_MS: [u64; 3] = [1, 30, 400];

#[test]
fn sendings_stay_in_proportion_however_many_are_refused_without_a_trace() {
    let rules: [(&str, Rule); 2] = [
        (EARLY, |id, every| id.is_multiple_of(every).then_some(EARLY)),
        (LATE, |id, every| id.is_multiple_of(every).then_some(LATE)),
    ];
    for every in [1, 2, 3, 5, 8, 20, 50, 100, 511] {
        for (reason, rule) in rules {
            for trip_ms in TRIPS_MS {
                let count = sendings(rule, every, MAX_PENDING, trip_ms);
                assert!(
                    count <= 4 * CALLS,
                    "1 of {every}: {reason}, {trip_ms} ms: {count} sendings for {CALLS} calls"
                );
            }
        }
    }
}

#[test]
fn sendings_stay_in_proportion_when_the_cluster_has_room_for_few_outcomes() {
    for room in [1, 2, 8, 100] {
        for trip_ms in TRIPS_MS {
            let count = sendings(|_, _| None, 1, room, trip_ms);
            assert!(count <= 4 * CALLS, "room for {room}, {trip_ms} ms: {count} sendings for {CALLS} calls");
        }
    }
}

#[test]
fn what_is_refused_and_recorded_costs_nothing_more() {
    for reason in RECORDED {
        let traced: Rule =
            |id, at| RECORDED.get(at as usize).filter(|_| id.is_multiple_of(2)).map(|reason| reason.as_str());
        let at = RECORDED.iter().position(|other| *other == reason).expect("it is one of them") as u64;
        assert_eq!(sendings(traced, at, MAX_PENDING, 30), CALLS, "{reason}");
    }
}
