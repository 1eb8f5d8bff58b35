//! The layer that meters what a port keeps for its connections: requests until they are answered,
//! and replies until they are sent.
//!
//! The windows of HTTP/2 bound what is received and not read. They do not bound what was read: a
//! message that is half there, requests in progress, and replies that the client does not read.
//! Those are counted here, in the budgets of [`budget`](super::budget). Over a budget a stream is
//! not read any more, which HTTP/2 tells its client; what waits too long, or is there and has no
//! room, fails with `RESOURCE_EXHAUSTED` and the name of the limit.
//!
//! Watch streams and call streams bound the number of what they keep by themselves; see there.
mod reply;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::{MemberId, UnavailableReason};
use synod_api::status_of_failure;
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;
use synod_service::WAITING_CALL_BYTES;
use synod_service::ports::{Kept, ReplyRoom};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use self::reply::MeteredReply;
use self::request::{MeteredRequest, Pending};
use super::budget::{Bounds, Charge, Meter, Pool, Total};
use super::owner::{Ends, Owner};
use super::peers::PEER_MESSAGE_BYTES;

/// Requests of all clients that arrive or are in progress.
const CLIENT_REQUEST_BYTES: usize = 64 * 1_024 * 1_024;
/// Replies to all clients that are not sent yet; as much again is expected at most.
const CLIENT_REPLY_BYTES: usize = 64 * 1_024 * 1_024;
/// Messages of other members that arrive: a member receives long ones from its leader only.
const PEER_REQUEST_BYTES: usize = 32 * 1_024 * 1_024;
/// What a connection may hold of its port's bytes however little is left: a small request, so that
/// a client with small requests is served beside any number of greedy ones.
const SHARE_BYTES: usize = 16 * 1_024;
/// What a client's connection may hold in all: one of the longest requests, and the rest. With the
/// windows of HTTP/2 and what its streams cost by themselves that is less than 8 MiB, which a
/// client costs at most that never reads.
const CLIENT_BYTES: usize = synod_api::REQUEST_BYTES + 768 * 1_024;
/// Requests of a client's connection: one of the longest fits beside a few others.
const REQUESTS: Bounds = Bounds {
    taken_bytes: synod_api::REQUEST_BYTES + 512 * 1_024,
    owed_bytes: 384 * 1_024,
    share_bytes: SHARE_BYTES,
};
/// Replies to a client that it has not read: all that it may hold. With so many bytes owed it gets
/// no more of a stream.
const REPLIES: Bounds =
    Bounds { taken_bytes: CLIENT_BYTES, owed_bytes: 512 * 1_024, share_bytes: SHARE_BYTES };
/// Replies to a client that are expected, by those of late: with so many bytes no further request
/// is begun. One of the longest: with two, a client that never reads costs 8 MiB.
const EXPECTED: Bounds =
    Bounds { taken_bytes: MOST_REPLY_BYTES + 256 * 1_024, owed_bytes: 0, share_bytes: SHARE_BYTES };
/// Arguments of a client's calls that wait, perhaps for hours: two of the longest. They are no part
/// of what it may hold in all: the call that completes them may come over the same connection.
const PARKED: Bounds = Bounds { taken_bytes: 1_024 * 1_024, owed_bytes: 0, share_bytes: SHARE_BYTES };
/// Messages of one connection of another member: two of the longest, and a few short ones.
const PEER_REQUESTS: Bounds = Bounds {
    taken_bytes: 2 * PEER_MESSAGE_BYTES + (1_024 + 128) * 1_024,
    owed_bytes: 1_024 * 1_024,
    share_bytes: 64 * 1_024,
};
/// How long requests may take until they are there as a whole. Messages that wait for room hold up
/// the window of their connection, perhaps that of those which have room: so they wait but briefly.
const PATIENCE: Patience = Patience { room: Duration::from_secs(1), arrival: Duration::from_secs(30) };
/// How long a query may wait for room for its reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// When a client should try again that found no room.
const RETRY_AFTER_MS: u64 = 200;
/// What the first reply of a connection is expected to have,
const FIRST_REPLY_BYTES: usize = 64 * 1_024;
/// and any later one at least,
const LEAST_REPLY_BYTES: usize = 256;
/// and at most.
const MOST_REPLY_BYTES: usize = synod_abi::limits::REPLY_BYTES;
/// What a call or query has in memory beside its message.
const CALL_BYTES: usize = 128;
/// The method whose replies may be long and whose calls always end soon.
const QUERY: &str = "/synod.v1.Spaces/Query";

/// How long what a client sends may wait, and be waited for.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// How long a request may wait for room.
    room: Duration,
    /// How long a message may take from its first bytes to its last.
    arrival: Duration,
}

