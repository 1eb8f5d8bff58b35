//! Replies that their client reads, and does not read.
use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tower::service_fn;

use super::*;

const QUERY_URI: &str = "http://member/synod.v1.Spaces/Query";

/// A body of one chunk that has `bytes`.
struct One(Option<usize>);

impl http_body::Body for One {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(vec![0; bytes].into()))))
    }
}

/// Sends a request over the connection of `account`, whose reply has `bytes`.
async fn ask(account: &Arc<Account>, uri: &str, bytes: usize) -> Response<Body> {
    let service = service_fn(move |_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::new(One(Some(bytes))))))
    });
    let mut request = Request::builder().uri(uri).body(Body::empty()).expect("a request");
    request.extensions_mut().insert(account.clone());
    MeterLayer.layer(service).call(request).await.expect("infallible")
}

fn refused(response: &Response<Body>) -> bool {
    let status = Status::from_header_map(response.headers());
    status.is_some_and(|status| status.code() == Code::ResourceExhausted)
}

async fn read(response: &mut Response<Body>) -> Bytes {
    let body = response.body_mut();
    let frame = futures::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
    frame.expect("it has one").expect("it is read").into_data().expect("it is data")
}

#[tokio::test]
async fn a_client_that_never_reads_gets_no_more_replies_than_fit() {
    let account = Port::clients().account();
    let mut unread = Vec::new();
    while let Ok(response) =
        tokio::time::timeout(Duration::from_millis(200), ask(&account, QUERY_URI, 512 * 1_024)).await
    {
        assert!(!refused(&response));
        unread.push(response);
        assert!(unread.len() < 100, "nothing slows this client down");
    }
    let bytes = unread.len() * 512 * 1_024;
    assert!(bytes <= CLIENT_BYTES, "{bytes} bytes are kept");
    for response in &mut unread {
        drop(read(response).await);
    }
    assert!(!refused(&ask(&account, QUERY_URI, 512 * 1_024).await));
}

#[tokio::test]
async fn a_client_that_reads_gets_all_replies() {
    let account = Port::clients().account();
    for _ in 0..100 {
        let mut response = ask(&account, QUERY_URI, 1_024 * 1_024).await;
        assert_eq!(read(&mut response).await.len(), 1_024 * 1_024);
    }
}

#[tokio::test]
async fn a_reply_counts_until_the_transport_has_sent_it() {
    let account = Port::clients().account();
    let unsent = || account.replies.as_ref().expect("a client's").unsent.has_room();
    let mut response = ask(&account, "http://member/synod.v1.Sessions/List", REPLIES.owed_bytes).await;
    let chunk = read(&mut response).await;
    drop(response);
    assert!(!unsent());
    drop(chunk);
    assert!(unsent());
}

#[test]
fn outcomes_take_room_until_they_are_dropped_and_get_none_beyond_the_bound() {
    let account = Port::clients().account();
    let kept: Vec<_> = std::iter::from_fn(|| account.keep(1_000_000)).take(100).collect();
    assert_eq!(kept.len(), CLIENT_BYTES / 1_000_000);
    let failure = account.admit_reply(1_000_000).expect_err("it has no room");
    assert_eq!((failure.reason.as_str(), failure.limit.as_str()), ("BUSY", "CLIENT_BYTES"));
    assert_eq!(failure.kind(), Kind::OutcomeUnknown);
    drop(kept);
    assert!(account.admit_reply(1_000_000).is_ok());
}

#[test]
fn arguments_of_waiting_calls_are_bounded_apart_from_requests_and_replies() {
    let account = Port::clients().account();
    let longest = synod_abi::limits::ARGS_BYTES;
    let waiting: Vec<_> = std::iter::from_fn(|| account.park(longest)).collect();
    assert_eq!(waiting.len() * longest, PARKED.taken_bytes);
    assert!(account.keep(longest).is_some() && account.try_admit(longest).is_some());
    drop(waiting);
    assert!(account.park(longest).is_some());
}

#[tokio::test]
async fn with_unread_replies_no_call_of_a_stream_is_begun() {
    let account = Port::clients().account();
    let unread = account.replies.as_ref().expect("a client's").unsent.owe(REPLIES.owed_bytes);
    assert!(account.try_admit(100).is_none());
    let mut waiting = account.clone().admit(100).boxed();
    assert!((&mut waiting).now_or_never().is_none());
    drop(unread);
    assert!(waiting.now_or_never().is_some());
}

#[test]
fn what_is_expected_of_replies_follows_those_of_late() {
    let account = Port::clients().account();
    let replies = account.replies.as_ref().expect("a client's");
    (0..100).for_each(|_| replies.observe(10));
    assert_eq!(replies.typical(), LEAST_REPLY_BYTES);
    replies.observe(300_000);
    assert_eq!(replies.typical(), 300_000);
    replies.observe(10);
    assert_eq!(replies.typical(), 225_000);
    replies.observe(usize::MAX);
    assert_eq!(replies.typical(), MOST_REPLY_BYTES);
}

#[tokio::test]
async fn as_many_calls_run_as_there_is_room_for_their_replies() {
    let account = Port::clients().account();
    account.replies.as_ref().expect("a client's").observe(512 * 1_024);
    let running: Vec<_> = std::iter::from_fn(|| account.try_admit(100)).take(100).collect();
    assert_eq!(running.len(), EXPECTED.taken_bytes / (512 * 1_024));
    let mut waiting = account.clone().admit(100).boxed();
    assert!((&mut waiting).now_or_never().is_none());
    drop(running);
    assert!(waiting.now_or_never().is_some());
}
