//! A made-up cluster for tests of watches: real gRPC on loopback, one log of events behind all
//! members, and members that break off, fall silent, cut revisions into parts, or can't serve, as
//! they are told.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use synod_api::v1::create_watch::Start;
use synod_api::v1::failure::Kind;
use synod_api::v1::spaces_server::{Spaces, SpacesServer};
use synod_api::v1::watch_request::Request as Asked;
use synod_api::v1::watch_update::Update;
use synod_api::v1::{
    CallReply, CallRequest, CreateWatch, Event, EventForm, Failure, Header, QueryReply, QueryRequest, Value,
    WatchCancelled, WatchCreated, WatchEvents, WatchProgress, WatchReply, WatchRequest, WatchUpdate,
    value::Form,
};
use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Follow, Options};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// The number of the space.
pub(crate) const SPACE: u32 = 7;
/// The signature that the space's recipe has.
pub(crate) const SIGNATURE: u64 = 0xfeed;
/// Events per message of a member that does not cut revisions.
const MESSAGE_EVENTS: usize = 64;

/// What a member does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Serve,
    /// Takes requests, and says nothing.
    Silent,
    /// Breaks every stream, and takes no new one.
    Down,
    /// Knows no watches: it is of an older version.
    Old,
    /// Cancels every watch so, and those that are created.
    Cancel(Kind, &'static str),
}

/// What the members share.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) revision: u64,
    pub(crate) compacted: u64,
    /// Topics and payloads of each revision.
    pub(crate) events: BTreeMap<u64, Vec<(String, String)>>,
    pub(crate) deleted: bool,
    /// By which member, and what.
    pub(crate) creates: Vec<(u64, CreateWatch)>,
    pub(crate) cancels: usize,
    pub(crate) streams: BTreeMap<u64, u64>,
    pub(crate) watches: i64,
    pub(crate) queries: u64,
    /// Queries are answered with this much delay.
    pub(crate) query_delay_ms: u64,
}

pub(crate) struct Member {
    id: u64,
    pub(crate) address: SocketAddr,
    does: watch::Sender<Does>,
    /// Whether it sends every event of a revision in a part of its own.
    parts: Mutex<bool>,
    ledger: Arc<Mutex<Ledger>>,
    news: watch::Sender<u64>,
}

pub(crate) struct Cluster {
    pub(crate) members: Vec<Arc<Member>>,
    ledger: Arc<Mutex<Ledger>>,
    news: watch::Sender<u64>,
}

