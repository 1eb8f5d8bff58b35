//! A made-up cluster for tests of sessions: real gRPC on loopback, members that misbehave as they
//! are told, and behind them one ledger of what arrived and what was done.
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use synod_api::v1::failure::Kind;
use synod_api::v1::sessions_server::{Sessions, SessionsServer};
use synod_api::v1::spaces_server::{Spaces, SpacesServer};
use synod_api::v1::{
    CallReply, CallRequest, CancelReply, CancelRequest, Cancelled, CloseSessionReply, CloseSessionRequest,
    Context, DescribeSessionReply, DescribeSessionRequest, Failure, Header, KeepAliveReply, KeepAliveRequest,
    ListSessionsReply, ListSessionsRequest, OpenSessionReply, OpenSessionRequest, QueryReply, QueryRequest,
    SessionBounds, SessionBoundsReply, SessionBoundsRequest, SessionInfo, SetSessionBoundsReply,
    SetSessionBoundsRequest, Value, WatchReply, WatchRequest, value::Form,
};
use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Options};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// What a member does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Runs them once per id and answers with the arguments; `park` parks.
    Serve,
    /// Runs them, and ends the stream instead of answering the one with this id.
    RunAndHangUpAt(u64),
    /// Takes them and does nothing.
    Ignore,
    /// Says that they are surely not applied.
    NoLeader,
    /// Answers those of any session with the arguments, and notes only that they arrived; every
    /// session that is opened is another.
    ServeAny,
}

/// What a member does with signs of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touches {
    /// Answers.
    Serve,
    /// Does not.
    Ignore,
    /// Says that it cannot know.
    NoLeader,
}

/// What was seen of a call on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) member: u64,
    pub(crate) id: u64,
    pub(crate) after: u64,
    pub(crate) below: u64,
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) wait_ms: Option<u64>,
}

struct Parked {
    replies: mpsc::Sender<Result<CallReply, Status>>,
    tag: u64,
}

/// What the members share.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) ttl_ms: u64,
    pub(crate) alive: bool,
    pub(crate) seen: Vec<Seen>,
    pub(crate) ran: Vec<u64>,
    /// Which request of which session, at [`Calls::ServeAny`].
    pub(crate) arrived: Vec<(Vec<u8>, u64)>,
    /// Session and secret of each query.
    pub(crate) asked: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) opened: Vec<Vec<u8>>,
    pub(crate) touched: Vec<u64>,
    pub(crate) closed: usize,
    pub(crate) cancelled: Vec<u64>,
    outcomes: HashMap<u64, Result<Value, Failure>>,
    parked: BTreeMap<u64, Vec<Parked>>,
}

/// A member.
pub(crate) struct Member {
    id: u64,
    pub(crate) address: SocketAddr,
    calls: Mutex<Calls>,
    touches: Mutex<Touches>,
    hang_up_on_open: Mutex<bool>,
    ledger: Arc<Mutex<Ledger>>,
}

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Arc<Member>>,
    ledger: Arc<Mutex<Ledger>>,
}

pub(crate) const SESSION: [u8; 16] = *b"one session of u";

fn failure(kind: Kind, reason: &str) -> Failure {
    Failure { kind: kind as i32, reason: reason.into(), message: reason.into(), ..Failure::default() }
}

fn expired() -> Failure {
    failure(Kind::Rejected, "SESSION_EXPIRED")
}