/// The budgets of a port.
#[derive(Clone, Debug)]
pub(crate) enum Port {
    /// Of clients.
    Clients {
        /// Bytes of their requests.
        requests: Arc<Pool>,
        /// Bytes of replies to them.
        replies: Arc<Pool>,
        /// Bytes of replies that are expected.
        expected: Arc<Pool>,
        /// Bytes of calls that wait.
        parked: Arc<Pool>,
    },
    /// Of the other members, which read what they asked for.
    Members {
        /// Bytes of their messages.
        requests: Arc<Pool>,
        /// Where the ends of their connections are told.
        ends: Ends,
    },
}

impl Port {
    /// The port for clients.
    pub(crate) fn clients() -> Self {
        Self::Clients {
            requests: Pool::new(CLIENT_REQUEST_BYTES),
            replies: Pool::new(CLIENT_REPLY_BYTES),
            expected: Pool::new(CLIENT_REPLY_BYTES),
            parked: Pool::new(WAITING_CALL_BYTES),
        }
    }

    /// The port for the other members, which tells when their connections end.
    pub(crate) fn members(ends: Ends) -> Self {
        Self::Members { requests: Pool::new(PEER_REQUEST_BYTES), ends }
    }

    /// The account of a new connection.
    pub(crate) fn account(&self) -> Arc<Account> {
        Arc::new(match self {
            Self::Clients { requests, replies, expected, parked } => {
                let total = Total::new(CLIENT_BYTES);
                let expecting = Total::new(EXPECTED.taken_bytes);
                let parking = Total::new(PARKED.taken_bytes);
                let replies = Replies {
                    expected: Meter::new(expected.clone(), expecting, EXPECTED),
                    unsent: Meter::new(replies.clone(), total.clone(), REPLIES),
                    parked: Meter::new(parked.clone(), parking, PARKED),
                    typical: AtomicUsize::new(FIRST_REPLY_BYTES),
                };
                let requests = Meter::new(requests.clone(), total, REQUESTS);
                Account { requests, replies: Some(replies), owner: None }
            }
            Self::Members { requests, ends } => {
                let total = Total::new(PEER_REQUESTS.taken_bytes);
                let requests = Meter::new(requests.clone(), total, PEER_REQUESTS);
                Account { requests, replies: None, owner: Some(Owner::new(ends.clone())) }
            }
        })
    }
}

/// What one connection holds, and whose it is. It is among the extensions of each of its requests.
#[derive(Debug)]
pub(crate) struct Account {
    requests: Arc<Meter>,
    /// None at the port for members.
    replies: Option<Replies>,
    /// None at the port for clients.
    owner: Option<Owner>,
}

impl Account {
    /// The connection is this member's.
    pub(crate) fn is_of(&self, member: MemberId) {
        if let Some(owner) = &self.owner {
            owner.is(member);
        }
    }

    /// The connection has ended.
    pub(super) fn ended(&self) {
        if let Some(owner) = &self.owner {
            owner.ended();
        }
    }
}

#[derive(Debug)]
struct Replies {
    /// Room for replies to requests in progress.
    expected: Arc<Meter>,
    /// Replies that are there and not sent yet.
    unsent: Arc<Meter>,
    /// Arguments of calls that wait.
    parked: Arc<Meter>,
    /// How long replies to this connection are, by those of late: grows at once, and falls slowly.
    typical: AtomicUsize,
}

impl Replies {
    fn typical(&self) -> usize {
        self.typical.load(Ordering::Relaxed)
    }

    /// Expects one reply, or a short one where the other connections leave no more, once this one
    /// is read.
    async fn expect(&self) -> Charge {
        self.unsent.clone().room().await;
        let typical = self.typical();
        self.expected.clone().take_between(typical.min(SHARE_BYTES), typical).await
    }

