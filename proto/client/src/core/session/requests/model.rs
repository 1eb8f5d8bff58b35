//! The requests of a session against a model of the cluster, over a network that loses, delays and
//! breaks at random: whatever happens, calls run once and in order, answers reach their callers,
//! what was dropped is given back, and nothing is left over.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;

use super::*;
use crate::api;
use crate::core::{Backoff, Trouble, mix};

const CALLS: u64 = 40;
const SEEDS: u64 = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Parked,
    Result,
    OutOfOrder,
    Full,
    /// Tried, and refused for good: [`Reason::TooManyWaiting`].
    Refused,
    /// Refused by a member that did not propose it.
    Invalid,
    Cancelled,
    Never,
}

struct Record {
    answer: Answer,
    parked: bool,
}

/// The cluster: the rules of a session's requests, as the machine has them.
struct Cluster {
    room: usize,
    floor: u64,
    records: BTreeMap<u64, Record>,
    ran: Vec<u64>,
    /// Results that nobody gave back.
    effects: BTreeSet<u64>,
}

impl Cluster {
    fn apply(&mut self, sending: &Sending) -> Answer {
        let Sending { id, acknowledged_below: below, after, ref acknowledged, .. } = *sending;
        assert!(
            below <= id && after < id && acknowledged.iter().all(|other| *other < id),
            "valid: {sending:?}"
        );
        if id.is_multiple_of(11) {
            return Answer::Invalid;
        }
        if let Some(record) = self.records.get(&id) {
            return record.answer;
        }
        if id < self.floor {
            return Answer::Never;
        }
        let floor = self.floor.max(below);
        let forgotten = |(other, record): (&u64, &Record)| {
            let done = record.answer != Answer::Parked;
            let singly = record.parked && acknowledged.contains(other);
            (done && ((*other < floor && !record.parked) || singly)).then_some(*other)
        };
        let forgotten: Vec<u64> = self.records.iter().filter_map(forgotten).collect();
        if after >= floor && !self.records.contains_key(&after) {
            return Answer::OutOfOrder;
        }
        if self.records.len() - forgotten.len() >= self.room {
            return Answer::Full;
        }
        self.floor = floor;
        for other in forgotten {
            if other < floor {
                self.records.remove(&other);
            } else if let Some(record) = self.records.get_mut(&other) {
                *record = Record { answer: Answer::Never, parked: false };
            }
        }
        self.ran.push(id);
        let answer = match id {
            _ if id.is_multiple_of(7) => Answer::Refused,
            _ if id.is_multiple_of(3) => Answer::Parked,
            _ => Answer::Result,
        };
        if answer == Answer::Result {
            self.effects.insert(id);
        }
        self.records.insert(id, Record { answer, parked: answer == Answer::Parked });
        answer
    }

    fn complete(&mut self, id: u64) {
        if let Some(record) = self.records.get_mut(&id).filter(|record| record.answer == Answer::Parked) {
            record.answer = Answer::Result;
            self.effects.insert(id);
        }
    }

    fn cancel(&mut self, id: u64) -> api::Cancelled {
        let below = id < self.floor;
        match self.records.get_mut(&id) {
            None if below => api::Cancelled::Final,
            None => {
                self.records.insert(id, Record { answer: Answer::Cancelled, parked: false });
                api::Cancelled::NotRun
            }
            Some(record) => match std::mem::replace(&mut record.answer, Answer::Cancelled) {
                Answer::Parked => api::Cancelled::Waiting,
                Answer::Result => {
                    self.effects.remove(&id);
                    api::Cancelled::Granted
                }
                other => {
                    record.answer = other;
                    api::Cancelled::Final
                }
            },
        }
    }
}