impl Cluster {
    pub(crate) async fn start(members: u64) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger { revision: 1, ..Ledger::default() }));
        let news = watch::Sender::new(0);
        let mut started = Vec::new();
        for id in 1..=members {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let member = Arc::new(Member {
                id,
                address: listener.local_addr().expect("it is bound"),
                does: watch::Sender::new(Does::Serve),
                parts: Mutex::new(false),
                ledger: Arc::clone(&ledger),
                news: news.clone(),
            });
            let server = tonic::transport::Server::builder()
                .add_service(SpacesServer::new(Served(Arc::clone(&member))));
            tokio::spawn(async move {
                let _ended =
                    server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await;
            });
            started.push(member);
        }
        Self { members: started, ledger, news }
    }

    pub(crate) async fn client(&self) -> Client {
        let policy = Policy { give_up_ms: 2_000, backoff: Backoff { base_ms: 1, max_ms: 10 } };
        let options = Options {
            follow: Follow::Nearest,
            learn_members: false,
            policy,
            member_backoff: Backoff { base_ms: 20, max_ms: 60 },
            watch_silence_ms: 400,
            attempt_timeout_ms: 1_000,
            ..Options::default()
        };
        let endpoints =
            self.members.iter().map(|member| member.address.to_string()).collect::<Vec<_>>().join(",");
        Client::connect_with(endpoints, options).await.expect("nobody is contacted")
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panicked")
    }

    /// How many events there were.
    pub(crate) fn count(&self) -> u64 {
        events_of(&self.ledger())
    }

    /// Emits events in one revision, and returns it.
    pub(crate) fn emit(&self, events: &[(&str, &str)]) -> u64 {
        let revision = {
            let mut ledger = self.ledger();
            ledger.revision += 1;
            let revision = ledger.revision;
            let events =
                events.iter().map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned())).collect();
            ledger.events.insert(revision, events);
            revision
        };
        self.stir();
        revision
    }

    /// Lets the members look at the log.
    pub(crate) fn stir(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// Forgets what is up to `revision`.
    pub(crate) fn compact(&self, revision: u64) {
        self.ledger().compacted = revision;
        self.stir();
    }

    /// Waits until the ledger is as wanted.
    pub(crate) async fn until(&self, what: &str, mut wanted: impl FnMut(&Ledger) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !wanted(&self.ledger()) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Member {
    pub(crate) fn does(&self, does: Does) {
        self.does.send_replace(does);
    }

    pub(crate) fn cuts_revisions(&self) {
        *self.parts.lock().expect("nobody panicked") = true;
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panicked")
    }

    fn header(&self) -> Option<Header> {
        Some(Header { member_id: self.id, term: 1, revision: self.ledger().revision, ..Header::default() })
    }
}

fn failure(kind: Kind, reason: &str) -> Failure {
    Failure { kind: kind as i32, reason: reason.into(), message: reason.into(), ..Failure::default() }
}

/// A watch on a member.
struct Watching {
    create: CreateWatch,
    next: u64,
}

impl Watching {
    fn wants(&self, topic: &str) -> bool {
        if self.create.prefix { topic.starts_with(&self.create.topic) } else { topic == self.create.topic }
    }

    fn value(&self, payload: &str) -> Value {
        let form = match self.create.form() {
            EventForm::Postcard => Form::Postcard(synod_abi::encode(payload)),
            EventForm::Json | EventForm::Unspecified => Form::Json(payload.to_owned()),
        };
        Value { form: Some(form), signature: 0 }
    }
}

fn events_of(ledger: &Ledger) -> u64 {
    ledger.events.values().map(|events| events.len() as u64).sum()
}

/// The only query: how many events there were.
fn answer(args: Option<&Value>, ledger: &Ledger) -> Value {
    let count = events_of(ledger);
    let form = match args.and_then(|args| args.form.as_ref()) {
        Some(Form::Postcard(_)) => Form::Postcard(synod_abi::encode(&count)),
        _ => Form::Json(count.to_string()),
    };
    Value { form: Some(form), signature: 0 }
}

fn begin(create: &CreateWatch, ledger: &Ledger) -> Result<(u64, Option<Value>), Box<WatchCancelled>> {
    let refused = |reason: &str| {
        Box::new(WatchCancelled {
            failure: Some(failure(Kind::Rejected, reason)),
            ..WatchCancelled::default()
        })
    };
    if create.space != "s" {
        return Err(refused("UNKNOWN_SPACE"));
    }
    if ledger.deleted || ![0, SPACE].contains(&create.space_id) {
        return Err(refused("SPACE_DELETED"));
    }
    if ![0, SIGNATURE].contains(&create.signature) {
        return Err(refused("SIGNATURE_MISMATCH"));
    }
    match &create.start {
        None => Ok((ledger.revision, None)),
        Some(Start::FromOldest(_)) => Ok((ledger.compacted, None)),
        Some(Start::FromRevision(revision)) if *revision <= ledger.compacted => {
            Err(Box::new(compacted(ledger)))
        }
        Some(Start::FromRevision(revision)) if *revision > ledger.revision + 1 => {
            Err(refused("REVISION_NOT_REACHED"))
        }
        Some(Start::FromRevision(revision)) => Ok((revision - 1, None)),
        Some(Start::Query(query)) => Ok((ledger.revision, Some(answer(query.args.as_ref(), ledger)))),
    }
}

fn compacted(ledger: &Ledger) -> WatchCancelled {
    WatchCancelled {
        failure: Some(failure(Kind::Rejected, "COMPACTED")),
        resume_revision: ledger.compacted + 1,
        compacted_revision: ledger.compacted,
    }
}

/// One stream of watches.
struct Serving {
    member: Arc<Member>,
    watches: BTreeMap<u64, Watching>,
    replies: mpsc::Sender<Result<WatchReply, Status>>,
}

impl Serving {
    async fn run(mut self, mut requests: Streaming<WatchRequest>) {
        let mut does = self.member.does.subscribe();
        let mut news = self.member.news.subscribe();
        loop {
            let doing = does.borrow_and_update().clone();
            news.mark_unchanged();
            match doing {
                Does::Down => {
                    let _gone = self.replies.send(Err(Status::unavailable("the member is gone"))).await;
                    break;
                }
                Does::Cancel(kind, reason) => {
                    let updates = std::mem::take(&mut self.watches).into_iter().map(|(watch_id, watch)| {
                        let cancelled = WatchCancelled {
                            failure: Some(failure(kind, reason)),
                            resume_revision: watch.next,
                            ..WatchCancelled::default()
                        };
                        WatchUpdate { watch_id, update: Some(Update::Cancelled(cancelled)) }
                    });
                    let updates = updates.collect::<Vec<_>>();
                    self.member.ledger().watches -= updates.len() as i64;
                    if !updates.is_empty() && !self.send(updates).await {
                        break;
                    }
                }
                Does::Serve => {
                    if !self.serve().await {
                        break;
                    }
                }
                Does::Silent | Does::Old => {}
            }
            tokio::select! {
                request = requests.next() => match request {
                    Some(Ok(WatchRequest { request: Some(request) })) => {
                        if *does.borrow() != Does::Silent && !self.take(request).await {
                            break;
                        }
                    }
                    _ => break,
                },
                _ = does.changed() => {}
                _ = news.changed() => {}
            }
        }
        self.member.ledger().watches -= self.watches.len() as i64;
    }

    async fn send(&self, updates: Vec<WatchUpdate>) -> bool {
        let reply = WatchReply { header: self.member.header(), updates };
        self.replies.send(Ok(reply)).await.is_ok()
    }

    async fn take(&mut self, request: Asked) -> bool {
        let (watch_id, update) = match request {
            Asked::Progress(_) => {
                let mark = WatchProgress { revision: self.member.ledger().revision, time_ms: 1 };
                return !self.serve().await
                    || self
                        .send(vec![WatchUpdate { watch_id: 0, update: Some(Update::Progress(mark)) }])
                        .await;
            }
            Asked::Cancel(cancel) => {
                let mut ledger = self.member.ledger();
                ledger.cancels += 1;
                ledger.watches -= i64::from(self.watches.remove(&cancel.watch_id).is_some());
                (cancel.watch_id, Update::Cancelled(WatchCancelled::default()))
            }
            Asked::Create(create) => {
                let mut ledger = self.member.ledger();
                ledger.creates.push((self.member.id, create.clone()));
                let watch_id = create.watch_id;
                assert!(watch_id > 0 && !self.watches.contains_key(&watch_id), "an id of its own");
                match begin(&create, &ledger) {
                    Err(cancelled) => (watch_id, Update::Cancelled(*cancelled)),
                    Ok((revision, result)) => {
                        ledger.watches += 1;
                        self.watches.insert(watch_id, Watching { create, next: revision + 1 });
                        (
                            watch_id,
                            Update::Created(WatchCreated { revision, space_id: SPACE, result, time_ms: 1 }),
                        )
                    }
                }
            }
        };
        self.send(vec![WatchUpdate { watch_id, update: Some(update) }]).await
    }

    /// Sends what the watches have not got.
    async fn serve(&mut self) -> bool {
        loop {
            let mut updates = Vec::new();
            {
                let mut ledger = self.member.ledger();
                let parts = *self.member.parts.lock().expect("nobody panicked");
                let mut ended = Vec::new();
                for (&watch_id, watch) in &mut self.watches {
                    let cancelled = if ledger.deleted {
                        Some(WatchCancelled {
                            failure: Some(failure(Kind::Rejected, "SPACE_DELETED")),
                            ..WatchCancelled::default()
                        })
                    } else if watch.next <= ledger.compacted {
                        Some(compacted(&ledger))
                    } else {
                        None
                    };
                    if let Some(cancelled) = cancelled {
                        updates.push(WatchUpdate { watch_id, update: Some(Update::Cancelled(cancelled)) });
                        ended.push(watch_id);
                        continue;
                    }
                    let mut whole = Vec::new();
                    for (&revision, emitted) in ledger.events.range(watch.next..) {
                        if whole.len() >= MESSAGE_EVENTS {
                            break;
                        }
                        let wanted = (0..).zip(emitted).filter(|(_, (topic, _))| watch.wants(topic)).map(
                            |(number, (topic, payload))| {
                                let payload = Some(watch.value(payload));
                                Event {
                                    revision,
                                    number,
                                    time_ms: revision,
                                    topic: topic.clone(),
                                    payload,
                                    ..Event::default()
                                }
                            },
                        );
                        whole.extend(wanted);
                        watch.next = revision + 1;
                    }
                    if whole.is_empty() {
                        continue;
                    }
                    if parts {
                        for (at, event) in whole.iter().enumerate() {
                            let partial =
                                whole.get(at + 1).is_some_and(|next| next.revision == event.revision);
                            let events = WatchEvents { events: vec![event.clone()], partial };
                            updates.push(WatchUpdate { watch_id, update: Some(Update::Events(events)) });
                        }
                    } else {
                        updates.push(WatchUpdate {
                            watch_id,
                            update: Some(Update::Events(WatchEvents { events: whole, partial: false })),
                        });
                    }
                }
                ledger.watches -= ended.len() as i64;
                self.watches.retain(|watch_id, _| !ended.contains(watch_id));
            }
            if updates.is_empty() {
                return true;
            }
            if !self.send(updates).await {
                return false;
            }
        }
    }
}

struct Served(Arc<Member>);

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Spaces for Served {
    async fn call(&self, _request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    type CallStreamStream = Replies<CallReply>;

    async fn call_stream(
        &self,
        _request: Request<Streaming<CallRequest>>,
    ) -> Result<Response<Self::CallStreamStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    type WatchStream = Replies<WatchReply>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if *self.0.does.borrow() == Does::Down {
            return Err(Status::unavailable("the member is down"));
        }
        if *self.0.does.borrow() == Does::Old {
            return Err(Status::unimplemented(""));
        }
        *self.0.ledger().streams.entry(self.0.id).or_default() += 1;
        let (replies, stream) = mpsc::channel(4);
        let serving = Serving { member: Arc::clone(&self.0), watches: BTreeMap::new(), replies };
        tokio::spawn(serving.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let QueryRequest { args, context, .. } = request.into_inner();
        let delay_ms = {
            let mut ledger = self.0.ledger();
            ledger.queries += 1;
            ledger.query_delay_ms
        };
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        if *self.0.does.borrow() != Does::Serve {
            return Err(synod_api::status_of_failure(&failure(Kind::Unavailable, "NO_LEADER")));
        }
        let ledger = self.0.ledger();
        assert!(
            context.unwrap_or_default().at_least_revision <= ledger.revision,
            "nothing of the future is asked for"
        );
        let header =
            Some(Header { member_id: self.0.id, term: 1, revision: ledger.revision, ..Header::default() });
        Ok(Response::new(QueryReply { header, result: Some(answer(args.as_ref(), &ledger)) }))
    }
}
