//! Bodies that arrive in pieces, or do not arrive.
use std::time::Duration;

use futures::channel::mpsc;
use futures::{StreamExt, stream};
use http_body::Body as _;

use super::super::{CLIENT_BYTES, REQUESTS};
use super::*;
use crate::server::net::budget::{Pool, Total};

const HASTE: Patience = Patience { room: Duration::from_millis(20), arrival: Duration::from_millis(20) };

/// A body whose chunks come over a channel.
struct Chunks(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.poll_next_unpin(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn body(meter: &Arc<Meter>, pending: &Arc<Pending>) -> (mpsc::UnboundedSender<Bytes>, MeteredRequest) {
    let (chunks, received) = mpsc::unbounded();
    (chunks, MeteredRequest::new(Body::new(Chunks(received)), meter.clone(), pending.clone()))
}

/// The same, which does not wait long.
fn hasty(meter: &Arc<Meter>) -> (mpsc::UnboundedSender<Bytes>, MeteredRequest) {
    let (chunks, body) = body(meter, &Pending::answered_already());
    (chunks, MeteredRequest { patience: HASTE, ..body })
}

fn meter() -> Arc<Meter> {
    Meter::new(Pool::new(64 * 1_024 * 1_024), Total::new(CLIENT_BYTES), REQUESTS)
}

/// The first `bytes` of a message that has `length`.
fn message(length: usize, bytes: usize) -> Bytes {
    let mut message = vec![0];
    message.extend(u32::try_from(length).expect("a length of gRPC").to_be_bytes());
    message.resize(PREFIX_BYTES + bytes, 0);
    message.into()
}

async fn next(body: &mut MeteredRequest) -> Option<Result<usize, Status>> {
    let frame = futures::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
    frame.map(|frame| frame.map(|frame| frame.into_data().map_or(0, |data| data.len())))
}

fn waits(body: &mut MeteredRequest) -> bool {
    next(body).now_or_never().is_none()
}

/// Whether `bytes` fit beside what is held.
fn has(meter: &Arc<Meter>, bytes: usize) -> bool {
    meter.try_take(bytes).is_some()
}

#[test]
fn messages_are_found_wherever_chunks_are_cut() {
    let whole = [message(3, 3), message(0, 0), message(300, 300), message(70, 40)].concat();
    for size in 1..whole.len() {
        let mut framing = Framing::default();
        let brought: Vec<_> = whole.chunks(size).map(|chunk| framing.push(chunk)).collect();
        let begun: usize = brought.iter().map(|brought| brought.begun).sum();
        assert_eq!(begun, 4 * PREFIX_BYTES + 3 + 300 + 70, "in chunks of {size}");
        assert_eq!(framing.missing, 30, "in chunks of {size}");
        assert!(brought.last().is_some_and(|brought| brought.open), "in chunks of {size}");
    }
}

#[test]
fn the_last_message_of_a_chunk_is_told_from_those_before() {
    let brought = Framing::default().push(&[message(3, 3), message(70, 40)].concat());
    assert_eq!(brought, Brought { begun: 8 + 75, unfinished: 75, open: true });
    let brought = Framing::default().push(&message(3, 3));
    assert_eq!(brought, Brought { begun: 8, unfinished: 0, open: false });
}

#[tokio::test]
async fn a_message_has_room_as_a_whole_from_its_first_bytes_until_it_is_answered() {
    let (meter, pending) = (meter(), Arc::new(Pending::default()));
    let (chunks, mut body) = body(&meter, &pending);
    let (all, length) = (REQUESTS.taken_bytes, 1_000_000);
    chunks.unbounded_send(message(length, 10)).expect("it is open");
    assert!(next(&mut body).await.is_some_and(|read| read.is_ok()));
    assert!(!has(&meter, all - length) && has(&meter, all - length - PREFIX_BYTES));
    chunks.unbounded_send(vec![0; length - 10].into()).expect("it is open");
    drop(chunks);
    assert!(next(&mut body).await.is_some_and(|read| read.is_ok()));
    assert!(next(&mut body).await.is_none());
    drop(body);
    assert!(!has(&meter, all), "the request is not answered yet");
    pending.answered();
    assert!(has(&meter, all));
}

#[tokio::test]
async fn a_stream_keeps_a_message_only_until_it_reads_on() {
    let (meter, pending) = (meter(), Pending::answered_already());
    let (chunks, mut body) = body(&meter, &pending);
    chunks.unbounded_send(message(100, 100)).expect("it is open");
    assert!(next(&mut body).await.is_some());
    assert!(!has(&meter, REQUESTS.taken_bytes));
    assert!(waits(&mut body));
    assert!(has(&meter, REQUESTS.taken_bytes));
}

#[tokio::test]
async fn half_sent_messages_take_no_more_than_their_connection_may_hold_and_one_is_finished() {
    const STREAMS: usize = 128;
    const FRAME: usize = 16 * 1_024;
    let meter = meter();
    let mut bodies: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (chunks, body) = body(&meter, &Pending::answered_already());
            chunks.unbounded_send(message(synod_api::REQUEST_BYTES, FRAME)).expect("it is open");
            (chunks, body)
        })
        .collect();
    let mut admitted = 0;
    for (_, body) in &mut bodies {
        admitted += usize::from(!waits(body));
    }
    assert_eq!(admitted, 1, "the bound is one message");
    assert!(!meter.has_room(), "the others owe what was read of them");
    let owing = bodies.iter().filter(|(_, body)| matches!(body.waiting, Some(Waiting::Messages { .. })));
    assert!(owing.count() * FRAME <= REQUESTS.owed_bytes + FRAME);
    let (chunks, first) = &mut bodies[0];
    chunks.unbounded_send(vec![0; synod_api::REQUEST_BYTES - FRAME].into()).expect("it is open");
    assert!(!waits(first));
    bodies.remove(0);
    let mut others = stream::iter(&mut bodies).map(|(_, body)| next(body)).buffer_unordered(STREAMS);
    let read = tokio::time::timeout(Duration::from_secs(20), others.next()).await.expect("one has room now");
    assert!(read.flatten().is_some_and(|read| read.is_ok()));
}

