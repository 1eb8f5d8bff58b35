//! The requests in flight on one stream: who waits for which tag, and whether the request has left.
//!
//! "Left" means that tonic took it from the queue. Until then a request can be taken back, and is
//! surely not applied: that is what makes trying again safe after a stream breaks.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_api::v1::{CallReply, CallRequest, Failure, KeepAliveReply, KeepAliveRequest};
use tokio::sync::oneshot;

use crate::core::Trouble;

/// A request that is matched with its reply by a tag.
pub(crate) trait Tagged: Send + 'static {
    /// The tag.
    fn tag(&self) -> u64;
    /// Sets it.
    fn set_tag(&mut self, tag: u64);
}

/// A reply to a tagged request.
pub(crate) trait Reply: Send + 'static {
    /// The request's tag.
    fn tag(&self) -> u64;
    /// Whether another reply follows.
    fn is_interim(&self) -> bool;
    /// Takes the failure that it carries, if any.
    fn take_failure(&mut self) -> Option<Failure>;
}

impl Tagged for CallRequest {
    fn tag(&self) -> u64 {
        self.tag
    }

    fn set_tag(&mut self, tag: u64) {
        self.tag = tag;
    }
}

impl Reply for CallReply {
    fn tag(&self) -> u64 {
        self.tag
    }

    fn is_interim(&self) -> bool {
        self.parked && self.failure.is_none()
    }

    fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

impl Tagged for KeepAliveRequest {
    fn tag(&self) -> u64 {
        self.tag
    }

    fn set_tag(&mut self, tag: u64) {
        self.tag = tag;
    }
}

impl Reply for KeepAliveReply {
    fn tag(&self) -> u64 {
        self.tag
    }

    fn is_interim(&self) -> bool {
        false
    }

    fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

/// How a request ended: a reply, or why there is none.
pub(crate) type Landing<R> = Result<R, Trouble>;

/// Which request of a session, in which round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The request.
    pub(crate) id: u64,
    /// The round.
    pub(crate) round: u64,
}

/// A session, which is notified of what comes of its requests, interim replies included.
pub(crate) trait Ground<R>: Send + Sync {
    /// A request was answered or failed. Called while no table is locked.
    fn landed(self: Arc<Self>, key: Key, landing: Landing<R>);
}

enum Waiter<R> {
    Once(oneshot::Sender<Landing<R>>),
    Session(Arc<dyn Ground<R>>, Key),
}

impl<R> Waiter<R> {
    fn told(self, landing: Landing<R>) {
        match self {
            Self::Once(sender) => {
                let _nobody_waits = sender.send(landing);
            }
            Self::Session(session, key) => session.landed(key, landing),
        }
    }
}

struct Flight<R> {
    waiter: Waiter<R>,
    left: bool,
}

struct Table<R> {
    next_tag: u64,
    flights: HashMap<u64, Flight<R>>,
    closed: Option<String>,
}

/// The table of requests in flight.
pub(crate) struct Flights<R>(Mutex<Table<R>>);

impl<R> Default for Flights<R> {
    fn default() -> Self {
        Self(Mutex::new(Table { next_tag: 0, flights: HashMap::new(), closed: None }))
    }
}

/// A request's place in the table; dropping it takes the request back.
pub(crate) struct Ticket<R> {
    flights: Arc<Flights<R>>,
    /// What the request must carry.
    pub(crate) tag: u64,
}

impl<R: Reply> Flights<R> {
    fn table(&self) -> MutexGuard<'_, Table<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more request, and where its answer comes.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<(Ticket<R>, oneshot::Receiver<Landing<R>>), Trouble> {
        let (sender, receiver) = oneshot::channel();
        Ok((self.admit(Waiter::Once(sender))?, receiver))
    }

    /// A place for one more request of a session.
    pub(crate) fn enter_for(
        self: &Arc<Self>,
        session: Arc<dyn Ground<R>>,
        key: Key,
    ) -> Result<Ticket<R>, Trouble> {
        self.admit(Waiter::Session(session, key))
    }

    fn admit(self: &Arc<Self>, waiter: Waiter<R>) -> Result<Ticket<R>, Trouble> {
        let mut table = self.table();
        if let Some(why) = &table.closed {
            return Err(Trouble::NotSent(why.clone()));
        }
        table.next_tag += 1;
        let tag = table.next_tag;
        table.flights.insert(tag, Flight { waiter, left: false });
        drop(table);
        Ok(Ticket { flights: Arc::clone(self), tag })
    }

    /// The request with `tag` leaves now; false if it was taken back and must not.
    pub(crate) fn leave(&self, tag: u64) -> bool {
        match self.table().flights.get_mut(&tag) {
            Some(flight) => {
                flight.left = true;
                true
            }
            None => false,
        }
    }

    /// Passes a reply to its waiter. Without one it is dropped, and interim replies go to sessions
    /// only.
    pub(crate) fn land(&self, mut reply: R) {
        let waiter = {
            let mut table = self.table();
            match table.flights.get(&reply.tag()).map(|flight| &flight.waiter) {
                Some(Waiter::Session(session, key)) if reply.is_interim() => {
                    Some(Waiter::Session(Arc::clone(session), *key))
                }
                Some(Waiter::Once(_)) if reply.is_interim() => None,
                _ => table.flights.remove(&reply.tag()).map(|flight| flight.waiter),
            }
        };
        if let Some(waiter) = waiter {
            waiter.told(match reply.take_failure() {
                Some(failure) => Err(Trouble::Answered(Box::new(failure))),
                None => Ok(reply),
            });
        }
    }

    /// The member refused the stream, and so all requests; admits none from here on.
    pub(crate) fn refuse(&self, failure: &Failure) {
        for Flight { waiter, .. } in self.end(&failure.message).into_values() {
            waiter.told(Err(Trouble::Answered(Box::new(failure.clone()))));
        }
    }

    fn end(&self, why: &str) -> HashMap<u64, Flight<R>> {
        let mut table = self.table();
        table.closed.get_or_insert_with(|| why.to_owned());
        std::mem::take(&mut table.flights)
    }

    /// The stream is over: fails all requests, and admits none from here on.
    pub(crate) fn close(&self, why: &str) {
        for Flight { waiter, left } in self.end(why).into_values() {
            waiter.told(Err(if left {
                Trouble::NoAnswer(why.to_owned())
            } else {
                Trouble::NotSent(why.to_owned())
            }));
        }
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.table().flights.is_empty()
    }

    /// Whether the stream is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.table().closed.is_some()
    }
}

impl<R> Ticket<R> {
    fn remove(&self) -> Option<Flight<R>> {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).flights.remove(&self.tag)
    }

    /// Takes the request back; returns whether it had left.
    pub(crate) fn take_back(self) -> bool {
        self.remove().is_none_or(|flight| flight.left)
    }
}

impl<R> Drop for Ticket<R> {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests;
