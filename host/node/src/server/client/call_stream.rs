//! The calls of one stream: started in the order of their arrival, answered in any order.
//!
//! Two limits, beside those of bytes in [`admitted`](super::admitted). Calls that run are few and
//! short: with [`STREAM_CALLS`] of them the stream is not read, which is back-pressure to its
//! client. Parked calls may wait for hours, and the call that completes them may come over the same
//! stream, so they never stop it from being read; beyond [`STREAM_WAITING`] of them a call fails
//! with a request to send it again later.
//!
//! Dropping the stream ends the waiting; the calls stay parked. When the member stops, no more
//! requests are read, and the stream ends with the reason once running calls have their replies.
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use synod_abi::Reason;
use synod_api::v1::failure::Kind;
use synod_api::v1::{CallReply, Failure};
use tonic::{Code, Status};

/// Running calls of one stream; with so many it is not read.
pub(super) const STREAM_CALLS: usize = 4_096;
/// Parked calls of one stream, which wait for another command to complete them.
pub(super) const STREAM_WAITING: usize = 16_384;

/// When a client should send a call again that this stream did not wait for.
const COME_AGAIN_MS: u64 = 1_000;

/// The first result of a call.
pub(super) enum Step<W> {
    /// It has its answer.
    Answered(CallReply),
    /// It is parked: the interim reply, and the future of the final one.
    Parked(CallReply, W),
}

/// The calls of one stream, as the stream of their replies. The future that `begin` returns must
/// submit its call when it is first polled.
pub(super) struct CallStream<R, B, C, W> {
    requests: Option<R>,
    begin: B,
    running: FuturesUnordered<C>,
    waiting: FuturesUnordered<W>,
    waiting_first: bool,
    /// Resolves with the reason when the member stops; none once it has.
    stopping: Option<BoxFuture<'static, Status>>,
    /// The last item of a stream that ends because the member stops, or a request was refused.
    reason: Option<Status>,
}

impl<R, B, C, W, Q> CallStream<R, B, C, W>
where
    R: Stream<Item = Result<Q, Status>> + Unpin,
    B: FnMut(Q) -> C + Unpin,
    C: Future<Output = Step<W>>,
    W: Future<Output = CallReply>,
{
    /// The calls in `requests`, each started by `begin`, until `stopping`.
    pub(super) fn new(requests: R, begin: B, stopping: BoxFuture<'static, Status>) -> Self {
        Self {
            requests: Some(requests),
            begin,
            running: FuturesUnordered::new(),
            waiting: FuturesUnordered::new(),
            waiting_first: false,
            stopping: Some(stopping),
            reason: None,
        }
    }

    fn look_whether_it_stops(&mut self, cx: &mut Context<'_>) {
        let Some(stopping) = &mut self.stopping else { return };
        if let Poll::Ready(reason) = stopping.poll_unpin(cx) {
            self.stopping = None;
            self.reason = Some(reason);
            self.requests = None;
        }
    }

    fn take_in(&mut self, cx: &mut Context<'_>) {
        while let Some(requests) = &mut self.requests
            && self.running.len() < STREAM_CALLS
        {
            match requests.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(request))) => self.running.push((self.begin)(request)),
                Poll::Ready(Some(Err(reason))) => {
                    self.reason = Some(reason);
                    self.requests = None;
                }
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => return,
            }
        }
    }

    fn next_running(&mut self, cx: &mut Context<'_>) -> Option<CallReply> {
        let Poll::Ready(Some(step)) = self.running.poll_next_unpin(cx) else { return None };
        Some(match step {
            Step::Answered(reply) => reply,
            Step::Parked(reply, _) if self.waiting.len() >= STREAM_WAITING => come_again(reply),
            Step::Parked(reply, waiting) => {
                self.waiting.push(waiting);
                reply
            }
        })
    }

    fn next_waiting(&mut self, cx: &mut Context<'_>) -> Option<CallReply> {
        match self.waiting.poll_next_unpin(cx) {
            Poll::Ready(reply) => reply,
            Poll::Pending => None,
        }
    }
}

/// The reply sent instead of `parked` when the stream is at its limit of parked calls.
fn come_again(CallReply { header, tag, .. }: CallReply) -> CallReply {
    let message = format!(
        "the call waits, but this stream waits for {STREAM_WAITING} calls already and does not tell when it \
            is done; send it again later, or now on another connection"
    );
    let failure = Failure {
        kind: Kind::OutcomeUnknown.into(),
        reason: Reason::TooManyWaiting.into(),
        limit: "STREAM_WAITING".to_owned(),
        limit_value: STREAM_WAITING as u64,
        retry_after_ms: COME_AGAIN_MS,
        header,
        message,
        status_code: Code::ResourceExhausted as u32,
        ..Failure::default()
    };
    CallReply { tag, failure: Some(failure), ..CallReply::default() }
}

impl<R, B, C, W, Q> Stream for CallStream<R, B, C, W>
where
    R: Stream<Item = Result<Q, Status>> + Unpin,
    B: FnMut(Q) -> C + Unpin,
    C: Future<Output = Step<W>>,
    W: Future<Output = CallReply>,
{
    type Item = Result<CallReply, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.look_whether_it_stops(cx);
        this.take_in(cx);
        this.waiting_first = !this.waiting_first;
        let reply = if this.waiting_first {
            this.next_waiting(cx).or_else(|| this.next_running(cx))
        } else {
            this.next_running(cx).or_else(|| this.next_waiting(cx))
        };
        match reply {
            Some(reply) => Poll::Ready(Some(Ok(reply))),
            None if this.requests.is_none() && this.running.is_empty() && this.waiting.is_empty() => {
                Poll::Ready(this.reason.take().map(Err))
            }
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
