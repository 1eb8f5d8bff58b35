//! The requests of one session: their numbers, what is sent when and again, and what is
//! acknowledged.
//!
//! Numbers. Ids count from 1 in the order in which calls are made. A request names in `after` the
//! nearest one before it that is not settled, so that pipelined requests run in their order however
//! often and wherever they are sent. `acknowledged_below` is the lowest id that is not settled,
//! ignoring those that the cluster said are parked: one that waits for an hour must not keep the
//! outcomes of all others. Parked ones are acknowledged singly, and so is whatever was sent more
//! than once, because the word that it parked may have been lost.
//!
//! Settled means that the caller has taken the answer, not only that it came: a lock that was
//! granted to a caller that gave up in that very moment is given back by a cancel, and a cancel
//! finds only what is not acknowledged.
//!
//! Rounds. What is in flight is in flight to one member, in a round. When the member fails, the
//! round is over, and the next one sends everything that runs again, in the order of ids; parked
//! requests stay where they wait until that stream breaks. Nothing here can run twice, so
//! everything is sent again until it has an outcome, its caller gives up, or there was no word from
//! the cluster for the policy's time.
use std::collections::{BTreeMap, BTreeSet};

use synod_abi::limits;
use synod_api::reason;
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;

use super::pace::{Pace, Until};
use crate::core::{Policy, Trouble};
use crate::error::Refusal;
use crate::{Error, api};

/// Requests of a session that run, and do not wait in a recipe, at a time; further calls wait for
/// one of them.
pub const MAX_RUNNING: usize = 512;
/// Requests of a session without an outcome, waiting ones among them; further calls are refused.
/// The cluster keeps as many.
pub const MAX_PENDING: usize = limits::SESSION_OUTCOMES as usize;
/// Parked requests that one request acknowledges; the rest follow with the next.
const MAX_ACKNOWLEDGED: usize = 256;
/// How often callers are looked through while there is no word from the cluster, in milliseconds.
const GIVE_UP_CHECK_MS: u64 = 100;

/// How long to be patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long callers wait while there is no word from the cluster, and the pauses between
    /// rounds.
    pub policy: Policy,
    /// How long a member may take for an answer, or the word that the request is parked.
    pub attempt_ms: u64,
}

/// What a request says besides what it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Its id.
    pub id: u64,
    /// In which round it is sent.
    pub round: u64,
    /// Below this, all is settled or parked.
    pub acknowledged_below: u64,
    /// It may not run before this one; 0: none.
    pub after: u64,
    /// Acknowledged singly.
    pub acknowledged: Vec<u64>,
}

/// What came of a request in a round.
#[derive(Clone, Debug, PartialEq)]
pub enum Landed {
    /// The word that it waits.
    Parked,
    /// Its result.
    Result,
    /// No result.
    Failed(Trouble),
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing, but look for something to send.
    Nothing,
    /// It waits: it does not count as running any more.
    Parked,
    /// Hand the result to the caller.
    Deliver,
    /// Tell the caller.
    Fail(Error),
    /// The round is over.
    Leave,
    /// The session is over, and this is what the caller is told.
    Over(Error),
}

/// Where a request is.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// Here, to be sent.
    Here,
    /// In flight.
    Flight { round: u64, at_ms: u64, below: u64 },
    /// Its result is with the caller, who has not taken it yet.
    Delivered,
    /// Given up by its caller, or, with an error, not to be told to its caller before it is certain
    /// that it cannot run any more.
    Cancelling { verdict: Option<Error> },
}

#[derive(Clone, Debug)]
struct Call {
    place: Place,
    parked: bool,
    /// Whether it surely ran: then a cancel of it lets nothing behind it run too early.
    ran: bool,
    sendings: u32,
    made_ms: u64,
    carries: Vec<u64>,
}

/// Since when there is no word from the cluster.
#[derive(Clone, Debug)]
struct Silence {
    since_ms: u64,
    why: String,
}

