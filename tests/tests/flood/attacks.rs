//! Clients that only cost: each function is one way to make a member keep something or work, as far
//! as it lets them. What an attack holds is held, and what it does goes on, until its [`Held`] is
//! dropped.
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::poll_fn;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use prost::Message;
use prost::bytes::Bytes;
use synod_api::v1::watch_request::Request as Watched;
use synod_api::v1::{CallRequest, CreateWatch, QueryRequest, Value, WatchRequest, value::Form};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codegen::http::Request;

/// Streams of one connection, which is less than a member allows.
const STREAMS: usize = 120;
/// The length that a half-sent message announces.
const MESSAGE_BYTES: usize = 4 * 1_024 * 1_024;
/// The longest reply of a call, nearly.
pub(crate) const LONG_REPLY_BYTES: usize = 1_000_000;
/// Bytes that are sent at once.
const CHUNK_BYTES: usize = 16 * 1_024;
/// How HTTP/2 begins,
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// and its first frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Bytes before the payload of a frame.
const FRAME_HEADER_BYTES: usize = 9;
const GRPC: &str = "application/grpc";
/// Requests that are reset at once.
const RESETS_AT_ONCE: u32 = 64;
/// An attack is as far as it gets when nothing has moved for so long.
const STILL: Duration = Duration::from_millis(500);
/// How long an attack may take to get there: refusals make it go on.
const REACH: Duration = Duration::from_secs(10);

/// What an attack holds.
#[derive(Default)]
pub(crate) struct Held {
    tasks: JoinSet<()>,
    moved: Arc<AtomicUsize>,
    /// Whether it goes on until it is dropped.
    goes_on: bool,
}

impl Held {
    /// An attack that goes on.
    fn going_on() -> Self {
        Self { goes_on: true, ..Self::default() }
    }

    /// Waits until the attack moves nothing more, or has begun if it goes on.
    pub(crate) async fn reached(&self) {
        let (began, mut since, mut before) = (Instant::now(), Instant::now(), 0);
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while since.elapsed() < STILL && began.elapsed() < REACH && !(self.goes_on && before > 0) {
            tick.tick().await;
            let now = self.moved.load(Ordering::Relaxed);
            if now != before {
                (since, before) = (Instant::now(), now);
            }
        }
    }

    /// Bytes or things that were moved.
    pub(crate) fn moved(&self) -> usize {
        self.moved.load(Ordering::Relaxed)
    }

