//! What follows from an answer to a request, or from the news that there is none.
use synod_abi::Reason;
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;

use super::super::pace::Until;
use super::{Place, Requests, has_run};
use crate::Error;
use crate::core::Trouble;

/// An answer to a request, or the reason why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Landed {
    /// It waits on the cluster.
    Parked,
    /// It has its result.
    Result,
    /// It failed, or the answer was lost.
    Failed(Trouble),
}

/// What the caller of [`Requests::landed`] has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing but to look for something to send.
    Nothing,
    /// The request waits, and does not count as running from here on.
    Parked,
    /// Hand the result to the caller.
    Deliver,
    /// Return the error to the caller.
    Fail(Error),
    /// Leave the member: the round is over.
    Leave,
    /// End the session, and return the error to the caller.
    Over(Error),
}

impl Requests {
    /// Takes in what came of a request that was sent in `round`.
    pub fn landed(&mut self, id: u64, round: u64, landed: Landed, now_ms: u64, jitter: u32) -> Step {
        let Some(call) = self.calls.get(&id) else { return Step::Nothing };
        let parked = call.parked;
        let Place::Flight { round: sent_in, .. } = call.place else { return Step::Nothing };
        if sent_in != round {
            return Step::Nothing;
        }
        if matches!(landed, Landed::Parked | Landed::Result | Landed::Failed(Trouble::Answered(_))) {
            self.heard_ms = now_ms;
        }
        match landed {
            Landed::Parked => {
                self.answered();
                if parked { Step::Nothing } else { self.park(id) }
            }
            Landed::Result => {
                self.answered();
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
            Landed::Failed(Trouble::Answered(failure)) => self.refused(id, round, *failure, now_ms, jitter),
        }
    }

    fn refused(&mut self, id: u64, round: u64, failure: Failure, now_ms: u64, jitter: u32) -> Step {
        let Some(call) = self.calls.get(&id) else { return Step::Nothing };
        let Place::Flight { below, .. } = call.place else { return Step::Nothing };
        let parked = call.parked;
        let once = call.sendings <= 1;
        match (failure.kind(), failure.known_reason()) {
            (Kind::Unavailable, Some(Reason::OutOfOrder)) => {
                let before = self.running.range(..id).next_back().copied();
                let until = before.filter(|before| !has_run(&self.calls, *before)).map(Until::Ran);
                self.came_back(id, until, now_ms, jitter)
            }
            (kind @ (Kind::Unavailable | Kind::OutcomeUnknown | Kind::Internal | Kind::Unspecified), _) => {
                if kind == Kind::Unavailable {
                    self.not_sent(id);
                }
                // Another member may have space on its disk now.
                let is_full = failure.known_reason() == Some(Reason::DiskFull);
                let least_ms = if is_full { 0 } else { failure.retry_after_ms };
                self.again(id, round, failure.message, least_ms, now_ms, jitter)
            }
            (Kind::Rejected, Some(Reason::SessionExpired)) => Step::Over(if once {
                Error::SessionExpired(failure.message)
            } else {
                Error::OutcomeUnknown(format!(
                    "the session ended before the call was answered: {}",
                    failure.message
                ))
            }),
            (Kind::Rejected, Some(Reason::TooManyOutcomes)) if self.frees_more(id, below, once) => {
                let floor = self.floor().min(id);
                let until = if floor < id { Until::Settled(floor) } else { Until::Later };
                self.came_back(id, (floor == below).then_some(until), now_ms, jitter)
            }
            // The id is another user's: no sending of this request has run, or ever will.
            (Kind::Rejected, Some(Reason::RequestReused)) => self.rejected(id, failure, true),
            (Kind::Rejected, _) => self.rejected(id, failure, once || parked),
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

    /// The cluster rejected the request. `sure`: no earlier sending of it can have run.
    fn rejected(&mut self, id: u64, failure: Failure, sure: bool) -> Step {
        let recorded = failure.known_reason().is_some_and(|reason| RECORDED.contains(&reason));
        let error = Error::from(failure);
        if sure || recorded {
            self.answered();
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

    /// Whether sending `id` again acknowledges more than its last sending with the floor `below`
    /// did, or soon will.
    fn frees_more(&self, id: u64, below: u64, once: bool) -> bool {
        let floor = self.floor();
        floor < id
            || floor.min(id) > below
            || (once && self.acks.range(..id).any(|(_, carrier)| carrier.is_none()))
    }

    /// The request is to be sent again, after what it has to wait for.
    fn came_back(&mut self, id: u64, until: Option<Until>, now_ms: u64, jitter: u32) -> Step {
        self.not_sent(id);
        self.place(id, Place::Here);
        self.pace.came_back();
        if let Some(until) = until {
            self.pace.hold(id, until, self.patience.policy.backoff, now_ms, jitter);
        }
        Step::Nothing
    }

    /// The request is to be sent again, in another round.
    fn again(&mut self, id: u64, round: u64, why: String, least_ms: u64, now_ms: u64, jitter: u32) -> Step {
        self.place(id, Place::Here);
        if self.round != Some(round) {
            return Step::Nothing;
        }
        self.failed(why, least_ms, now_ms, jitter);
        Step::Leave
    }
}

/// Reasons of rejections that the cluster surely records as the request's outcome: later requests
/// run, and a retry gets the same rejection. Others may leave no record: a member refuses some
/// requests before it proposes them.
pub(super) const RECORDED: [Reason; 7] = [
    Reason::RecipeError,
    Reason::RecipeFault,
    Reason::WaitTimeout,
    Reason::Cancelled,
    Reason::TooManyWaiting,
    Reason::TooManySpaces,
    Reason::TooManyOwed,
];