impl Cluster {
    /// A cluster of so many members that serve.
    pub(crate) async fn start(members: u64, ttl_ms: u64) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger { ttl_ms, ..Ledger::default() }));
        let mut started = Vec::new();
        for id in 1..=members {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let member = Arc::new(Member {
                id,
                address: listener.local_addr().expect("it is bound"),
                calls: Mutex::new(Calls::Serve),
                touches: Mutex::new(Touches::Serve),
                hang_up_on_open: Mutex::new(false),
                ledger: Arc::clone(&ledger),
            });
            let server = tonic::transport::Server::builder()
                .add_service(SpacesServer::new(Served(Arc::clone(&member))))
                .add_service(SessionsServer::new(Served(Arc::clone(&member))));
            tokio::spawn(async move {
                let _ended =
                    server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await;
            });
            started.push(member);
        }
        Self { members: started, ledger }
    }

    /// A client that prefers the first member and is quick to try again.
    pub(crate) async fn client(&self) -> Client {
        let policy = Policy { give_up_ms: 5_000, backoff: Backoff { base_ms: 1, max_ms: 5 } };
        self.client_with(Options { policy, ..Options::default() }).await
    }

    pub(crate) async fn client_with(&self, options: Options) -> Client {
        let endpoints =
            self.members.iter().map(|member| member.address.to_string()).collect::<Vec<_>>().join(",");
        let member_backoff = Backoff { base_ms: 20, max_ms: 100 };
        Client::connect_with(endpoints, Options { learn_members: false, member_backoff, ..options })
            .await
            .expect("nobody is contacted")
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panicked")
    }

    /// Answers a parked call, wherever it waits.
    pub(crate) async fn complete(&self, id: u64, json: &str) {
        let (value, waiting) = {
            let mut ledger = self.ledger();
            let value = Value { form: Some(Form::Json(json.into())), signature: 0 };
            ledger.outcomes.insert(id, Ok(value.clone()));
            (value, ledger.parked.remove(&id).unwrap_or_default())
        };
        for Parked { replies, tag } in waiting {
            let reply =
                CallReply { header: header(0), result: Some(value.clone()), tag, ..CallReply::default() };
            let _gone = replies.send(Ok(reply)).await;
        }
    }

    /// Waits until the ledger is as wanted.
    pub(crate) async fn until(&self, what: &str, mut wanted: impl FnMut(&Ledger) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !wanted(&self.ledger()) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Member {
    pub(crate) fn calls(&self, calls: Calls) {
        *self.calls.lock().expect("nobody panicked") = calls;
    }

    pub(crate) fn touches(&self, touches: Touches) {
        *self.touches.lock().expect("nobody panicked") = touches;
    }

    pub(crate) fn hang_up_on_open(&self) {
        *self.hang_up_on_open.lock().expect("nobody panicked") = true;
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panicked")
    }

    /// What is answered now; none: nothing.
    fn take(
        &self,
        request: CallRequest,
        replies: &mpsc::Sender<Result<CallReply, Status>>,
    ) -> Option<CallReply> {
        let CallRequest { context, tag, args, operation, wait_ms, .. } = request;
        let Context { session, request_id: id, after, acknowledged_below: below, acknowledged, .. } =
            context.expect("a session's call");
        let mut ledger = self.ledger();
        let does = *self.calls.lock().expect("nobody panicked");
        if does == Calls::ServeAny {
            ledger.arrived.push((session, id));
            return Some(CallReply { header: header(self.id), tag, result: args, ..CallReply::default() });
        }
        assert_eq!(session, SESSION);
        ledger.seen.push(Seen { member: self.id, id, after, below, acknowledged, wait_ms });
        let reply = CallReply { header: header(self.id), tag, ..CallReply::default() };
        let failed = |failure| Some(CallReply { failure: Some(failure), ..reply.clone() });
        match does {
            Calls::NoLeader => return failed(failure(Kind::Unavailable, "NO_LEADER")),
            Calls::Ignore => return None,
            Calls::Serve | Calls::RunAndHangUpAt(_) | Calls::ServeAny => {}
        }
        if !ledger.alive {
            return failed(expired());
        }
        match ledger.outcomes.get(&id).cloned() {
            Some(Ok(value)) => return Some(CallReply { result: Some(value), ..reply }),
            Some(Err(failure)) => return failed(failure),
            None if ledger.parked.contains_key(&id) => {}
            None if after > 0
                && after >= below
                && !ledger.ran.contains(&after)
                && !ledger.cancelled.contains(&after) =>
            {
                return failed(failure(Kind::Unavailable, "OUT_OF_ORDER"));
            }
            None => ledger.ran.push(id),
        }
        if operation == "park" {
            ledger.parked.entry(id).or_default().push(Parked { replies: replies.clone(), tag });
            return Some(CallReply { parked: true, ..reply });
        }
        let outcome = match operation.as_str() {
            "wait" => Err(failure(Kind::Rejected, "WAIT_TIMEOUT")),
            _ => Ok(args.unwrap_or_default()),
        };
        ledger.outcomes.insert(id, outcome.clone());
        match outcome {
            Ok(value) => Some(CallReply { result: Some(value), ..reply }),
            Err(failure) => failed(failure),
        }
    }
}

fn header(member_id: u64) -> Option<Header> {
    Some(Header { member_id, term: 1, revision: 7, ..Header::default() })
}

struct Served(Arc<Member>);

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Spaces for Served {
    async fn call(&self, _request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        Err(Status::unimplemented("the library uses the stream"))
    }

    type CallStreamStream = Replies<CallReply>;

    async fn call_stream(
        &self,
        request: Request<Streaming<CallRequest>>,
    ) -> Result<Response<Self::CallStreamStream>, Status> {
        let member = Arc::clone(&self.0);
        let mut requests = request.into_inner();
        let (replies, stream) = mpsc::channel(64);
        let breaks = Arc::new(tokio::sync::Notify::new());
        let broken = Arc::clone(&breaks);
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let id = request.context.as_ref().map_or(0, |context| context.request_id);
                let reply = member.take(request, &replies);
                if *member.calls.lock().expect("nobody panicked") == Calls::RunAndHangUpAt(id) {
                    breaks.notify_one();
                    return;
                }
                if let Some(reply) = reply
                    && replies.send(Ok(reply)).await.is_err()
                {
                    return;
                }
            }
        });
        let end = tokio_stream::once(()).then(move |()| {
            let broken = Arc::clone(&broken);
            async move {
                broken.notified().await;
                Err(Status::unavailable("the member is gone"))
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream).merge(end).take_while_ok())))
    }

    type WatchStream = Replies<WatchReply>;

    async fn watch(
        &self,
        _request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let QueryRequest { context, args, .. } = request.into_inner();
        let Context { session, secret, .. } = context.unwrap_or_default();
        self.0.ledger().asked.push((session, secret));
        Ok(Response::new(QueryReply { header: header(self.0.id), result: args }))
    }
}

