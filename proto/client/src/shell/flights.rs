//! The calls in flight on one call stream: who waits for which tag, and whether the request has left.
//!
//! "Left" means that tonic took it from the queue. Until then a call can be taken back, and is surely not applied: that is what
//! makes trying again safe after a stream breaks.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_api::v1::CallReply;
use tokio::sync::oneshot;

use crate::core::Trouble;

pub(crate) type Landing = Result<CallReply, Trouble>;

struct Flight {
    landing: oneshot::Sender<Landing>,
    left: bool,
}

#[derive(Default)]
struct Table {
    next_tag: u64,
    calls: HashMap<u64, Flight>,
    closed: Option<String>,
}

/// The table of calls in flight.
#[derive(Default)]
pub(crate) struct Flights(Mutex<Table>);

/// A call's place in the table; dropping it takes the call back.
pub(crate) struct Ticket {
    flights: Arc<Flights>,
    /// What the request must carry.
    pub(crate) tag: u64,
}

impl Flights {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more call, and where its answer comes.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<(Ticket, oneshot::Receiver<Landing>), Trouble> {
        let mut table = self.table();
        if let Some(why) = &table.closed {
            return Err(Trouble::NotSent(why.clone()));
        }
        table.next_tag += 1;
        let tag = table.next_tag;
        let (landing, receiver) = oneshot::channel();
        table.calls.insert(tag, Flight { landing, left: false });
        drop(table);
        Ok((Ticket { flights: Arc::clone(self), tag }, receiver))
    }

    /// The request with `tag` leaves now; false if it was taken back and must not.
    pub(crate) fn leave(&self, tag: u64) -> bool {
        match self.table().calls.get_mut(&tag) {
            Some(flight) => {
                flight.left = true;
                true
            }
            None => false,
        }
    }

    /// An answer came. One that nobody waits for any more is dropped.
    pub(crate) fn land(&self, reply: CallReply) {
        let flight = self.table().calls.remove(&reply.tag);
        if let Some(flight) = flight {
            let landed = match reply.failure {
                Some(failure) => Err(Trouble::Answered(Box::new(failure))),
                None => Ok(reply),
            };
            let _nobody_waits = flight.landing.send(landed);
        }
    }

    /// The stream is over: everyone who waits is told, and nobody can enter.
    pub(crate) fn close(&self, why: &str) {
        let calls = {
            let mut table = self.table();
            table.closed.get_or_insert_with(|| why.to_owned());
            std::mem::take(&mut table.calls)
        };
        for flight in calls.into_values() {
            let trouble = if flight.left { Trouble::NoAnswer(why.to_owned()) } else { Trouble::NotSent(why.to_owned()) };
            let _nobody_waits = flight.landing.send(Err(trouble));
        }
    }

    /// Whether the stream is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.table().closed.is_some()
    }
}

impl Ticket {
    /// Takes the call back; returns whether its request had left.
    pub(crate) fn take_back(self) -> bool {
        self.flights.table().calls.remove(&self.tag).is_none_or(|flight| flight.left)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.flights.table().calls.remove(&self.tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_api::v1::Failure;

    fn reply(tag: u64) -> CallReply {
        CallReply { tag, ..CallReply::default() }
    }

    #[test]
    fn answers_find_their_callers_in_any_order() {
        let flights = Arc::new(Flights::default());
        let (a, mut for_a) = flights.enter().expect("open");
        let (b, mut for_b) = flights.enter().expect("open");
        assert!(flights.leave(a.tag) && flights.leave(b.tag));
        flights.land(reply(b.tag));
        flights.land(CallReply { failure: Some(Failure::default()), ..reply(a.tag) });
        flights.land(reply(999));
        assert!(matches!(for_b.try_recv(), Ok(Ok(_))));
        assert!(matches!(for_a.try_recv(), Ok(Err(Trouble::Answered(_)))));
    }

    #[test]
    fn a_broken_stream_tells_who_left_from_who_did_not() {
        let flights = Arc::new(Flights::default());
        let (left, mut for_left) = flights.enter().expect("open");
        let (_queued, mut for_queued) = flights.enter().expect("open");
        assert!(flights.leave(left.tag));
        flights.close("reset");
        assert_eq!(for_left.try_recv(), Ok(Err(Trouble::NoAnswer("reset".into()))));
        assert_eq!(for_queued.try_recv(), Ok(Err(Trouble::NotSent("reset".into()))));
        assert!(flights.is_closed());
        assert!(matches!(flights.enter().map(|_| ()), Err(Trouble::NotSent(why)) if why == "reset"));
    }

    #[test]
    fn what_was_taken_back_never_leaves() {
        let flights = Arc::new(Flights::default());
        let (ticket, _receiver) = flights.enter().expect("open");
        let tag = ticket.tag;
        assert!(!ticket.take_back(), "it had not left");
        assert!(!flights.leave(tag));
        let (dropped, _receiver) = flights.enter().expect("open");
        let tag = dropped.tag;
        drop(dropped);
        assert!(!flights.leave(tag));
    }
}