struct World {
    seed: u64,
    cluster: Cluster,
    requests: Requests,
    now_ms: u64,
    /// On their way to the cluster, and back, by round.
    there: BTreeMap<u64, VecDeque<Sending>>,
    back: BTreeMap<u64, VecDeque<(u64, Answer)>>,
    made: u64,
    delivered: BTreeSet<u64>,
    taken: BTreeSet<u64>,
    dropped: BTreeSet<u64>,
    failed: BTreeSet<u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let policy = Policy { give_up_ms: u64::MAX, backoff: Backoff { base_ms: 1, max_ms: 4 } };
        let patience = Patience { policy, attempt_ms: u64::MAX, silent_ms: u64::MAX };
        let room = if seed.is_multiple_of(2) { MAX_PENDING } else { 16 };
        let cluster =
            Cluster { room, floor: 1, records: BTreeMap::new(), ran: Vec::new(), effects: BTreeSet::new() };
        Self {
            seed: mix(seed),
            cluster,
            requests: Requests::new(1, patience),
            now_ms: 0,
            there: BTreeMap::new(),
            back: BTreeMap::new(),
            made: 0,
            delivered: BTreeSet::new(),
            taken: BTreeSet::new(),
            dropped: BTreeSet::new(),
            failed: BTreeSet::new(),
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.seed = mix(self.seed);
        self.seed % below.max(1)
    }

    fn make(&mut self) {
        self.made = self.requests.add(self.now_ms).expect("there is room");
    }

    fn step(&mut self, step: Step, id: u64) {
        match step {
            Step::Nothing | Step::Parked => {}
            Step::Deliver => assert!(self.delivered.insert(id), "{id} is delivered once"),
            Step::Fail(_) => assert!(self.failed.insert(id), "{id} fails once"),
            Step::Leave => self.requests.in_flight().into_iter().for_each(|id| self.requests.take_back(id)),
            Step::Over(error) => panic!("the session never ends: {error}"),
        }
    }

    /// The stream breaks: answers on it are lost, and what is on its way may still arrive, much
    /// later.
    fn break_round(&mut self) {
        let Some(round) = self.requests.round() else { return };
        self.back.remove(&round);
        if self.draw(2) == 0 {
            self.there.remove(&round);
        }
        for id in 1..=self.made {
            let broken = Landed::Failed(Trouble::NoAnswer("broken".into()));
            let step = self.requests.landed(id, round, broken, self.now_ms, 0);
            self.step(step, id);
        }
    }

    fn pump(&mut self) {
        if self.requests.wants_round(self.now_ms) {
            self.requests.begin_round();
        }
        while let Some(sending) = self.requests.next_to_send(self.now_ms) {
            self.there.entry(sending.round).or_default().push_back(sending);
        }
    }

    fn arrive(&mut self) {
        let rounds: Vec<u64> =
            self.there.iter().filter(|(_, queue)| !queue.is_empty()).map(|(round, _)| *round).collect();
        let at = self.draw(rounds.len() as u64) as usize;
        let Some(sending) = rounds.get(at).and_then(|round| self.there.get_mut(round)?.pop_front()) else {
            return;
        };
        let answer = if self.draw(20) == 0 { None } else { Some(self.cluster.apply(&sending)) };
        match answer {
            Some(answer) => self.back.entry(sending.round).or_default().push_back((sending.id, answer)),
            None => self.lose(&sending),
        }
    }

    /// The cluster could not take it, and says so.
    fn lose(&mut self, sending: &Sending) {
        let kind = if self.draw(2) == 0 { Kind::Unavailable } else { Kind::OutcomeUnknown };
        if kind == Kind::OutcomeUnknown && self.draw(2) == 0 {
            self.cluster.apply(sending);
        }
        let failure = Failure { kind: kind as i32, ..Failure::default() };
        let landed = Landed::Failed(Trouble::Answered(Box::new(failure)));
        let step = self.requests.landed(sending.id, sending.round, landed, self.now_ms, 0);
        self.step(step, sending.id);
    }

    fn answer(&mut self) {
        let rounds: Vec<u64> =
            self.back.iter().filter(|(_, queue)| !queue.is_empty()).map(|(round, _)| *round).collect();
        let at = self.draw(rounds.len() as u64) as usize;
        let Some(round) = rounds.get(at).copied() else { return };
        let Some((id, answer)) = self.back.get_mut(&round).and_then(VecDeque::pop_front) else { return };
        let refused = |kind: Kind, reason: Reason| {
            Landed::Failed(Trouble::Answered(Box::new(Failure {
                kind: kind as i32,
                reason: reason.into(),
                ..Failure::default()
            })))
        };
        let landed = match answer {
            Answer::Parked => Landed::Parked,
            Answer::Result => Landed::Result,
            Answer::OutOfOrder => refused(Kind::Unavailable, Reason::OutOfOrder),
            Answer::Full => refused(Kind::Rejected, Reason::TooManyOutcomes),
            Answer::Refused => refused(Kind::Rejected, Reason::TooManyWaiting),
            Answer::Invalid => refused(Kind::Rejected, Reason::InvalidArguments),
            Answer::Cancelled => refused(Kind::Rejected, Reason::Cancelled),
            Answer::Never => refused(Kind::Rejected, Reason::AlreadyAcknowledged),
        };
        let step = self.requests.landed(id, round, landed, self.now_ms, 0);
        self.step(step, id);
    }

