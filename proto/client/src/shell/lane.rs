//! A stream of requests and replies that are matched by tags, of which a connection has one of each
//! kind, and its place in the connection.
//!
//! A stream that is not used for a while ends, and the next request opens another one: a connection
//! is probed while a stream is open on it, and one on which nothing happens should cost its member
//! nothing.
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::Stream;
use tonic::{Response, Status, Streaming};

use super::flights::{Flights, Reply, Tagged};
use super::trouble::{describe, late};
use crate::core::Trouble;

/// Requests that wait for tonic to take them.
const QUEUE: usize = 256;

/// A stream of requests and replies.
pub(crate) struct Lane<Q, R> {
    /// What is sent, in this order.
    pub(crate) queue: mpsc::Sender<Q>,
    /// What is in flight.
    pub(crate) flights: Arc<Flights<R>>,
}

type Present<Q, R> = RwLock<Option<Arc<Lane<Q, R>>>>;

/// The place of a lane in its connection: empty until the first request, and when it was not used
/// for a while. Clones share it.
pub(super) struct Slot<Q, R> {
    lane: Arc<Present<Q, R>>,
    /// How long a lane may be without a reply.
    idle: Duration,
}

impl<Q: Tagged, R: Reply> Slot<Q, R> {
    pub(super) fn new(idle: Duration) -> Self {
        Self { lane: Arc::default(), idle }
    }

    /// Whether there is a lane.
    pub(super) fn is_open(&self) -> bool {
        self.present().is_some()
    }

    /// Whether there is one and it broke.
    pub(super) fn is_broken(&self) -> bool {
        self.present().is_some_and(|lane| lane.flights.is_closed())
    }

    fn present(&self) -> Option<Arc<Lane<Q, R>>> {
        self.lane.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lane, which `start` opens if there is none.
    pub(super) fn lane<F, A>(&self, start: F) -> Arc<Lane<Q, R>>
    where
        F: FnOnce(Outgoing<Q, R>) -> A,
        A: Future<Output = Result<Response<Streaming<R>>, Status>> + Send + 'static,
    {
        if let Some(lane) = self.present() {
            return lane;
        }
        let mut slot = self.lane.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = &*slot {
            return Arc::clone(lane);
        }
        let (queue, requests) = mpsc::channel(QUEUE);
        let flights = Arc::new(Flights::default());
        let outgoing = Outgoing { requests, flights: Arc::clone(&flights) };
        let present = Self { lane: Arc::clone(&self.lane), idle: self.idle };
        tokio::spawn(drive(start(outgoing), Arc::clone(&flights), present));
        let lane = Arc::new(Lane { queue, flights });
        *slot = Some(Arc::clone(&lane));
        lane
    }

    /// Gives the lane up if nobody uses it: its stream ends when what is queued has left.
    fn retire(&self) {
        let mut slot = self.lane.write().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|lane| Arc::strong_count(lane) == 1 && lane.flights.is_empty()) {
            *slot = None;
        }
    }
}

impl<Q: Tagged, R: Reply> Lane<Q, R> {
    /// Sends a request, and waits for its reply until `deadline`, which is after `timeout_ms`.
    pub(super) async fn ask(&self, mut request: Q, timeout_ms: u64, deadline: Instant) -> Result<R, Trouble> {
        let (ticket, answer) = self.flights.enter()?;
        request.set_tag(ticket.tag);
        let result = tokio::time::timeout_at(deadline, async {
            match self.queue.send(request).await {
                Ok(()) => answer.await.unwrap_or_else(|_| Err(Trouble::NoAnswer("the stream ended".into()))),
                Err(_) => answer.await.unwrap_or_else(|_| Err(Trouble::NotSent("the stream ended".into()))),
            }
        })
        .await;
        result.unwrap_or_else(|_| Err(late(ticket.take_back(), timeout_ms)))
    }
}

/// The requests that leave: those that were not taken back meanwhile.
pub(super) struct Outgoing<Q, R> {
    requests: mpsc::Receiver<Q>,
    flights: Arc<Flights<R>>,
}

impl<Q: Tagged, R: Reply> Stream for Outgoing<Q, R> {
    type Item = Q;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Q>> {
        loop {
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) if !self.flights.leave(request.tag()) => {}
                other => return other,
            }
        }
    }
}

async fn drive<Q: Tagged, R: Reply>(
    start: impl Future<Output = Result<Response<Streaming<R>>, Status>>,
    flights: Arc<Flights<R>>,
    slot: Slot<Q, R>,
) {
    let why = match start.await {
        Err(status) => match synod_api::failure_of_status(&status) {
            Some(failure) => return flights.refuse(&failure),
            None => describe(&status),
        },
        Ok(response) => read(response.into_inner(), &flights, slot).await,
    };
    flights.close(&why);
}

/// Passes replies on until the stream ends, and returns why it did.
async fn read<Q: Tagged, R: Reply>(
    mut replies: Streaming<R>,
    flights: &Flights<R>,
    slot: Slot<Q, R>,
) -> String {
    let mut look = every(slot.idle);
    let mut is_used = true;
    loop {
        tokio::select! {
            biased;
            reply = replies.message() => match reply {
                Ok(Some(reply)) => {
                    is_used = true;
                    flights.land(reply);
                }
                Ok(None) => return "the member ended the stream".to_owned(),
                Err(status) => return describe(&status),
            },
            _ = look.tick() => {
                if !is_used {
                    slot.retire();
                }
                is_used = false;
            }
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