/// The requests of one session.
#[derive(Debug)]
pub struct Requests {
    patience: Patience,
    next: u64,
    calls: BTreeMap<u64, Call>,
    /// Those of `calls` that are not parked: the first one is the floor.
    running: BTreeSet<u64>,
    /// Those of `calls` that are to be sent.
    here: BTreeSet<u64>,
    /// Those of `running` that are in flight.
    flying: BTreeSet<u64>,
    /// Those of `calls` whose cancel is to be sent.
    cancels: BTreeSet<u64>,
    /// Settled ones to acknowledge singly, and the request that carries that.
    acks: BTreeMap<u64, Option<u64>>,
    parked: usize,
    rounds: u64,
    round: Option<u64>,
    /// Rounds without a good word, in a row.
    failures: u32,
    retry_at_ms: u64,
    pace: Pace,
    silence: Option<Silence>,
}

impl Requests {
    /// Of a session whose next request has the id `next`; 0 is taken for 1.
    pub fn new(next: u64, patience: Patience) -> Self {
        Self {
            patience,
            next: next.max(1),
            calls: BTreeMap::new(),
            running: BTreeSet::new(),
            here: BTreeSet::new(),
            flying: BTreeSet::new(),
            cancels: BTreeSet::new(),
            acks: BTreeMap::new(),
            parked: 0,
            rounds: 0,
            round: None,
            failures: 0,
            retry_at_ms: 0,
            pace: Pace::new(MAX_PENDING),
            silence: None,
        }
    }

    /// The id of the next call.
    pub fn next_id(&self) -> u64 {
        self.next
    }

    /// A call is made: its id.
    ///
    /// # Errors
    /// [`Error::Refused`] if as many wait for their outcomes as may.
    pub fn add(&mut self, now_ms: u64) -> Result<u64, Error> {
        if self.calls.len() >= MAX_PENDING {
            return Err(Error::Refused(Refusal {
                reason: reason::TOO_MANY_OUTCOMES.into(),
                limit: Some(("SESSION_OUTCOMES".into(), MAX_PENDING as u64)),
                message: format!(
                    "{MAX_PENDING} calls of the session have no outcome yet; wait for some, or use another \
                        session"
                ),
                ..Refusal::default()
            }));
        }
        let id = self.next;
        self.next += 1;
        self.calls.insert(
            id,
            Call {
                place: Place::Here,
                parked: false,
                ran: false,
                sendings: 0,
                made_ms: now_ms,
                carries: Vec::new(),
            },
        );
        self.running.insert(id);
        self.here.insert(id);
        Ok(id)
    }

    /// Whether a round is wanted now, and there is none.
    pub fn wants_round(&self, now_ms: u64) -> bool {
        self.round.is_none() && !self.here.is_empty() && now_ms >= self.retry_at_ms
    }

    /// A member can be reached: everything goes there from now on.
    pub fn begin_round(&mut self) {
        self.rounds += 1;
        self.round = Some(self.rounds);
        self.pace.release();
    }

    /// The present round.
    pub fn round(&self) -> Option<u64> {
        self.round
    }

    /// Whether there is something to send.
    pub fn has_work(&self) -> bool {
        !self.here.is_empty()
    }

    /// Whether there is something to cancel.
    pub fn has_cancels(&self) -> bool {
        !self.cancels.is_empty()
    }

    /// Whether something is still expected of this request.
    pub fn is_known(&self, id: u64) -> bool {
        self.calls.contains_key(&id)
    }

    /// Whether nothing that runs is in flight, so that a better member can be chosen at no cost.
    pub fn is_idle(&self) -> bool {
        self.flying.is_empty()
    }

    /// Ends the present round without a failure.
    pub fn part(&mut self) {
        self.round = None;
    }

    fn floor(&self) -> u64 {
        self.running.first().copied().unwrap_or(self.next)
    }

    /// Whether everything that the cluster keeps, this request added, is within its bounds.
    fn fits(&mut self, id: u64) -> bool {
        let kept = |this: &Self| (id - this.floor()) as usize + this.parked + this.acks.len();
        if self.floor() == id || kept(self) < MAX_PENDING {
            return true;
        }
        let idle: Vec<u64> = self.running.iter().copied().filter(|id| self.is_delivered(*id)).collect();
        for id in idle {
            self.settle(id, true);
        }
        self.floor() == id || kept(self) < MAX_PENDING
    }