#[tokio::test]
async fn a_message_without_room_is_refused_by_name_after_a_while() {
    let meter = meter();
    let _held = meter.try_take(REQUESTS.taken_bytes - 1_000).expect("it fits");
    let (chunks, mut body) = hasty(&meter);
    chunks.unbounded_send(message(10_000, 10)).expect("it is open");
    let Some(Err(status)) = next(&mut body).await else { panic!("it was read") };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    let failure = synod_api::failure_of_status(&status).expect("it is typed");
    assert_eq!((failure.reason.as_str(), failure.limit.as_str()), ("BUSY", "REQUESTS"));
    assert_eq!(failure.limit_value, REQUESTS.taken_bytes as u64);
}

#[tokio::test]
async fn a_message_that_is_never_finished_ends_its_stream() {
    let meter = meter();
    let (chunks, mut body) = hasty(&meter);
    chunks.unbounded_send(message(10_000, 10)).expect("it is open");
    assert!(next(&mut body).await.is_some_and(|read| read.is_ok()));
    let Some(Err(status)) = next(&mut body).await else { panic!("it was read") };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    drop(body);
    assert!(has(&meter, REQUESTS.taken_bytes));
}

#[tokio::test]
async fn a_stream_may_be_silent_between_messages() {
    let (chunks, mut body) = hasty(&meter());
    chunks.unbounded_send(message(10, 10)).expect("it is open");
    assert!(next(&mut body).await.is_some_and(|read| read.is_ok()));
    let silent = tokio::time::timeout(5 * HASTE.arrival, next(&mut body)).await;
    assert!(silent.is_err(), "it ended: {silent:?}");
}
