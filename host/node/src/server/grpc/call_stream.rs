//! The calls of one stream: taken in and begun in the order in which they come, answered as they
//! are ready.
//!
//! Two bounds. Calls that run are few and short: at [`STREAM_CALLS`] the stream is not read, which
//! its client feels as back-pressure. Calls that wait for another command may wait for hours, and
//! what they wait for may come over the same stream, so they never keep it from being read; beyond
//! [`STREAM_WAITING`] one is told to come again.
//!
//! Dropping it stops the waiting, not what is waited for.
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use synod_api::v1::failure::Kind;
use synod_api::v1::{CallReply, CallRequest, Failure};
use tonic::{Code, Status};

/// Calls of one stream that run; beyond that it is not read.
pub(super) const STREAM_CALLS: usize = 4_096;
/// Calls of one stream that wait for another command to complete them.
pub(super) const STREAM_WAITING: usize = 16_384;

/// How long a client leaves a call alone that this stream would not wait for.
const COME_AGAIN_MS: u64 = 1_000;

/// What a call has come to.
pub(super) enum Step<W> {
    /// It has its answer.
    Answered(CallReply),
    /// It waits: what to say now, and where its answer comes from.
    Parked(CallReply, W),
}

/// The calls of one stream, as the stream of their replies. `begin` must submit its call when it is
/// first polled.
pub(super) struct CallStream<R, B, C, W> {
    requests: Option<R>,
    begin: B,
    running: FuturesUnordered<C>,
    waiting: FuturesUnordered<W>,
    waiting_first: bool,
}

