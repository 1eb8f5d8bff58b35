//! The requests of one session: their ids, when each is sent and sent again, and what each
//! acknowledges.
//!
//! Ids count from 1 in the order in which calls are made. A request's `after` is the nearest lower
//! id that is not settled, so pipelined requests run in order however often and wherever they are
//! sent. `acknowledged_below` is the lowest id that is not settled, parked requests excepted: a
//! request that waits for an hour must not make the cluster keep the outcomes of all others. Parked
//! requests are acknowledged singly, and so is every request that was sent more than once, because
//! the reply that it parked may have been lost.
//!
//! A request is settled when its caller has taken the answer, not when the answer arrives. A lock
//! that is granted just as its caller gives up is returned by a cancel, and a cancel finds only
//! requests that are not acknowledged.
//!
//! Everything in flight goes to one member, in one round. When that member fails, the round ends,
//! and the next round sends all running requests again, in order of id; parked requests stay on
//! their stream until it breaks. No request runs twice, so each is sent again until it has an
//! outcome, its caller gives up, or the cluster is silent for the policy's time.
//!
//! Nothing is sent here, no clock is read, and requests' arguments are not kept: the caller carries
//! out each decision.
mod cancel;
mod land;
mod send;
mod silence;

use std::collections::{BTreeMap, BTreeSet};

use synod_abi::{Reason, limits};

pub use self::land::{Landed, Step};
use self::silence::Silence;
use super::pace::Pace;
use crate::Error;
use crate::core::Policy;
use crate::error::Refusal;

/// Most requests of a session that run at a time, parked ones not counted; further calls wait for
/// one of them to end.
pub const MAX_RUNNING: usize = 512;
/// Most requests of a session without an outcome, parked ones included; further calls are refused.
/// The cluster keeps as many outcomes.
pub const MAX_PENDING: usize = limits::SESSION_OUTCOMES as usize;

/// How long to be patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long callers wait while the cluster is silent, and the pauses between rounds.
    pub policy: Policy,
    /// How long a member may take for an answer, or to report that the request is parked.
    pub attempt_ms: u64,
    /// The same while it answers nothing at all. It doubles with each member in a row that is
    /// silent, so that a cluster that is slow as a whole is not flooded.
    pub silent_ms: u64,
}

/// A request to send: everything about it but the call itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Its id.
    pub id: u64,
    /// The round in which it is sent.
    pub round: u64,
    /// Every lower id is settled or parked.
    pub acknowledged_below: u64,
    /// The request that must run before it; 0: none.
    pub after: u64,
    /// Requests that it acknowledges singly.
    pub acknowledged: Vec<u64>,
}

/// Where a request is.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// Here, to be sent.
    Here,
    /// In flight.
    Flight { round: u64, at_ms: u64, below: u64 },
    /// Its result is handed to the caller, who has not taken it yet.
    Delivered,
    /// Being cancelled. Without a verdict its caller gave it up; with one, the caller gets the
    /// verdict once it is certain that no earlier sending can run.
    Cancelling { verdict: Option<Error> },
}

#[derive(Clone, Debug)]
struct Call {
    place: Place,
    parked: bool,
    /// Whether it surely ran: cancelling it then lets no later request run too early.
    ran: bool,
    sendings: u32,
    made_ms: u64,
    /// Requests that it acknowledges singly, until one of its sendings surely arrived.
    carries: Vec<u64>,
}

/// The requests of one session.
#[derive(Debug)]
pub struct Requests {
    patience: Patience,
    next: u64,
    calls: BTreeMap<u64, Call>,
    /// Ids of `calls` that are not parked; the lowest is the floor.
    running: BTreeSet<u64>,
    /// Ids of `calls` that are to be sent.
    here: BTreeSet<u64>,
    /// Ids of `running` that are in flight.
    flying: BTreeSet<u64>,
    /// Ids of `calls` whose cancel is to be sent.
    cancels: BTreeSet<u64>,
    /// Settled requests to acknowledge singly, each with the request that carries it.
    acks: BTreeMap<u64, Option<u64>>,
    parked: usize,
    rounds: u64,
    round: Option<u64>,
    /// Rounds in a row in which the cluster answered nothing.
    failures: u32,
    retry_at_ms: u64,
    /// When a member last answered anything.
    heard_ms: u64,
    pace: Pace,
    silence: Option<Silence>,
}

