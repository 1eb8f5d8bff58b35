//! Tests of a stream of watches over a member that does what it is told.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use futures::channel::{mpsc, oneshot};
use synod_abi::{Revision, SpaceId, Time};
use synod_api::v1::failure::Kind;
use synod_api::v1::{CreateWatch, RequestProgress, WatchQuery, create_watch::Start};
use synod_service::watch::WatchUpdate as Told;

use super::*;

#[derive(Default)]
struct State {
    created: Vec<NewWatch>,
    waiting: Vec<oneshot::Sender<()>>,
    cancelled: Vec<u64>,
    progress: usize,
    batches: VecDeque<Option<WatchBatch>>,
    waker: Option<Waker>,
    /// Whether creating takes until it is told to end.
    slow: bool,
}

/// A member that remembers what it was asked, and tells what it is given.
#[derive(Clone, Default)]
struct FakeWatches(Arc<Mutex<State>>);

impl FakeWatches {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().expect("no panic"))
    }

    fn tell(&self, updates: Vec<Told>) {
        self.with(|state| {
            state.batches.push_back(Some(WatchBatch { revision: Revision(9), time: Time(90), updates }))
        });
    }

    fn stop(&self) {
        self.with(|state| state.batches.push_back(None));
    }
}

impl Watches for FakeWatches {
    fn create(&self, new: NewWatch) -> BoxFuture<'static, ()> {
        let this = self.clone();
        async move {
            let (sender, ended) = oneshot::channel();
            let slow = this.with(|state| {
                state.created.push(new);
                state.waiting.push(sender);
                state.slow
            });
            if slow {
                let _dropped = ended.await;
            }
        }
        .boxed()
    }

    fn cancel(&self, id: WatchId) {
        self.with(|state| state.cancelled.push(id.0));
    }

    fn request_progress(&self) {
        self.with(|state| state.progress += 1);
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<WatchBatch>> {
        self.with(|state| match state.batches.pop_front() {
            Some(batch) => Poll::Ready(batch),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    fn header(&self, batch: Option<&WatchBatch>) -> Header {
        Header { revision: batch.map_or(1, |batch| batch.revision.0), ..Header::default() }
    }

    fn failure(&self, failure: CallFailure) -> Failure {
        let CallFailure::Rejected(rejected) = failure else {
            return Failure { kind: Kind::Unavailable.into(), ..Failure::default() };
        };
        let field = rejected.field.unwrap_or_default();
        Failure {
            kind: Kind::Rejected.into(),
            reason: rejected.reason.as_str().to_owned(),
            field,
            ..Failure::default()
        }
    }
}

type Sender = mpsc::UnboundedSender<Result<WatchRequest, Status>>;
type Replies = WatchReplies<mpsc::UnboundedReceiver<Result<WatchRequest, Status>>, FakeWatches>;

fn stream() -> (Sender, FakeWatches, Replies) {
    let ((sender, requests), member) = (mpsc::unbounded(), FakeWatches::default());
    (sender, member.clone(), WatchReplies::new(requests, member))
}

fn send(sender: &Sender, request: Request) {
    sender.unbounded_send(Ok(WatchRequest { request: Some(request) })).expect("open");
}

fn create(watch_id: u64) -> Request {
    Request::Create(CreateWatch { watch_id, space: "kv".into(), ..CreateWatch::default() })
}

fn next(replies: &mut Replies) -> Option<Option<WatchReply>> {
    replies.next().now_or_never().map(|reply| reply.map(|reply| reply.expect("no status")))
}

fn only_update(replies: &mut Replies) -> WatchUpdate {
    let mut reply = next(replies).expect("a reply").expect("it goes on");
    assert_eq!(reply.updates.len(), 1, "{reply:?}");
    reply.updates.remove(0)
}

fn cancelled(update: WatchUpdate) -> (u64, Option<Failure>) {
    let Some(Update::Cancelled(cancelled)) = update.update else { panic!("not cancelled: {update:?}") };
    (update.watch_id, cancelled.failure)
}

fn over(id: u64, failure: Option<CallFailure>) -> Told {
    Told::Cancelled { id: WatchId(id), failure, resume: Some(Revision(4)), compacted: None }
}

#[test]
fn requests_reach_the_member_in_their_order() {
    let (sender, member, mut replies) = stream();
    send(&sender, create(7));
    send(&sender, Request::Cancel(CancelWatch { watch_id: 7 }));
    send(&sender, Request::Progress(RequestProgress {}));
    assert_eq!(next(&mut replies), None);
    member.with(|state| {
        assert_eq!(
            (state.created.len(), state.created[0].id, state.cancelled.as_slice(), state.progress),
            (1, WatchId(7), &[7][..], 1)
        );
        assert!(state.waker.is_some(), "who has nothing to tell wakes the stream later");
    });
}

#[test]
fn a_batch_becomes_one_message_with_the_header_of_its_revision() {
    let (sender, member, mut replies) = stream();
    send(&sender, create(7));
    let bytes = super::super::watches::encode_event(synod_service::watch::EventRef {
        revision: Revision(8),
        number: 2,
        time: Time(5),
        topic: "a",
        payload: &synod_service::Value::Json("1".into()),
    });
    let created = Told::Created {
        id: WatchId(7),
        revision: Revision(3),
        space: SpaceId(2),
        result: None,
        time: Time(1),
    };
    member.tell(vec![
        created,
        Told::Events { id: WatchId(7), events: vec![bytes.into()], partial: true },
        Told::Progress { revision: Revision(9), time: Time(6) },
    ]);
    let reply = next(&mut replies).expect("a reply").expect("it goes on");
    assert_eq!(reply.header.as_ref().map(|header| header.revision), Some(9));
    let sent =
        <WatchReply as prost::Message>::decode(&*prost::Message::encode_to_vec(&reply)).expect("it is one");
    assert_eq!(sent.updates.iter().map(|update| update.watch_id).collect::<Vec<_>>(), [7, 7, 0]);
    let Some(Update::Events(events)) = &sent.updates[1].update else { panic!("events") };
    let event = &events.events[0];
    assert_eq!(
        (event.revision, event.number, event.time_ms, event.topic.as_str(), events.partial),
        (8, 2, 5, "a", true)
    );
}

#[test]
fn a_bad_request_is_answered_and_the_others_go_on() {
    let (sender, member, mut replies) = stream();
    send(&sender, create(1));
    let context = synod_api::v1::Context { session: vec![1; 3], ..Default::default() };
    let query = WatchQuery { query: "list".into(), context: Some(context), ..WatchQuery::default() };
    let bad = CreateWatch { watch_id: 2, start: Some(Start::Query(query)), ..CreateWatch::default() };
    send(&sender, Request::Create(bad));
    send(&sender, create(NO_WATCH));
    sender.unbounded_send(Ok(WatchRequest { request: None })).expect("open");
    let reply = next(&mut replies).expect("a reply").expect("it goes on");
    let told: Vec<_> = reply
        .updates
        .into_iter()
        .map(cancelled)
        .map(|(id, failure)| (id, failure.expect("why").field))
        .collect();
    assert_eq!(
        told,
        [
            (2, "context.session".to_owned()),
            (NO_WATCH, "create.watch_id".to_owned()),
            (NO_WATCH, "request".to_owned())
        ]
    );
    assert_eq!(next(&mut replies), None);
    member.tell(vec![over(1, None)]);
    assert_eq!(cancelled(only_update(&mut replies)), (1, None));
}

#[test]
fn a_stream_whose_requests_cannot_be_read_says_so_and_goes_on_until_its_watches_end() {
    let (sender, member, mut replies) = stream();
    send(&sender, create(1));
    sender.unbounded_send(Err(Status::internal("garbage"))).expect("open");
    let (id, failure) = cancelled(only_update(&mut replies));
    assert_eq!((id, failure.map(|failure| failure.kind())), (NO_WATCH, Some(Kind::Rejected)));
    assert_eq!(next(&mut replies), None, "its watch goes on");
    member.tell(vec![over(1, None)]);
    assert_eq!(cancelled(only_update(&mut replies)).0, 1);
    assert_eq!(next(&mut replies), Some(None));
}

#[test]
fn a_client_that_asks_for_nothing_more_keeps_its_watches() {
    let (sender, member, mut replies) = stream();
    send(&sender, create(1));
    drop(sender);
    assert_eq!(next(&mut replies), None);
    let exists = Rejected::new(Reason::WatchExists, "m").into();
    member.tell(vec![over(1, Some(exists))]);
    assert_eq!(cancelled(only_update(&mut replies)).0, 1);
    assert_eq!(next(&mut replies), None, "the watch that was there goes on");
    member.tell(vec![over(1, Some(Rejected::new(Reason::SpaceDeleted, "m").into()))]);
    assert_eq!(cancelled(only_update(&mut replies)).0, 1);
    assert_eq!(next(&mut replies), Some(None), "nothing can come any more");
}

#[test]
fn the_stream_ends_when_the_member_stops() {
    let (sender, member, mut replies) = stream();
    send(&sender, create(1));
    member.stop();
    assert_eq!(next(&mut replies), Some(None));
    drop(sender);
}

#[test]
fn a_stream_with_many_creates_under_way_is_not_read() {
    let (sender, member, mut replies) = stream();
    member.with(|state| state.slow = true);
    for id in 1..=WATCH_CREATES as u64 + 1 {
        send(&sender, create(id));
    }
    assert_eq!(next(&mut replies), None);
    assert_eq!(member.with(|state| state.created.len()), WATCH_CREATES);
    member.with(|state| drop(state.waiting.remove(0)));
    assert_eq!(next(&mut replies), None, "one is created, and makes room");
    assert_eq!(member.with(|state| state.created.len()), WATCH_CREATES + 1);
}

#[test]
fn a_client_that_only_asks_does_not_keep_others_from_their_turn() {
    let (sender, member, mut replies) = stream();
    for _ in 0..3 * REQUESTS_AT_ONCE {
        send(&sender, Request::Progress(RequestProgress {}));
    }
    assert_eq!(next(&mut replies), None);
    assert_eq!(member.with(|state| state.progress), REQUESTS_AT_ONCE);
}

#[test]
fn dropping_a_stream_leaves_nothing_behind() {
    let (sender, member, mut replies) = stream();
    member.with(|state| state.slow = true);
    send(&sender, create(1));
    assert_eq!(next(&mut replies), None);
    drop(replies);
    assert!(
        member.with(|state| state.waiting[0].is_canceled()),
        "the watch that is being created is dropped"
    );
    assert_eq!(Arc::strong_count(&member.0), 1);
}