    fn observe(&self, bytes: usize) {
        let next = |typical: usize| {
            let next = bytes.max(typical - typical / 4).clamp(LEAST_REPLY_BYTES, MOST_REPLY_BYTES);
            (next != typical).then_some(next)
        };
        let _unchanged = self.typical.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

/// A call of a stream in progress: its request, and room for its reply.
#[derive(Debug)]
pub(crate) struct Admission {
    _request: Charge,
    _reply: Option<Charge>,
}

impl Account {
    /// Admits a call whose request has `bytes`, if there is room for its reply.
    pub(crate) fn try_admit(&self, bytes: usize) -> Option<Admission> {
        let reply = match &self.replies {
            Some(replies) if !replies.unsent.has_room() => return None,
            Some(replies) => Some(replies.expected.try_take(replies.typical())?),
            None => None,
        };
        Some(self.admitted(bytes, reply))
    }

    /// Admits a call whose request has `bytes`, when there is room for its reply.
    pub(crate) async fn admit(self: Arc<Self>, bytes: usize) -> Admission {
        let reply = match &self.replies {
            Some(replies) => Some(replies.expect().await),
            None => None,
        };
        self.admitted(bytes, reply)
    }

    fn admitted(&self, bytes: usize, reply: Option<Charge>) -> Admission {
        Admission { _request: self.requests.owe(bytes + CALL_BYTES), _reply: reply }
    }

    /// Notes how long a reply of a stream is, and returns the failure to send in its place if it
    /// has no room.
    pub(crate) fn admit_reply(&self, bytes: usize) -> Result<(), Box<Failure>> {
        let Some(replies) = &self.replies else { return Ok(()) };
        replies.observe(bytes);
        match replies.unsent.try_take(bytes) {
            Some(_) => Ok(()),
            None => Err(Box::new(no_room_for_reply(Kind::OutcomeUnknown))),
        }
    }
}

impl ReplyRoom for Account {
    fn keep(&self, bytes: usize) -> Option<Kept> {
        match &self.replies {
            Some(replies) => Some(Box::new(replies.unsent.try_take(bytes)?)),
            None => Some(Box::new(())),
        }
    }

    fn park(&self, bytes: usize) -> Option<Kept> {
        match &self.replies {
            Some(replies) => Some(Box::new(replies.parked.try_take(bytes)?)),
            None => Some(Box::new(())),
        }
    }
}

/// The account of the connection that `request` came over.
pub(crate) fn account<T>(request: &tonic::Request<T>) -> Arc<Account> {
    of(request.extensions().get())
}

fn of(account: Option<&Arc<Account>>) -> Arc<Account> {
    account.expect("each connection is accepted with an account").clone()
}

/// Meters the requests that pass through it.
#[derive(Clone, Debug)]
pub(crate) struct MeterLayer;

impl<S> Layer<S> for MeterLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner }
    }
}

/// A service whose requests are metered.
#[derive(Clone, Debug)]
pub(crate) struct Metered<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Metered<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let unready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, unready);
        let account = of(request.extensions().get());
        metered(inner, request, account).boxed()
    }
}

async fn metered<S>(
    mut inner: S,
    request: Request<Body>,
    account: Arc<Account>,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    let Some(replies) = &account.replies else {
        let pending = Pending::answered_already();
        let request =
            request.map(|body| MeteredRequest::new(body, account.requests.clone(), pending).boxed());
        return inner.call(request).await;
    };
    let (kind, expected) = if request.uri().path() == QUERY {
        let Ok(expected) = tokio::time::timeout(REPLY_TIMEOUT, replies.expect()).await else {
            return Ok(status_of_failure(&no_room_for_reply(Kind::Unavailable)).into_http());
        };
        (Kind::Unavailable, Some(expected))
    } else {
        (Kind::OutcomeUnknown, None)
    };
    let pending = Arc::new(Pending::default());
    let metered = |body| MeteredRequest::new(body, account.requests.clone(), pending.clone()).boxed();
    let response = inner.call(request.map(metered)).await?;
    pending.answered();
    let (head, body) = response.into_parts();
    let metered = MeteredReply::begin(body, replies).await;
    drop(expected);
    Ok(match metered {
        Some(body) => Response::from_parts(head, body),
        None => status_of_failure(&no_room_for_reply(kind)).into_http(),
    })
}

fn no_room_for_reply(kind: Kind) -> Failure {
    let message = format!(
        "the reply has no room: this connection has replies that its client has not read and requests of \
            {CLIENT_BYTES} bytes, which is the limit, or all connections together have unread replies of \
            {CLIENT_REPLY_BYTES}; read them, then send the request again"
    );
    exhausted(kind, "CLIENT_BYTES", CLIENT_BYTES, message)
}

/// The failure of a request of `bytes` for which there is no room.
fn no_room_for_request(bytes: usize, bounds: Bounds) -> Status {
    let limit = bounds.taken_bytes;
    let message = format!(
        "there is no room for a message of {bytes} bytes: this connection has requests of {limit} bytes in \
            progress, which is the limit, or all connections together have too many; send it again later"
    );
    status_of_failure(&exhausted(Kind::Unavailable, "REQUESTS", limit, message))
}

/// The failure of a message that does not arrive.
fn half_sent(arrival: Duration) -> Status {
    let limit = arrival.as_millis() as usize;
    let message = format!("a message was begun and not finished within {limit} ms, which is the limit");
    status_of_failure(&exhausted(Kind::Unavailable, "ARRIVAL_MS", limit, message))
}

fn exhausted(kind: Kind, limit: &str, value: usize, message: String) -> Failure {
    Failure {
        kind: kind.into(),
        reason: synod_abi::Reason::from(UnavailableReason::Busy).into(),
        limit: limit.to_owned(),
        limit_value: value as u64,
        retry_after_ms: RETRY_AFTER_MS,
        message,
        status_code: Code::ResourceExhausted as u32,
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests;
