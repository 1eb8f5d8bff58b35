//! A made-up cluster: members that serve real gRPC on loopback and misbehave as they are told, and
//! the ledger and log of events that they share. There is no Raft, no recipe and no disk.
mod calls;
mod sessions;
mod spaces;
mod status;
mod watching;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use synod_api::v1::cluster_server::ClusterServer;
use synod_api::v1::failure::Kind;
use synod_api::v1::sessions_server::SessionsServer;
use synod_api::v1::spaces_server::SpacesServer;
use synod_api::v1::{CallReply, Failure, Header, Value, value::Form};
use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Follow, Options};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::Status;
use tonic::transport::server::TcpIncoming;

pub(crate) use self::calls::{Calls, Ledger, Seen};
pub(crate) use self::sessions::{SESSION, Touches};
pub(crate) use self::watching::{Log, SIGNATURE, SPACE, Watches};

/// The revision that a cluster begins with.
pub(crate) const FIRST_REVISION: u64 = 1;

/// How long a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a member does.
struct Behaviour {
    calls: Calls,
    touches: Touches,
    /// Whether opening a session loses its answer.
    hangs_up_on_open: bool,
    /// Whether every event of a revision is sent in a part of its own.
    cuts_revisions: bool,
}

/// A member.
pub(crate) struct Member {
    id: u64,
    pub(crate) address: SocketAddr,
    behaviour: Mutex<Behaviour>,
    watches: watch::Sender<Watches>,
    shared: Arc<Shared>,
}

/// What the members share.
struct Shared {
    ledger: Mutex<Ledger>,
    log: Mutex<Log>,
    /// Counts changes of the log.
    news: watch::Sender<u64>,
    addresses: Vec<SocketAddr>,
    /// The id of the leader; 0: none.
    leader_id: u64,
}

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Arc<Member>>,
    shared: Arc<Shared>,
}

/// A service of a member.
struct Served(Arc<Member>);

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn failure(kind: Kind, reason: &str) -> Failure {
    Failure { kind: kind as i32, reason: reason.into(), message: reason.into(), ..Failure::default() }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panicked")
}