    fn is_delivered(&self, id: u64) -> bool {
        self.calls.get(&id).is_some_and(|call| call.place == Place::Delivered)
    }

    /// The next request to send in the present round, if there is one. It counts as sent.
    pub fn next_to_send(&mut self, now_ms: u64) -> Option<Sending> {
        let (round, id) = (self.round?, *self.here.first()?);
        let came = |until| match until {
            Until::Ran(id) => !self.running.contains(&id) || has_run(&self.calls, id),
            Until::Settled(id) => !self.running.contains(&id),
            Until::Later => false,
        };
        if !self.pace.allows(id, &self.flying, now_ms, came) && !self.calls.get(&id)?.parked {
            return None;
        }
        let first = self.calls.get(&id)?.sendings == 0;
        if first && !self.fits(id) {
            return None;
        }
        let below = self.floor().min(id);
        let carries: Vec<u64> = if first {
            let free =
                self.acks.range_mut(..id).filter(|(_, carrier)| carrier.is_none()).take(MAX_ACKNOWLEDGED);
            free.map(|(acknowledged, carrier)| {
                *carrier = Some(id);
                *acknowledged
            })
            .collect()
        } else {
            Vec::new()
        };
        let after = self.running.range(..id).next_back().copied();
        let call = self.calls.get_mut(&id)?;
        if first {
            call.carries = carries;
        }
        call.sendings += 1;
        call.place = Place::Flight { round, at_ms: now_ms, below };
        if !call.parked {
            self.flying.insert(id);
        }
        let after = after.filter(|_| !call.parked).unwrap_or(0);
        let acknowledged = call.carries.clone();
        self.here.remove(&id);
        Some(Sending { id, round, acknowledged_below: below, after, acknowledged })
    }

    /// The last sending of a request surely has no effect: it did not leave, or was refused without
    /// a trace.
    pub fn not_sent(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.sendings = call.sendings.saturating_sub(1);
        if call.sendings == 0 {
            for acknowledged in std::mem::take(&mut call.carries) {
                self.acks.insert(acknowledged, None);
            }
        }
    }

