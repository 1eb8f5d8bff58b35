//! Unit tests of `call_stream`.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt};
use synod_api::v1::CallRequest;

use super::*;

type Waiting = BoxFuture<'static, CallReply>;

/// Answers a call when it is told to, and remembers in which order calls were begun.
#[derive(Clone, Default)]
struct FakeCalls {
    begun: Arc<Mutex<Vec<u64>>>,
    calls: Arc<Mutex<BTreeMap<u64, oneshot::Sender<bool>>>>,
    parked: Arc<Mutex<BTreeMap<u64, oneshot::Sender<()>>>>,
}

impl FakeCalls {
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
) -> (FakeCalls, impl Stream<Item = Result<CallReply, Status>> + Unpin) {
    let member = FakeCalls::default();
    let begin = member.clone();
    let never = futures::future::pending().boxed();
    (member, CallStream::new(requests, move |request| begin.begin(request), never))
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
        let expected = (Kind::OutcomeUnknown, String::from(Reason::TooManyWaiting), last);
        assert_eq!(limit, (tag == last).then_some(expected));
    }
    assert_eq!(next(&mut replies), None);
    member.answer(last + 1);
    assert!(next(&mut replies).is_some_and(|reply| reply.failure.is_none()));
}

#[test]
fn a_stream_whose_member_stops_reads_no_more_and_ends_with_the_reason_after_what_runs() {
    let member = FakeCalls::default();
    let begin = member.clone();
    let (tell, told) = oneshot::channel::<()>();
    let (mut requests, incoming) = mpsc::channel(8);
    let stopping = told.map(|_| Status::unavailable("stopping")).boxed();
    let mut replies = CallStream::new(incoming, move |request| begin.begin(request), stopping);
    requests.try_send(request(1)).expect("room");
    requests.try_send(request(2)).expect("room");
    assert_eq!(next(&mut replies), None);
    member.park(2);
    assert!(next(&mut replies).is_some_and(|reply| reply.parked));
    tell.send(()).expect("it listens");
    requests.try_send(request(3)).expect("room");
    assert_eq!(next(&mut replies), None);
    assert_eq!(member.running(), 1, "no further request was read");
    member.answer(1);
    assert_eq!(next(&mut replies).map(|reply| reply.tag), Some(1));
    member.complete(2);
    assert_eq!(next(&mut replies).map(|reply| reply.tag), Some(2));
    let last = replies.next().now_or_never().flatten().expect("the reason");
    assert_eq!(last.expect_err("it is a status").message(), "stopping");
    assert!(replies.next().now_or_never().is_some_and(|end| end.is_none()));
}