impl<R, B, C, W> CallStream<R, B, C, W>
where
    R: Stream<Item = Result<CallRequest, Status>> + Unpin,
    B: FnMut(CallRequest) -> C + Unpin,
    C: Future<Output = Step<W>>,
    W: Future<Output = CallReply>,
{
    /// The calls in `requests`, each begun by `begin`.
    pub(super) fn new(requests: R, begin: B) -> Self {
        Self {
            requests: Some(requests),
            begin,
            running: FuturesUnordered::new(),
            waiting: FuturesUnordered::new(),
            waiting_first: false,
        }
    }

    fn take_in(&mut self, cx: &mut Context<'_>) {
        while let Some(requests) = &mut self.requests
            && self.running.len() < STREAM_CALLS
        {
            match requests.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(request))) => self.running.push((self.begin)(request)),
                Poll::Ready(Some(Err(_)) | None) => self.requests = None,
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

/// What is told instead of that a call is parked, when this stream cannot wait for one more.
fn come_again(CallReply { header, tag, .. }: CallReply) -> CallReply {
    let message = format!(
        "the call waits, but this stream waits for {STREAM_WAITING} calls already and does not tell when it \
            is done; send it again later, or now on another connection"
    );
    let failure = Failure {
        kind: Kind::OutcomeUnknown.into(),
        reason: synod_api::reason::TOO_MANY_WAITING.to_owned(),
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

impl<R, B, C, W> Stream for CallStream<R, B, C, W>
where
    R: Stream<Item = Result<CallRequest, Status>> + Unpin,
    B: FnMut(CallRequest) -> C + Unpin,
    C: Future<Output = Step<W>>,
    W: Future<Output = CallReply>,
{
    type Item = Result<CallReply, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
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
                Poll::Ready(None)
            }
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use futures::channel::{mpsc, oneshot};
    use futures::future::BoxFuture;
    use futures::{FutureExt, SinkExt};

    use super::*;

    type Waiting = BoxFuture<'static, CallReply>;

    /// Answers a call when it is told to, and remembers in which order calls were begun.
    #[derive(Clone, Default)]
    struct Member {
        begun: Arc<Mutex<Vec<u64>>>,
        calls: Arc<Mutex<BTreeMap<u64, oneshot::Sender<bool>>>>,
        parked: Arc<Mutex<BTreeMap<u64, oneshot::Sender<()>>>>,
    }

    impl Member {
        fn begin(&self, CallRequest { tag, .. }: CallRequest) -> impl Future<Output = Step<Waiting>> + use<> {
            let this = self.clone();
            async move {
                let (sender, done) = oneshot::channel();
                this.begun.lock().expect("no panic").push(tag);
                this.calls.lock().expect("no panic").insert(tag, sender);
                let reply = CallReply { tag, ..CallReply::default() };
                if !done.await.expect("told") {
                    return Step::Answered(reply);
                }
                let (sender, completed) = oneshot::channel();
                this.parked.lock().expect("no panic").insert(tag, sender);
                let waiting = completed.map(move |_| CallReply { tag, ..CallReply::default() }).boxed();
                Step::Parked(CallReply { parked: true, ..reply }, waiting)
            }
        }

        fn answer(&self, tag: u64) {
            self.calls.lock().expect("no panic").remove(&tag).expect("it runs").send(false).expect("heard");
        }

        fn park(&self, tag: u64) {
            self.calls.lock().expect("no panic").remove(&tag).expect("it runs").send(true).expect("heard");
        }

        fn complete(&self, tag: u64) {
            self.parked.lock().expect("no panic").remove(&tag).expect("it waits").send(()).expect("heard");
        }

        fn running(&self) -> usize {
            self.calls.lock().expect("no panic").len()
        }
    }

    fn request(tag: u64) -> Result<CallRequest, Status> {
        Ok(CallRequest { tag, ..CallRequest::default() })
    }

    fn stream(
        requests: impl Stream<Item = Result<CallRequest, Status>> + Unpin,
    ) -> (Member, impl Stream<Item = Result<CallReply, Status>> + Unpin) {
        let member = Member::default();
        let begin = member.clone();
        (member, CallStream::new(requests, move |request| begin.begin(request)))
    }

    fn next(replies: &mut (impl Stream<Item = Result<CallReply, Status>> + Unpin)) -> Option<CallReply> {
        replies.next().now_or_never().map(|reply| reply.expect("it goes on").expect("no status"))
    }

    #[test]
    fn calls_are_begun_in_their_order_and_answered_in_any() {
        let (member, mut replies) = stream(futures::stream::iter((1..=100).map(request)));
        assert_eq!(next(&mut replies), None);
        assert_eq!(*member.begun.lock().expect("no panic"), (1..=100).collect::<Vec<_>>());
        member.answer(70);
        member.answer(3);
        assert_eq!(next(&mut replies).map(|reply| reply.tag), Some(70));
        assert_eq!(next(&mut replies).map(|reply| reply.tag), Some(3));
        assert_eq!(next(&mut replies), None);
    }

    #[test]
    fn a_parked_call_says_so_and_answers_later() {
        let (member, mut replies) = stream(futures::stream::iter([request(7)]));
        assert_eq!(next(&mut replies), None);
        member.park(7);
        assert!(next(&mut replies).is_some_and(|reply| reply.parked && reply.tag == 7));
        assert_eq!(next(&mut replies), None, "the stream stays open for the answer");
        member.complete(7);
        assert!(next(&mut replies).is_some_and(|reply| !reply.parked && reply.tag == 7));
        assert!(replies.next().now_or_never().is_some_and(|end| end.is_none()));
    }

    #[test]
    fn calls_that_run_fill_the_window_and_calls_that_wait_do_not() {
        let (mut sender, requests) = mpsc::channel(2 * STREAM_CALLS);
        let (member, mut replies) = stream(requests);
        let count = STREAM_CALLS as u64;
        for tag in 0..=count {
            sender.send(request(tag)).now_or_never().expect("room").expect("open");
        }
        assert_eq!(next(&mut replies), None);
        assert_eq!(member.running(), STREAM_CALLS, "the last one is not read");
        for tag in 0..count {
            member.park(tag);
        }
        for _ in 0..count {
            assert!(next(&mut replies).is_some_and(|reply| reply.parked));
        }
        assert_eq!(next(&mut replies), None);
        assert_eq!(member.running(), 1, "the last one runs while all others wait");
        member.complete(5);
        assert!(next(&mut replies).is_some_and(|reply| reply.tag == 5 && !reply.parked));
    }

    #[test]
    fn a_call_too_many_to_wait_for_is_told_to_come_again_and_the_stream_goes_on() {
        let last = STREAM_WAITING as u64;
        let (member, mut replies) = stream(futures::stream::iter((0..=last + 1).map(request)));
        for tag in 0..=last {
            if member.running() == 0 {
                assert_eq!(next(&mut replies), None);
            }
            member.park(tag);
            let reply = next(&mut replies).expect("a reply");
            assert_eq!((reply.tag, reply.parked), (tag, tag != last));
            let limit = reply.failure.map(|failure| (failure.kind(), failure.reason, failure.limit_value));
            let expected = (Kind::OutcomeUnknown, synod_api::reason::TOO_MANY_WAITING.to_owned(), last);
            assert_eq!(limit, (tag == last).then_some(expected));
        }
        assert_eq!(next(&mut replies), None);
        member.answer(last + 1);
        assert!(next(&mut replies).is_some_and(|reply| reply.failure.is_none()));
    }
}
