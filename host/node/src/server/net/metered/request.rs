//! The body of a request, whose messages count until they are answered.
//!
//! tonic gathers a message before it decodes it. So its length, which its first bytes announce, is
//! taken as a whole before the rest is read: a message either has room and can be finished, or
//! waits with what was read of it.
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::Frame;
use tokio::time::{Sleep, sleep, timeout};
use tonic::Status;
use tonic::body::Body;

use super::{PATIENCE, Patience, half_sent, no_room_for_request};
use crate::server::net::budget::{Charge, Meter};

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Messages that were handed to the service, and are not answered yet or may not be decoded yet.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Messages>);

#[derive(Debug, Default)]
struct Messages {
    answered: bool,
    charge: Option<Charge>,
}

impl Pending {
    /// For a service that counts by itself what it keeps.
    pub(super) fn answered_already() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Messages { answered: true, charge: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Messages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, charge: Charge) {
        match &mut self.lock().charge {
            Some(kept) => kept.merge(charge),
            none => *none = Some(charge),
        }
    }

    /// The service has read on, so it has decoded what it was given; a stream counts from here on
    /// what it keeps.
    fn read_on(&self) {
        let mut messages = self.lock();
        if messages.answered {
            messages.charge = None;
        }
    }

    /// The response begins.
    pub(super) fn answered(&self) {
        let mut messages = self.lock();
        messages.answered = true;
        messages.charge = None;
    }
}

/// Where a body is in its sequence of messages.
#[derive(Debug, Default)]
struct Framing {
    prefix: Vec<u8>,
    /// Bytes that the message which began needs still.
    missing: usize,
}

/// What a chunk of a body brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Brought {
    /// Bytes of the messages that began in it, whole.
    begun: usize,
    /// Bytes of the one that it did not finish, whole, if that began in it.
    unfinished: usize,
    /// Whether it ended in the midst of a message.
    open: bool,
}

impl Framing {
    fn push(&mut self, mut chunk: &[u8]) -> Brought {
        let mut brought = Brought::default();
        loop {
            let taken = self.missing.min(chunk.len());
            self.missing -= taken;
            chunk = &chunk[taken..];
            if self.missing > 0 || chunk.is_empty() {
                break;
            }
            brought.unfinished = 0;
            let (begin, rest) = chunk.split_at(chunk.len().min(PREFIX_BYTES - self.prefix.len()));
            self.prefix.extend_from_slice(begin);
            chunk = rest;
            let Some(&[a, b, c, d]) = self.prefix.get(1..PREFIX_BYTES) else { break };
            self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
            self.prefix.clear();
            brought.unfinished = PREFIX_BYTES + self.missing;
            brought.begun += brought.unfinished;
        }
        brought.open = self.missing > 0;
        if !brought.open {
            brought.unfinished = 0;
        }
        brought
    }
}

enum Waiting {
    /// For the connection to owe less.
    Room(BoxFuture<'static, ()>),
    /// For room for the messages that began in a chunk.
    Messages { chunk: Bytes, brought: Brought, taking: BoxFuture<'static, Result<Charge, Status>> },
}

/// See the module.
pub(super) struct MeteredRequest {
    body: Body,
    meter: Arc<Meter>,
    pending: Arc<Pending>,
    patience: Patience,
    framing: Framing,
    /// The message that arrives, and until when it may.
    arriving: Option<(Charge, Pin<Box<Sleep>>)>,
    waiting: Option<Waiting>,
}

impl MeteredRequest {
    /// Counts the messages of `body`.
    pub(super) fn new(body: Body, meter: Arc<Meter>, pending: Arc<Pending>) -> Self {
        Self {
            body,
            meter,
            pending,
            patience: PATIENCE,
            framing: Framing::default(),
            arriving: None,
            waiting: None,
        }
    }

    /// As tonic takes it.
    pub(super) fn boxed(self) -> Body {
        Body::new(self)
    }

    /// Hands a chunk on whose messages have room: `taken` is that of those that began in it.
    fn hand_on(&mut self, chunk: Bytes, brought: Brought, taken: Option<Charge>) -> Frame<Bytes> {
        let arrives_on = brought.open && brought.begun == 0;
        if !arrives_on && let Some((finished, _)) = self.arriving.take() {
            self.pending.keep(finished);
        }
        if let Some(mut taken) = taken {
            if brought.open {
                let unfinished = taken.split(brought.unfinished);
                self.arriving = Some((unfinished, Box::pin(sleep(self.patience.arrival))));
            }
            self.pending.keep(taken);
        }
        Frame::data(chunk)
    }

    /// Takes room for what a chunk brought, at once or by waiting.
    fn admit(&mut self, chunk: Bytes) -> Option<Frame<Bytes>> {
        let brought = self.framing.push(&chunk);
        // A message over the limit is refused when it is decoded, and no more of it is read. What
        // streams that wait owe leaves room for one of the longest.
        let bytes = brought.begun.min(self.meter.bounds().taken_bytes - self.meter.bounds().owed_bytes);
        if bytes == 0 {
            return Some(self.hand_on(chunk, brought, None));
        }
        if let Some(taken) = self.meter.try_take(bytes) {
            return Some(self.hand_on(chunk, brought, Some(taken)));
        }
        let (owed, meter, room) = (self.meter.owe(chunk.len()), self.meter.clone(), self.patience.room);
        let taking = async move {
            let bounds = meter.bounds();
            let taken = timeout(room, meter.take(bytes)).await;
            drop(owed);
            taken.map_err(|_| no_room_for_request(bytes, bounds))
        };
        self.waiting = Some(Waiting::Messages { chunk, brought, taking: taking.boxed() });
        None
    }

    /// Waits for what was waited for; a chunk that may be handed on now.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Status>> {
        let taken = match &mut self.waiting {
            None => return Poll::Ready(Ok(None)),
            Some(Waiting::Room(room)) => {
                ready!(room.poll_unpin(cx));
                self.waiting = None;
                return Poll::Ready(Ok(None));
            }
            Some(Waiting::Messages { taking, .. }) => ready!(taking.poll_unpin(cx)),
        };
        let Some(Waiting::Messages { chunk, brought, .. }) = self.waiting.take() else {
            return Poll::Ready(Ok(None));
        };
        Poll::Ready(taken.map(|taken| Some(self.hand_on(chunk, brought, Some(taken)))))
    }
}

impl http_body::Body for MeteredRequest {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            match ready!(this.poll_waiting(cx)) {
                Ok(None) => {}
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
            this.pending.read_on();
            if let Some((_, until)) = &mut this.arriving {
                if until.poll_unpin(cx).is_ready() {
                    return Poll::Ready(Some(Err(half_sent(this.patience.arrival))));
                }
            } else if !this.meter.has_room() {
                this.waiting = Some(Waiting::Room(this.meter.clone().room().boxed()));
                continue;
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        if let Some(frame) = this.admit(chunk) {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests;