/// Ends a stream behind its first error, as a broken connection would.
trait TakeWhileOk: Stream {
    fn take_while_ok<T>(self) -> impl Stream<Item = Result<T, Status>> + Send
    where
        Self: Stream<Item = Result<T, Status>> + Send + Sized,
        T: Send,
    {
        let mut over = false;
        self.take_while(move |item| {
            let go_on = !over;
            over |= item.is_err();
            go_on
        })
    }
}

impl<S: Stream> TakeWhileOk for S {}

#[tonic::async_trait]
impl Sessions for Served {
    async fn open(&self, request: Request<OpenSessionRequest>) -> Result<Response<OpenSessionReply>, Status> {
        let request = request.into_inner();
        let mut ledger = self.0.ledger();
        if request.label == "too long" {
            return Err(synod_api::status_of_failure(&failure(Kind::Rejected, "LABEL_TOO_LONG")));
        }
        let already = ledger.opened.contains(&request.nonce);
        let session = match *self.0.calls.lock().expect("nobody panicked") {
            Calls::ServeAny => request.nonce.clone(),
            _ => SESSION.to_vec(),
        };
        ledger.opened.push(request.nonce);
        ledger.alive = true;
        if *self.0.hang_up_on_open.lock().expect("nobody panicked") {
            return Err(Status::unavailable("broken pipe"));
        }
        Ok(Response::new(OpenSessionReply {
            header: header(self.0.id),
            session,
            ttl_ms: ledger.ttl_ms,
            already,
        }))
    }