/// An address where nobody listens: no other test has a port of this host.
pub(crate) async fn vacant_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").await.expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// Waits until something is as wanted.
pub(crate) async fn eventually(what: &str, mut wanted: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Shared {
    fn header(&self, member_id: u64) -> Option<Header> {
        let revision = locked(&self.log).revision;
        Some(Header { member_id, term: 1, revision, ..Header::default() })
    }
}

impl Cluster {
    /// A cluster of so many members that serve, without a leader.
    pub(crate) async fn start(members: usize) -> Self {
        Self::start_with(members, 0, 0).await
    }

    /// The same, whose sessions have this time to live.
    pub(crate) async fn with_ttl(members: usize, ttl_ms: u64) -> Self {
        Self::start_with(members, ttl_ms, 0).await
    }

    /// The same, with a leader.
    pub(crate) async fn with_leader(members: usize, leader_id: u64) -> Self {
        Self::start_with(members, 0, leader_id).await
    }

    async fn start_with(members: usize, ttl_ms: u64, leader_id: u64) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..members {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            ledger: Mutex::new(Ledger { ttl_ms, ..Ledger::default() }),
            log: Mutex::new(Log { revision: FIRST_REVISION, ..Log::default() }),
            news: watch::Sender::new(0),
            addresses: listeners.iter().map(address).collect(),
            leader_id,
        });
        let start = |(id, listener)| Member::start(id, listener, Arc::clone(&shared));
        let members = (1..).zip(listeners).map(start).collect();
        Self { members, shared }
    }

    /// The addresses of its members.
    pub(crate) fn endpoints(&self) -> String {
        self.shared.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// A client that prefers the first member and is quick to try again.
    pub(crate) async fn client(&self) -> Client {
        let policy = Policy { give_up_ms: 5_000, backoff: Backoff { base_ms: 1, max_ms: 5 } };
        self.client_with(Options { policy, ..Options::default() }).await
    }

    /// The same with options.
    pub(crate) async fn client_with(&self, options: Options) -> Client {
        let member_backoff = Backoff { base_ms: 20, max_ms: 100 };
        Client::connect_with(self.endpoints(), Options { learn_members: false, member_backoff, ..options })
            .await
            .expect("nobody is contacted")
    }

    /// A client that stays with a member while that serves its watches, and is quick to leave one
    /// that is silent.
    pub(crate) async fn watcher(&self) -> Client {
        let options = Options {
            follow: Follow::Nearest,
            learn_members: false,
            policy: Policy { give_up_ms: 2_000, backoff: Backoff { base_ms: 1, max_ms: 10 } },
            member_backoff: Backoff { base_ms: 20, max_ms: 60 },
            watch_silence_ms: 400,
            attempt_timeout_ms: 1_000,
            ..Options::default()
        };
        Client::connect_with(self.endpoints(), options).await.expect("nobody is contacted")
    }

    /// What the members keep of sessions and calls.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.shared.ledger)
    }

    /// What the members keep of events and watches.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        locked(&self.shared.log)
    }

    /// How many events there were.
    pub(crate) fn count(&self) -> u64 {
        self.log().count()
    }

    /// Emits events in one revision, and returns it.
    pub(crate) fn emit(&self, events: &[(&str, &str)]) -> u64 {
        let revision = self.log().append(events);
        self.stir();
        revision
    }

    /// Lets the members look at the log.
    pub(crate) fn stir(&self) {
        self.shared.news.send_modify(|count| *count += 1);
    }

    /// Forgets all events up to `revision`.
    pub(crate) fn compact(&self, revision: u64) {
        self.log().compacted = revision;
        self.stir();
    }

    /// Answers a parked call, wherever it waits.
    pub(crate) async fn complete(&self, id: u64, json: &str) {
        let value = Value { form: Some(Form::Json(json.into())), signature: 0 };
        let waiting = self.ledger().complete(id, value.clone());
        for (replies, tag) in waiting {
            let header = self.shared.header(0);
            let reply = CallReply { header, result: Some(value.clone()), tag, ..CallReply::default() };
            let _gone = replies.send(Ok(reply)).await;
        }
    }

    /// Waits until the ledger is as wanted.
    pub(crate) async fn until(&self, what: &str, mut wanted: impl FnMut(&Ledger) -> bool) {
        eventually(what, || wanted(&self.ledger())).await;
    }

    /// Waits until the log is as wanted.
    pub(crate) async fn until_log(&self, what: &str, mut wanted: impl FnMut(&Log) -> bool) {
        eventually(what, || wanted(&self.log())).await;
    }
}

impl Member {
    fn start(id: u64, listener: TcpListener, shared: Arc<Shared>) -> Arc<Self> {
        let behaviour = Behaviour {
            calls: Calls::Serve,
            touches: Touches::Serve,
            hangs_up_on_open: false,
            cuts_revisions: false,
        };
        let member = Arc::new(Self {
            id,
            address: listener.local_addr().expect("it is bound"),
            behaviour: Mutex::new(behaviour),
            watches: watch::Sender::new(Watches::Serve),
            shared,
        });
        let server = tonic::transport::Server::builder()
            .add_service(SpacesServer::new(Served(Arc::clone(&member))))
            .add_service(SessionsServer::new(Served(Arc::clone(&member))))
            .add_service(ClusterServer::new(Served(Arc::clone(&member))));
        tokio::spawn(async move {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let _ended = server.serve_with_incoming(incoming).await;
        });
        member
    }

    pub(crate) fn calls(&self, calls: Calls) {
        self.behaviour().calls = calls;
    }

    pub(crate) fn touches(&self, touches: Touches) {
        self.behaviour().touches = touches;
    }

    pub(crate) fn watches(&self, watches: Watches) {
        self.watches.send_replace(watches);
    }

    pub(crate) fn hang_up_on_open(&self) {
        self.behaviour().hangs_up_on_open = true;
    }

    pub(crate) fn cut_revisions(&self) {
        self.behaviour().cuts_revisions = true;
    }

    /// How many calls and queries came here.
    pub(crate) fn received(&self) -> u64 {
        self.ledger().received.get(&self.id).copied().unwrap_or(0)
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        locked(&self.behaviour)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.shared.ledger)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        locked(&self.shared.log)
    }

    fn header(&self) -> Option<Header> {
        self.shared.header(self.id)
    }
}