impl Requests {
    /// The requests of a session whose next one has the id `next`; 0 counts as 1.
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
            heard_ms: 0,
            pace: Pace::new(MAX_PENDING),
            silence: None,
        }
    }

    /// The id of the next call.
    pub fn next_id(&self) -> u64 {
        self.next
    }

    /// Adds a call, and returns its id.
    ///
    /// # Errors
    /// [`Error::Refused`] if [`MAX_PENDING`] calls have no outcome yet.
    pub fn add(&mut self, now_ms: u64) -> Result<u64, Error> {
        if self.calls.len() >= MAX_PENDING {
            return Err(Error::Refused(Refusal {
                reason: Reason::TooManyOutcomes.into(),
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

    /// Whether there is something to send, no round, and the pause after the last round is over.
    pub fn wants_round(&self, now_ms: u64) -> bool {
        self.round.is_none() && !self.here.is_empty() && now_ms >= self.retry_at_ms
    }

    /// Begins a round: a member is connected, and requests go there from now on.
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

    /// Whether no running request is in flight, so that changing the member costs nothing.
    pub fn is_idle(&self) -> bool {
        self.flying.is_empty()
    }

    /// Ends the present round, which did not fail.
    pub fn part(&mut self) {
        self.round = None;
    }

    /// The running requests that are in flight.
    pub fn in_flight(&self) -> Vec<u64> {
        self.flying.iter().copied().collect()
    }

    /// Takes back a request that is in flight; it is sent again.
    pub fn take_back(&mut self, id: u64) {
        if let Some(Call { place: Place::Flight { .. }, .. }) = self.calls.get(&id) {
            self.place(id, Place::Here);
        }
    }

    /// The caller has taken the result: the request is settled.
    pub fn taken(&mut self, id: u64) {
        if self.is_delivered(id) {
            self.settle(id, true);
        }
    }

    /// Ends all requests with the session. Returns the calls whose callers still wait, each with
    /// its error; nothing is sent from here on.
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
        let error_of = |call: &Call| match &call.place {
            Place::Delivered => None,
            Place::Cancelling { verdict } => verdict.as_ref().map(|error| {
                Error::OutcomeUnknown(format!("{why}; the last sending of the call was refused: {error}"))
            }),
            Place::Here | Place::Flight { .. } if call.sendings == 0 || call.parked => {
                Some(Error::SessionExpired(why.to_owned()))
            }
            Place::Here | Place::Flight { .. } => Some(Error::OutcomeUnknown(why.to_owned())),
        };
        std::mem::take(&mut self.calls).iter().filter_map(|(id, call)| Some((*id, error_of(call)?))).collect()
    }

    fn floor(&self) -> u64 {
        self.running.first().copied().unwrap_or(self.next)
    }

    fn is_delivered(&self, id: u64) -> bool {
        self.calls.get(&id).is_some_and(|call| call.place == Place::Delivered)
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

    /// The acknowledgements that a request carried have arrived.
    fn confirm(&mut self, id: u64) {
        let carried =
            self.calls.get_mut(&id).map(|call| std::mem::take(&mut call.carries)).unwrap_or_default();
        for acknowledged in carried {
            self.acks.remove(&acknowledged);
        }
    }

    /// Settles a request. `recorded`: whether the acknowledgements that it carried surely arrived.
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
}

fn has_run(calls: &BTreeMap<u64, Call>, id: u64) -> bool {
    calls.get(&id).is_some_and(|call| call.ran)
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod model;