    /// A parked call is completed, and whoever waits for it is told, on whichever stream.
    fn complete(&mut self) {
        let waits = |(id, record): (&u64, &Record)| (record.answer == Answer::Parked).then_some(*id);
        let parked: Vec<u64> = self.cluster.records.iter().filter_map(waits).collect();
        let at = self.draw(parked.len() as u64) as usize;
        let Some(id) = parked.get(at).copied() else { return };
        self.cluster.complete(id);
        for round in 1..=self.requests.rounds {
            self.back.entry(round).or_default().push_back((id, Answer::Result));
        }
    }

    fn take(&mut self) {
        let untaken: Vec<u64> =
            self.delivered.difference(&self.taken).copied().filter(|id| !self.dropped.contains(id)).collect();
        let at = self.draw(untaken.len() as u64) as usize;
        if let Some(id) = untaken.get(at) {
            self.requests.taken(*id);
            self.taken.insert(*id);
        }
    }

    fn drop_one(&mut self) {
        let id = self.draw(self.made) + 1;
        if id <= self.made
            && !self.taken.contains(&id)
            && !self.failed.contains(&id)
            && self.dropped.insert(id)
        {
            self.requests.abandon(id);
        }
    }

    fn cancel(&mut self, reliably: bool) {
        let Some(id) = self.requests.next_cancel() else { return };
        let lost = !reliably && self.draw(3) == 0;
        let was = if lost && self.draw(2) == 0 { None } else { Some(self.cluster.cancel(id)) };
        let told = if lost { self.requests.cancel_failed(id) } else { self.requests.cancelled(id, was) };
        if told.is_some() {
            self.failed.insert(id);
        }
    }

    fn settled(&self) -> bool {
        let over =
            |id: &u64| self.taken.contains(id) || self.dropped.contains(id) || self.failed.contains(id);
        (1..=self.made).all(|id| over(&id)) && !self.requests.has_cancels() && self.requests.calls.is_empty()
    }

    fn calm(&mut self) {
        for _ in 0..100_000 {
            if self.settled() {
                return;
            }
            self.now_ms += 1;
            self.pump();
            self.arrive();
            self.answer();
            self.complete();
            self.take();
            self.cancel(true);
        }
        panic!("it stands still: {:?}", self.requests);
    }
}

#[test]
fn whatever_the_network_does_calls_run_once_in_order_and_nothing_is_left_over() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        while world.made < CALLS {
            world.now_ms += world.draw(2);
            match world.draw(24) {
                0..4 => world.make(),
                4..8 => world.pump(),
                8..13 => world.arrive(),
                13..18 => world.answer(),
                18 => world.complete(),
                19 | 20 => world.take(),
                21 => world.cancel(false),
                22 => world.drop_one(),
                _ => world.break_round(),
            }
        }
        world.calm();
        for _ in 0..2 {
            world.make();
            world.calm();
        }
        let World { cluster, taken, dropped, failed, .. } = &world;
        assert!(cluster.ran.is_sorted_by(|a, b| a < b), "seed {seed}: once and in order: {:?}", cluster.ran);
        assert!(
            taken.iter().all(|id| cluster.ran.contains(id)),
            "seed {seed}: results are of calls that ran"
        );
        let leaked: Vec<_> =
            cluster.effects.iter().filter(|id| dropped.contains(id) && !taken.contains(id)).collect();
        assert_eq!(leaked, Vec::<&u64>::new(), "seed {seed}: what was dropped is given back");
        let told: Vec<_> = failed.iter().filter(|id| cluster.effects.contains(id)).collect();
        assert_eq!(told, Vec::<&u64>::new(), "seed {seed}: what was refused did not run");
        let left: Vec<_> = cluster.records.keys().filter(|id| **id <= CALLS).collect();
        assert_eq!(left, Vec::<&u64>::new(), "seed {seed}: every outcome is acknowledged");
    }
}
