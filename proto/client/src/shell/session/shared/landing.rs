//! Carries out what follows from an answer, a cancel's answer or a member's failure, under the
//! session's lock.
use std::sync::Arc;

use synod_api::v1::CallReply;

use super::Shared;
use super::calls::{Aboard, Calls, Ending, Waiting};
use crate::api;
use crate::core::{Landed, Step, Trouble};
use crate::shell::flights::{Ground, Key, Landing};
use crate::shell::link::Link;

impl Ground<CallReply> for Shared {
    fn landed(self: Arc<Self>, key: Key, landing: Landing<CallReply>) {
        let mut calls = self.calls();
        if calls.over.is_some() {
            return;
        }
        if self.remaining().is_zero() {
            self.alive.notify_one();
            return;
        }
        self.carry_out(&mut calls, key, landing);
        self.go_on(&mut calls);
    }
}

impl Shared {
    /// Carries out what the core decides about an answer, or about the news that there is none.
    pub(super) fn carry_out(self: &Arc<Self>, calls: &mut Calls, key: Key, landing: Landing<CallReply>) {
        let (landed, reply) = match landing {
            Ok(reply) if reply.parked => (Landed::Parked, Ok(reply)),
            Ok(reply) => (Landed::Result, Ok(reply)),
            Err(trouble) => (Landed::Failed(trouble.clone()), Err(trouble)),
        };
        let interim = landed == Landed::Parked;
        let step =
            calls.requests.landed(key.id, key.round, landed, self.client.now_ms(), self.client.jitter());
        if let Ok(reply) = &reply {
            self.client.heard(reply.header.as_ref());
            self.praise(calls, key.round);
        }
        if !interim && let Some(waiting) = calls.waiting.get_mut(&key.id) {
            waiting.flight.take_if(|flight| flight.round == key.round);
        }
        match (step, reply) {
            (Step::Nothing, _) => {}
            (Step::Parked, _) => {
                if let Some(waiting) = calls.waiting.get_mut(&key.id) {
                    waiting.permit = None;
                }
            }
            (Step::Deliver, Ok(reply)) => calls.answer(key.id, Ok(reply)),
            (Step::Fail(error), _) => calls.answer(key.id, Err(error)),
            (Step::Leave, Err(trouble)) => self.leave(calls, trouble),
            (Step::Over(error), _) => {
                calls.answer(key.id, Err(error));
                self.end(
                    calls,
                    "the cluster has no such session any more: it was closed, or it expired",
                    Ending::Lost,
                );
            }
            (Step::Deliver | Step::Leave, _) => {}
        }
    }

    /// Reports to the router that the round's member answers, once in a round.
    fn praise(&self, calls: &mut Calls, round: u64) {
        if !calls.praised
            && calls.requests.round() == Some(round)
            && let Some(aboard) = &calls.lane
        {
            self.client.answered(&aboard.address);
            calls.praised = true;
        }
    }

    /// Leaves the member of the round, and takes back all running requests.
    pub(super) fn leave(&self, calls: &mut Calls, trouble: Trouble) {
        if let Some(aboard) = Self::part(calls) {
            self.client.noted(&aboard.address, trouble);
        }
    }

    /// The same for a member that is silent.
    pub(super) fn abandon(&self, calls: &mut Calls) {
        if let Some(aboard) = Self::part(calls) {
            self.client.silent(&aboard.address);
        }
    }

    fn part(calls: &mut Calls) -> Option<Aboard> {
        for id in calls.requests.in_flight() {
            calls.take_back(id);
        }
        calls.lane.take()
    }

    /// The member at `address` answers no touches: the requests that were sent there, parked ones
    /// included, are sent elsewhere.
    pub(crate) fn suspect(self: &Arc<Self>, address: &str, why: &str) {
        let mut calls = self.calls();
        let there = |waiting: &Waiting| {
            waiting.flight.as_ref().is_some_and(|flight| &*flight.aboard.address == address)
        };
        let ids: Vec<u64> =
            calls.waiting.iter().filter(|(_, waiting)| there(waiting)).map(|(id, _)| *id).collect();
        for id in ids {
            calls.take_back(id);
        }
        if calls.lane.as_ref().is_some_and(|aboard| &*aboard.address == address) {
            calls.requests.failed(why.to_owned(), 0, self.client.now_ms(), self.client.jitter());
            calls.lane = None;
        }
        self.go_on(&mut calls);
    }

    /// Begins a round at `address`, or notes that it cannot be reached.
    pub(crate) fn connected(self: &Arc<Self>, address: String, link: Result<Arc<Link>, Trouble>) {
        let mut calls = self.calls();
        if calls.over.is_some() || calls.lane.is_some() {
            return;
        }
        match link {
            Ok(link) => {
                calls.lane = Some(Aboard { address: address.into(), link });
                calls.praised = false;
                calls.requests.begin_round();
                self.go_on(&mut calls);
            }
            Err(trouble) => {
                let trouble = self.client.noted(&address, trouble);
                calls.requests.failed(
                    trouble.why().to_owned(),
                    0,
                    self.client.now_ms(),
                    self.client.jitter(),
                );
            }
        }
    }

    /// A cancel was answered.
    pub(crate) fn cancelled(self: &Arc<Self>, id: u64, was: Option<api::Cancelled>) {
        let mut calls = self.calls();
        let error = calls.requests.cancelled(id, was);
        calls.give_up(id, error);
        self.go_on(&mut calls);
    }

    /// A cancel failed; it is sent again.
    pub(crate) fn cancel_failed(self: &Arc<Self>, id: u64) {
        let mut calls = self.calls();
        let error = calls.requests.cancel_failed(id);
        calls.give_up(id, error);
        self.go_on(&mut calls);
    }
}
