//! What goes to the member over a stream of watches.
//!
//! It is bounded: there is at most one create for each permit of the stream, and one cancel for
//! each watch whose create has left.
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use synod_api::v1::watch_request::Request;
use synod_api::v1::{CancelWatch, CreateWatch, RequestProgress, WatchRequest};
use tokio_stream::Stream;

#[derive(Default)]
struct Pending {
    creates: VecDeque<CreateWatch>,
    cancels: VecDeque<u64>,
    progress: bool,
    closed: bool,
    waker: Option<Waker>,
}

/// The requests that wait for the transport to take them.
#[derive(Default)]
pub(super) struct Outbox(Mutex<Pending>);

impl Outbox {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        let waker = {
            let mut pending = self.pending();
            change(&mut pending);
            pending.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Sends a create.
    pub(super) fn create(&self, create: CreateWatch) {
        self.change(|pending| pending.creates.push_back(create));
    }

    /// Takes a create back, or sends a cancel if it has left.
    pub(super) fn cancel(&self, watch_id: u64) {
        self.change(|pending| {
            let before = pending.creates.len();
            pending.creates.retain(|create| create.watch_id != watch_id);
            if pending.creates.len() == before && !pending.closed {
                pending.cancels.push_back(watch_id);
            }
        });
    }

    /// Asks for a progress mark.
    pub(super) fn request_progress(&self) {
        self.change(|pending| pending.progress = true);
    }

    /// Ends the client's half of the stream.
    pub(super) fn close(&self) {
        self.change(|pending| {
            *pending = Pending { closed: true, waker: pending.waker.take(), ..Pending::default() }
        });
    }
}

/// The requests as tonic takes them.
pub(super) struct Outgoing(pub(super) Arc<Outbox>);

impl Stream for Outgoing {
    type Item = WatchRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchRequest>> {
        let mut pending = self.0.pending();
        let request = if let Some(watch_id) = pending.cancels.pop_front() {
            Request::Cancel(CancelWatch { watch_id })
        } else if let Some(create) = pending.creates.pop_front() {
            Request::Create(create)
        } else if std::mem::take(&mut pending.progress) {
            Request::Progress(RequestProgress {})
        } else if pending.closed {
            return Poll::Ready(None);
        } else {
            pending.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(Some(WatchRequest { request: Some(request) }))
    }
}

#[cfg(test)]
mod tests;