    /// Something came of a request.
    pub fn landed(&mut self, id: u64, round: u64, landed: Landed, now_ms: u64, jitter: u32) -> Step {
        let Some(call) = self.calls.get(&id) else { return Step::Nothing };
        let (parked, once) = (call.parked, call.sendings <= 1);
        let Place::Flight { round: sent_in, below, .. } = call.place else { return Step::Nothing };
        if sent_in != round {
            return Step::Nothing;
        }
        match landed {
            Landed::Parked => {
                self.good_word();
                if parked { Step::Nothing } else { self.park(id) }
            }
            Landed::Result => {
                self.good_word();
                self.pace.got_through();
                self.confirm(id);
                self.place(id, Place::Delivered);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.ran = true;
                }
                Step::Deliver
            }
            Landed::Failed(Trouble::NotSent(why)) => {
                self.not_sent(id);
                self.again(id, round, why, 0, now_ms, jitter)
            }
            Landed::Failed(Trouble::NoAnswer(why)) => self.again(id, round, why, 0, now_ms, jitter),
            Landed::Failed(Trouble::Answered(failure)) => match failure.kind() {
                Kind::Unavailable if failure.reason == reason::OUT_OF_ORDER => {
                    let before = self.running.range(..id).next_back().copied();
                    let until = before.filter(|before| !has_run(&self.calls, *before)).map(Until::Ran);
                    self.came_back(id, until, now_ms, jitter)
                }
                kind @ (Kind::Unavailable | Kind::OutcomeUnknown | Kind::Internal | Kind::Unspecified) => {
                    if kind == Kind::Unavailable {
                        self.not_sent(id);
                    }
                    let Failure { message, retry_after_ms, .. } = *failure;
                    self.again(id, round, message, retry_after_ms, now_ms, jitter)
                }
                Kind::Rejected if failure.reason == reason::SESSION_EXPIRED => Step::Over(if once {
                    Error::SessionExpired(failure.message)
                } else {
                    Error::OutcomeUnknown(format!(
                        "the session ended before the call was answered: {}",
                        failure.message
                    ))
                }),
                Kind::Rejected
                    if failure.reason == reason::TOO_MANY_OUTCOMES && self.frees_more(id, below, once) =>
                {
                    let floor = self.floor().min(id);
                    let until = if floor < id { Until::Settled(floor) } else { Until::Later };
                    self.came_back(id, (floor == below).then_some(until), now_ms, jitter)
                }
                Kind::Rejected => self.refused(id, *failure, once || parked),
            },
        }
    }

    fn park(&mut self, id: u64) -> Step {
        self.confirm(id);
        self.pace.got_through();
        self.running.remove(&id);
        self.flying.remove(&id);
        self.parked += 1;
        if let Some(call) = self.calls.get_mut(&id) {
            call.parked = true;
            call.ran = true;
        }
        Step::Parked
    }

    fn refused(&mut self, id: u64, failure: Failure, sure: bool) -> Step {
        let recorded = is_recorded(&failure.reason);
        let error = Error::from(failure);
        if sure || recorded {
            self.good_word();
            if recorded {
                self.pace.got_through();
            }
            self.settle(id, recorded);
            return Step::Fail(error);
        }
        self.place(id, Place::Cancelling { verdict: Some(error) });
        self.cancels.insert(id);
        Step::Nothing
    }

    /// Whether sending `id` again would acknowledge more than when it was sent with this floor, or
    /// will soon.
    fn frees_more(&self, id: u64, below: u64, once: bool) -> bool {
        let floor = self.floor();
        floor < id
            || floor.min(id) > below
            || (once && self.acks.range(..id).any(|(_, carrier)| carrier.is_none()))
    }

    fn place(&mut self, id: u64, place: Place) {
        self.here.remove(&id);
        self.flying.remove(&id);
        if place == Place::Here {
            self.here.insert(id);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.place = place;
        }
    }

    /// It is to be sent again, and waits for that if it must.
    fn came_back(&mut self, id: u64, until: Option<Until>, now_ms: u64, jitter: u32) -> Step {
        self.not_sent(id);
        self.place(id, Place::Here);
        self.pace.came_back();
        if let Some(until) = until {
            self.pace.hold(id, until, self.patience.policy.backoff, now_ms, jitter);
        }
        Step::Nothing
    }

    fn again(&mut self, id: u64, round: u64, why: String, least_ms: u64, now_ms: u64, jitter: u32) -> Step {
        self.place(id, Place::Here);
        if self.round != Some(round) {
            return Step::Nothing;
        }
        self.failed(why, least_ms, now_ms, jitter);
        Step::Leave
    }

    /// The present round is over, or none could be begun. The next one may begin after a pause.
    pub fn failed(&mut self, why: String, least_ms: u64, now_ms: u64, jitter: u32) {
        self.round = None;
        self.failures = self.failures.saturating_add(1);
        let pause_ms = self.patience.policy.backoff.delay_ms(self.failures, jitter).max(least_ms);
        self.retry_at_ms = now_ms.saturating_add(pause_ms);
        let since_ms = self.silence.as_ref().map_or(now_ms, |silence| silence.since_ms);
        self.silence = Some(Silence { since_ms, why });
    }

    /// Takes back what is in flight: what runs, or this one. It is sent again.
    pub fn take_back(&mut self, id: u64) {
        if let Some(Call { place: Place::Flight { .. }, .. }) = self.calls.get(&id) {
            self.place(id, Place::Here);
        }
    }

    /// Requests that run and are in flight.
    pub fn in_flight(&self) -> Vec<u64> {
        self.flying.iter().copied().collect()
    }

    fn good_word(&mut self) {
        self.silence = None;
        self.failures = 0;
        self.pace.good_word();
    }

    /// What a request carried has arrived.
    fn confirm(&mut self, id: u64) {
        let carried =
            self.calls.get_mut(&id).map(|call| std::mem::take(&mut call.carries)).unwrap_or_default();
        for acknowledged in carried {
            self.acks.remove(&acknowledged);
        }
    }

    /// Nothing more is expected of a request. `recorded`: whether what it carried surely arrived.
    fn settle(&mut self, id: u64, recorded: bool) {
        if recorded {
            self.confirm(id);
        }
        self.here.remove(&id);
        self.flying.remove(&id);
        self.cancels.remove(&id);
        self.running.remove(&id);
        let Some(call) = self.calls.remove(&id) else { return };
        for acknowledged in call.carries {
            self.acks.insert(acknowledged, None);
        }
        self.parked -= usize::from(call.parked);
        if call.parked || call.sendings > 1 {
            self.acks.insert(id, None);
        }
    }

    /// The caller has taken the result.
    pub fn taken(&mut self, id: u64) {
        if self.is_delivered(id) {
            self.settle(id, true);
        }
    }

    /// The caller does not wait any more, for its outcome or for taking it.
    pub fn abandon(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match &mut call.place {
            Place::Here if call.sendings == 0 => self.settle(id, false),
            Place::Cancelling { verdict } => *verdict = None,
            Place::Here | Place::Flight { .. } | Place::Delivered => {
                self.place(id, Place::Cancelling { verdict: None });
                self.cancels.insert(id);
            }
        }
    }

    /// A request to be cancelled on the cluster, if there is one; it counts as under way. One that
    /// may not have run waits for those before it: cancelled, it would not hold back those behind
    /// it any more.
    pub fn next_cancel(&mut self) -> Option<u64> {
        let ran = |id: &u64| has_run(&self.calls, *id);
        let barrier = self.running.iter().find(|id| !ran(id)).copied();
        let id = self.cancels.iter().find(|id| barrier == Some(**id) || ran(id)).copied()?;
        self.cancels.remove(&id);
        Some(id)
    }

    /// The cancel was answered, with what the request was; `None`: nothing can be learned. What the
    /// caller is told, if it waits.
    pub fn cancelled(&mut self, id: u64, was: Option<api::Cancelled>) -> Option<Error> {
        let call = self.calls.get(&id)?;
        let Place::Cancelling { verdict } = &call.place else { return None };
        let verdict = verdict.clone().map(|error| match was {
            Some(api::Cancelled::NotRun | api::Cancelled::Waiting | api::Cancelled::Granted) => error,
            _ => Error::OutcomeUnknown(format!(
                "an earlier sending of the call may have run; the last one was refused: {error}"
            )),
        });
        self.settle(id, false);
        if was != Some(api::Cancelled::NotRun) {
            self.acks.insert(id, None);
        }
        verdict
    }

    /// The cancel failed: it is to be sent again. What the caller is told, if it waits.
    pub fn cancel_failed(&mut self, id: u64) -> Option<Error> {
        let Place::Cancelling { verdict } = &mut self.calls.get_mut(&id)?.place else { return None };
        let verdict = verdict.take();
        self.cancels.insert(id);
        verdict.map(|error| {
            Error::OutcomeUnknown(format!(
                "an earlier sending of the call may have run; the last one was refused: {error}"
            ))
        })
    }

    /// When to call [`overdue`](Self::overdue) and [`given_up`](Self::given_up), and to look for
    /// something to do.
    pub fn wake_at(&self, now_ms: u64) -> Option<u64> {
        let round = (self.round.is_none() && !self.here.is_empty()).then_some(self.retry_at_ms);
        let hold = self.pace.held_until(now_ms).filter(|_| self.round.is_some());
        let answer = self.oldest_flight().map(|at_ms| at_ms.saturating_add(self.patience.attempt_ms));
        let silence = self.silence.as_ref().filter(|_| !self.running.is_empty());
        let patience = silence.map(|silence| {
            let at_ms = silence.since_ms.saturating_add(self.patience.policy.give_up_ms);
            if at_ms > now_ms { at_ms } else { now_ms.saturating_add(GIVE_UP_CHECK_MS) }
        });
        [round, hold, answer, patience].into_iter().flatten().min()
    }

    fn oldest_flight(&self) -> Option<u64> {
        self.flying.iter().find_map(|id| match self.calls.get(id)?.place {
            Place::Flight { at_ms, .. } => Some(at_ms),
            _ => None,
        })
    }

    /// Whether the member owes an answer for too long: then the round is over.
    pub fn overdue(&mut self, now_ms: u64, jitter: u32) -> Option<String> {
        let limit_ms = self.patience.attempt_ms;
        self.oldest_flight().filter(|at_ms| at_ms.saturating_add(limit_ms) <= now_ms)?;
        let why = format!("no answer within {limit_ms} ms");
        self.failed(why.clone(), 0, now_ms, jitter);
        Some(why)
    }

    /// Calls that waited as long as the policy says without a word from the cluster, and what their
    /// callers are told. Parked ones wait on: they have had an answer of sorts, and the session's
    /// own deadline bounds them.
    pub fn given_up(&mut self, now_ms: u64) -> Vec<(u64, Error)> {
        let Some(Silence { since_ms, why }) = self.silence.clone() else { return Vec::new() };
        let give_up_ms = self.patience.policy.give_up_ms;
        let late = |id: &u64| {
            let call = self.calls.get(id)?;
            let waits = matches!(call.place, Place::Here | Place::Flight { .. });
            let late = call.made_ms.max(since_ms).saturating_add(give_up_ms) <= now_ms;
            let error = if call.sendings == 0 {
                Error::Unavailable(why.clone())
            } else {
                Error::OutcomeUnknown(why.clone())
            };
            (waits && late).then_some((*id, error))
        };
        let given_up: Vec<_> = self.running.iter().filter_map(late).collect();
        for (id, _) in &given_up {
            self.abandon(*id);
        }
        given_up
    }

    /// Whether nothing was heard from the cluster for the policy's time: further calls need not
    /// wait.
    pub fn is_silent(&self, now_ms: u64) -> Option<&str> {
        let silence = self.silence.as_ref()?;
        let late = silence.since_ms.saturating_add(self.patience.policy.give_up_ms) <= now_ms;
        late.then_some(silence.why.as_str())
    }

    /// The session is over: every call that waits, and what its caller is told. Nothing is sent any
    /// more.
    pub fn over(&mut self, why: &str) -> Vec<(u64, Error)> {
        self.round = None;
        self.running.clear();
        self.here.clear();
        self.flying.clear();
        self.cancels.clear();
        self.acks.clear();
        self.parked = 0;
        self.pace.release();
        self.silence = None;
        let told = |call: &Call| match &call.place {
            Place::Delivered => None,
            Place::Cancelling { verdict } => verdict.as_ref().map(|error| {
                Error::OutcomeUnknown(format!("{why}; the last sending of the call was refused: {error}"))
            }),
            Place::Here | Place::Flight { .. } if call.sendings == 0 || call.parked => {
                Some(Error::SessionExpired(why.to_owned()))
            }
            Place::Here | Place::Flight { .. } => Some(Error::OutcomeUnknown(why.to_owned())),
        };
        std::mem::take(&mut self.calls).iter().filter_map(|(id, call)| Some((*id, told(call)?))).collect()
    }
}

fn has_run(calls: &BTreeMap<u64, Call>, id: u64) -> bool {
    calls.get(&id).is_some_and(|call| call.ran)
}

/// Rejections that are surely kept as the request's outcome: those behind it go on, and a retry
/// gets the same one. Of others it is not known: some never are, and a member refuses some before
/// it proposes them.
const RECORDED: [&str; 6] = [
    reason::RECIPE_ERROR,
    "RECIPE_FAULT",
    reason::WAIT_TIMEOUT,
    reason::CANCELLED,
    reason::TOO_MANY_WAITING,
    reason::TOO_MANY_SPACES,
];

fn is_recorded(of: &str) -> bool {
    RECORDED.contains(&of)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod model;

#[cfg(test)]
mod cost;
