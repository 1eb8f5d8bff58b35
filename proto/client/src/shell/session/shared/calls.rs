//! The calls of a session that are not over, who waits for each, and the member that they go to:
//! what the lock in [`Shared`](super::Shared) guards. Ids and order are kept in [`Requests`].
use std::collections::HashMap;
use std::sync::Arc;

use synod_api::v1::{CallReply, CallRequest};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::Error;
use crate::core::Requests;
use crate::shell::flights::Ticket;
use crate::shell::link::Link;

/// The calls of a session.
pub(super) struct Calls {
    pub(super) requests: Requests,
    pub(super) waiting: HashMap<u64, Waiting>,
    /// The member of the present round.
    pub(super) lane: Option<Aboard>,
    /// Whether the router knows that the member has answered in this round.
    pub(super) praised: bool,
    /// Whether something could be sent if the queue had room.
    pub(super) crowded: bool,
    /// The link for whose queue the pump was last told to stand in line.
    pub(super) line: Option<Arc<Link>>,
    /// When the pump wakes by itself.
    pub(super) wakes_ms: u64,
    pub(super) over: Option<Over>,
}

/// The member of a round.
#[derive(Clone)]
pub(super) struct Aboard {
    pub(super) address: Arc<str>,
    pub(super) link: Arc<Link>,
}

/// A call whose caller waits, or whose cancel is not answered.
pub(super) struct Waiting {
    pub(super) request: CallRequest,
    pub(super) answer: Option<oneshot::Sender<Result<CallReply, Error>>>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pub(super) flight: Option<Flight>,
}

/// The last sending of a call.
pub(super) struct Flight {
    pub(super) round: u64,
    pub(super) ticket: Ticket<CallReply>,
    pub(super) aboard: Aboard,
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The cluster, or the session's deadline.
    Lost,
    /// Its owner, who sees to the cluster's side.
    Closed,
    /// Its owner, by dropping the last handle: it is to be closed on the cluster.
    Dropped,
}

/// How a session ended, for its client.
#[derive(Clone, Debug)]
pub(super) struct Over {
    pub(super) why: String,
    pub(super) close: bool,
}

impl Calls {
    /// No calls, and no member yet.
    pub(super) fn new(requests: Requests) -> Self {
        Self {
            requests,
            waiting: HashMap::new(),
            lane: None,
            praised: false,
            crowded: false,
            line: None,
            wakes_ms: u64::MAX,
            over: None,
        }
    }

    /// The link whose queue has no room for a request that could be sent.
    pub(super) fn crowded_by(&self) -> Option<&Arc<Link>> {
        self.lane.as_ref().filter(|_| self.crowded).map(|aboard| &aboard.link)
    }
    /// Answers a call that is over.
    pub(super) fn answer(&mut self, id: u64, result: Result<CallReply, Error>) {
        if let Some(sender) = self.waiting.remove(&id).and_then(|waiting| waiting.answer) {
            let _nobody_waits = sender.send(result);
        }
    }

    /// Returns an error to the caller, if there is one and it still waits, and drops what is kept
    /// for the call, unless it is still to be cancelled.
    pub(super) fn give_up(&mut self, id: u64, error: Option<Error>) {
        if let (Some(error), Some(waiting)) = (error, self.waiting.get_mut(&id))
            && let Some(sender) = waiting.answer.take()
        {
            let _nobody_waits = sender.send(Err(error));
        }
        if !self.requests.is_known(id) {
            self.waiting.remove(&id);
        }
    }

    /// Takes back the last sending of a request. Whether it had left decides whether it may have an
    /// effect.
    pub(super) fn take_back(&mut self, id: u64) {
        self.requests.take_back(id);
        let flight = self.waiting.get_mut(&id).and_then(|waiting| waiting.flight.take());
        if flight.is_some_and(|flight| !flight.ticket.take_back()) {
            self.requests.not_sent(id);
        }
    }
}