    type KeepAliveStream = Replies<KeepAliveReply>;

    async fn keep_alive(
        &self,
        request: Request<Streaming<KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        let member = Arc::clone(&self.0);
        let replies = request.into_inner().filter_map(move |request| {
            let KeepAliveRequest { session, secret, tag } = request.ok()?;
            let reply = KeepAliveReply { tag, session, ..KeepAliveReply::default() };
            let mut ledger = member.ledger();
            ledger.touched.push(member.id);
            match *member.touches.lock().expect("nobody panicked") {
                Touches::Ignore => None,
                Touches::NoLeader => Some(Ok(KeepAliveReply {
                    failure: Some(failure(Kind::Unavailable, "NO_LEADER")),
                    ..reply
                })),
                Touches::Serve if secret == [0; 16] => Some(Ok(KeepAliveReply {
                    failure: Some(failure(Kind::Rejected, "WRONG_SECRET")),
                    ..reply
                })),
                Touches::Serve if !ledger.alive => Some(Ok(KeepAliveReply { ended: true, ..reply })),
                Touches::Serve => Some(Ok(KeepAliveReply { ttl_ms: ledger.ttl_ms, ..reply })),
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn close(
        &self,
        _request: Request<CloseSessionRequest>,
    ) -> Result<Response<CloseSessionReply>, Status> {
        let mut ledger = self.0.ledger();
        ledger.closed += 1;
        if !std::mem::take(&mut ledger.alive) {
            return Err(synod_api::status_of_failure(&expired()));
        }
        Ok(Response::new(CloseSessionReply { header: header(self.0.id) }))
    }

    async fn describe(
        &self,
        request: Request<DescribeSessionRequest>,
    ) -> Result<Response<DescribeSessionReply>, Status> {
        let session = SessionInfo {
            session: request.into_inner().session,
            label: "l".into(),
            ..SessionInfo::default()
        };
        Ok(Response::new(DescribeSessionReply { header: header(self.0.id), session: Some(session) }))
    }

    async fn list(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsReply>, Status> {
        let ListSessionsRequest { after, limit } = request.into_inner();
        let sessions = if after.is_empty() {
            vec![SessionInfo { session: SESSION.to_vec(), ..SessionInfo::default() }]
        } else {
            Vec::new()
        };
        Ok(Response::new(ListSessionsReply { header: header(self.0.id), sessions, more: limit == 1 }))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelReply>, Status> {
        let id = request.into_inner().request_id;
        let mut ledger = self.0.ledger();
        ledger.cancelled.push(id);
        let was = match (ledger.parked.remove(&id), ledger.outcomes.contains_key(&id)) {
            (Some(_), _) => Cancelled::Waiting,
            (None, true) => Cancelled::Granted,
            (None, false) => Cancelled::NotRun,
        };
        ledger.outcomes.insert(id, Err(failure(Kind::Rejected, "CANCELLED")));
        Ok(Response::new(CancelReply { header: header(self.0.id), was: was as i32 }))
    }

    async fn bounds(
        &self,
        _request: Request<SessionBoundsRequest>,
    ) -> Result<Response<SessionBoundsReply>, Status> {
        let bounds = Some(SessionBounds { min_ttl_ms: 2_000, max_ttl_ms: 9_000 });
        Ok(Response::new(SessionBoundsReply { header: header(self.0.id), bounds }))
    }

    async fn set_bounds(
        &self,
        _request: Request<SetSessionBoundsRequest>,
    ) -> Result<Response<SetSessionBoundsReply>, Status> {
        Err(synod_api::status_of_failure(&failure(Kind::Rejected, "TTL_OUT_OF_BOUNDS")))
    }
}