    /// Keeps a stream open whose reply is not read.
    fn keep(&mut self, reply: Reply, body: SendStream<Bytes>) {
        let moved = self.moved.clone();
        self.tasks.spawn(async move {
            let _kept = (body, reply.begin().await);
            moved.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
    }

    fn note(&self, moved: usize) {
        self.moved.fetch_add(moved, Ordering::Relaxed);
    }
}

/// Begins HTTP/2 with windows of `window` bytes, within `held`.
async fn begin(held: &mut Held, address: &str, window: u32) -> Option<SendRequest<Bytes>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut builder = h2::client::Builder::new();
    let begun = builder.initial_window_size(window).handshake(stream).await;
    let (requests, connection) = begun.ok()?;
    held.tasks.spawn(async move {
        let _closed = connection.await;
    });
    Some(requests)
}

async fn open(requests: &mut SendRequest<Bytes>, path: &str) -> Option<(Reply, SendStream<Bytes>)> {
    let request = Request::builder()
        .method("POST")
        .uri(format!("http://member{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    poll_fn(|cx| requests.poll_ready(cx)).await.ok()?;
    let (reply, body) = requests.send_request(request, false).ok()?;
    Some((Reply(reply), body))
}

/// A reply that nobody reads.
struct Reply(h2::client::ResponseFuture);

impl Reply {
    async fn begin(self) -> Option<RecvStream> {
        self.0.await.ok().map(|response| response.into_body())
    }
}

/// Connections that have begun and say nothing more.
pub(crate) async fn idle_connections(address: String, count: usize) -> Held {
    let mut held = Held::default();
    for _ in 0..count {
        if let Some(requests) = begin(&mut held, &address, 65_535).await {
            held.note(1);
            held.tasks.spawn(async move {
                let _kept = requests;
                std::future::pending::<()>().await;
            });
        }
    }
    held
}

/// Streams of `path` whose message is never finished.
pub(crate) async fn half_sent_messages(address: String, path: &'static str, count: usize) -> Held {
    let mut held = Held::default();
    for first in (0..count).step_by(STREAMS) {
        let Some(mut requests) = begin(&mut held, &address, 65_535).await else { continue };
        for _ in first..count.min(first + STREAMS) {
            let Some((reply, body)) = open(&mut requests, path).await else { break };
            held.tasks.spawn(send_but_one(reply, body, held.moved.clone()));
        }
    }
    held
}

/// Sends all of a message but its last byte.
async fn send_but_one(reply: Reply, mut body: SendStream<Bytes>, moved: Arc<AtomicUsize>) {
    let mut chunk = vec![0];
    chunk.extend((MESSAGE_BYTES as u32).to_be_bytes());
    let mut left = MESSAGE_BYTES - 1;
    loop {
        let length = chunk.len();
        if !has_capacity(&mut body, length).await {
            return;
        }
        if body.send_data(Bytes::from(std::mem::take(&mut chunk)), false).is_err() {
            return;
        }
        moved.fetch_add(length, Ordering::Relaxed);
        if left == 0 {
            break;
        }
        chunk.resize(left.min(CHUNK_BYTES), 0);
        left -= chunk.len();
    }
    let _ended = reply.begin().await;
}

/// Streams that ask for much, half of them by queries and half by watches, and read none of it.
pub(crate) async fn unread_streams(address: String, count: usize) -> Held {
    let mut held = Held::default();
    for first in (0..count).step_by(STREAMS) {
        let Some(mut requests) = begin(&mut held, &address, 0).await else { continue };
        for n in first..count.min(first + STREAMS) {
            let (path, message) = match n % 2 {
                0 => ("/synod.v1.Spaces/Query", framed(&everything())),
                _ => ("/synod.v1.Spaces/Watch", framed(&watch_of_everything())),
            };
            let Some((reply, mut body)) = open(&mut requests, path).await else { break };
            let _refused = body.send_data(message, n % 2 == 0);
            held.keep(reply, body);
        }
    }
    held
}

fn everything() -> QueryRequest {
    let args = Value { form: Some(Form::Json(r#"{"prefix": ""}"#.to_owned())), signature: 0 };
    QueryRequest {
        space: "kv".to_owned(),
        query: "list".to_owned(),
        args: Some(args),
        ..QueryRequest::default()
    }
}

fn watch_of_everything() -> WatchRequest {
    let create = CreateWatch {
        watch_id: 1,
        space: "kv".to_owned(),
        prefix: true,
        start: Some(synod_api::v1::create_watch::Start::FromOldest(true)),
        ..CreateWatch::default()
    };
    WatchRequest { request: Some(Watched::Create(create)) }
}

/// Clients that ask for as much as they can by every way at once, and read nothing: many queries
/// and watches, a message that is never finished, and a call stream, on which short replies are
/// followed by the longest.
pub(crate) async fn unread_clients(address: String, count: usize, long_calls: usize) -> Held {
    const QUERIES: usize = 30;
    const WATCHES: usize = 30;
    const SHORT_CALLS: usize = 300;
    let mut held = Held::default();
    for _ in 0..count {
        let Some(mut requests) = begin(&mut held, &address, 65_535).await else { continue };
        let Some((reply, body)) = open(&mut requests, "/synod.v1.Spaces/CallStream").await else { continue };
        let calls = (0..SHORT_CALLS).map(|_| call("counter", "add", r#"{"key": "k", "by": 1}"#.to_owned()));
        let long = format!(r#"{{"bytes": {LONG_REPLY_BYTES}}}"#);
        let calls = calls.chain((0..long_calls).map(move |_| call("hostile", "answer", long.clone())));
        held.tasks.spawn(send_all(reply, body, calls, held.moved.clone()));
        for n in 0..QUERIES + WATCHES {
            let (path, message, ends) = if n < QUERIES {
                ("/synod.v1.Spaces/Query", framed(&everything()), true)
            } else {
                ("/synod.v1.Spaces/Watch", framed(&watch_of_everything()), false)
            };
            let Some((reply, mut body)) = open(&mut requests, path).await else { break };
            let _refused = body.send_data(message, ends);
            held.keep(reply, body);
        }
        if let Some((reply, body)) = open(&mut requests, "/synod.v1.Recipes/Install").await {
            held.tasks.spawn(send_but_one(reply, body, held.moved.clone()));
        }
    }
    held
}

fn call(space: &str, operation: &str, args: String) -> Bytes {
    framed(&CallRequest {
        space: space.to_owned(),
        operation: operation.to_owned(),
        args: Some(Value { form: Some(Form::Json(args)), signature: 0 }),
        ..CallRequest::default()
    })
}

/// Sends as much as is taken, and reads nothing.
async fn send_all(
    reply: Reply,
    mut body: SendStream<Bytes>,
    messages: impl Iterator<Item = Bytes> + Send,
    moved: Arc<AtomicUsize>,
) {
    for message in messages {
        let length = message.len();
        if !has_capacity(&mut body, length).await || body.send_data(message, false).is_err() {
            return;
        }
        moved.fetch_add(length, Ordering::Relaxed);
    }
    let _kept = (body, reply.begin().await);
    std::future::pending::<()>().await;
}

/// Waits until the stream takes `length` bytes; false if it has ended.
async fn has_capacity(body: &mut SendStream<Bytes>, length: usize) -> bool {
    body.reserve_capacity(length);
    while body.capacity() < length {
        match poll_fn(|cx| body.poll_capacity(cx)).await {
            Some(Ok(_)) => {}
            _ => return false,
        }
    }
    true
}

fn framed(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend((body.len() as u32).to_be_bytes());
    framed.extend(body);
    framed.into()
}

/// Connections whose requests are reset as soon as they are sent; each is followed by another one
/// when it is closed.
pub(crate) async fn rapid_resets(address: String, connections: usize) -> Held {
    let resets: Arc<[u8]> = (0..RESETS_AT_ONCE).flat_map(|n| reset_request(2 * n + 1)).collect();
    repeated(address, connections, move |_, mut stream, moved| {
        let resets = resets.clone();
        async move {
            stream.write_all(&[PREFACE, SETTINGS].concat()).await?;
            let (mut answers, mut requests) = stream.split();
            let send = async {
                let mut resets = resets.to_vec();
                loop {
                    requests.write_all(&resets).await?;
                    moved.fetch_add(RESETS_AT_ONCE as usize, Ordering::Relaxed);
                    renumber(&mut resets);
                }
            };
            tokio::select! {
                ended = send => ended,
                ended = until_closed(&mut answers) => ended,
            }
        }
    })
}

/// Connections that send garbage, half of a frame, or a preface that does not go on; each is
/// followed by another one when it is closed.
pub(crate) async fn garbage(address: String, connections: usize) -> Held {
    let half_frame = [PREFACE, SETTINGS, &[0, 0x40, 0, 1, 4, 0, 0, 0, 1, 0x82]].concat();
    let endless_headers = [PREFACE, SETTINGS, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    let kinds: Arc<[Vec<u8>]> = Arc::new([
        vec![0xff; 4_096],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        PREFACE[..10].to_vec(),
        half_frame,
        endless_headers,
    ]);
    repeated(address, connections, move |n, mut stream, moved| {
        let kinds = kinds.clone();
        async move {
            stream.write_all(&kinds[n % kinds.len()]).await?;
            moved.fetch_add(1, Ordering::Relaxed);
            until_closed(&mut stream).await
        }
    })
}

/// So many connections at a time, by number, each used by `attack` until it ends.
fn repeated<F>(
    address: String,
    connections: usize,
    attack: impl Fn(usize, TcpStream, Arc<AtomicUsize>) -> F + Send + Sync + 'static,
) -> Held
where
    F: Future<Output = io::Result<()>> + Send,
{
    let mut held = Held::going_on();
    let attack = Arc::new(attack);
    for n in 0..connections {
        let (address, attack, moved) = (address.clone(), attack.clone(), held.moved.clone());
        held.tasks.spawn(async move {
            loop {
                if let Ok(stream) = TcpStream::connect(&address).await {
                    let _closed = attack(n, stream, moved.clone()).await;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    held
}

/// Reads until the other side closes.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut answers = [0; 1_024];
    while stream.read(&mut answers).await? > 0 {}
    Ok(())
}

/// The frames of a query on `stream`, and of its reset.
fn reset_request(stream: u32) -> Vec<u8> {
    const METHOD_POST: u8 = 0x83;
    const SCHEME_HTTP: u8 = 0x86;
    const END_HEADERS: u8 = 4;
    const CANCEL: u32 = 8;
    let mut headers = vec![METHOD_POST, SCHEME_HTTP];
    for (name, value) in [(&[4][..], "/synod.v1.Spaces/Query"), (&[1], "member"), (&[0x0f, 0x10], GRPC)] {
        headers.extend(name);
        headers.push(value.len() as u8);
        headers.extend(value.as_bytes());
    }
    let mut frames = frame(1, END_HEADERS, stream, &headers);
    frames.extend(frame(3, 0, stream, &CANCEL.to_be_bytes()));
    frames
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Moves frames on to the streams that follow theirs.
fn renumber(frames: &mut [u8]) {
    let mut rest = frames;
    while let Some((head, tail)) = rest.split_first_chunk_mut::<FRAME_HEADER_BYTES>() {
        let [0, high, low, _, _, stream @ ..] = head else { return };
        let next = u32::from_be_bytes(*stream) + 2 * RESETS_AT_ONCE;
        *stream = next.to_be_bytes();
        let length = usize::from(*high) << 8 | usize::from(*low);
        rest = &mut tail[length..];
    }
}
