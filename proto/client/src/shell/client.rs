//! The client: picks members, keeps one link to each that it uses, and learns the cluster's
//! members. How a request is tried is in [`attempts`](super::attempts).
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use synod_abi::Reason;
use synod_api::v1::{Header, MembersReply, StatusReply};
use tokio::sync::Notify;

use super::Options;
use super::census::Census;
use super::link::Link;
use super::watch::Hub;
use super::wire::Cluster;
use crate::Error;
use crate::core::{Router, Trouble, mix, parse_endpoints};

/// The members are asked for at least this often by a client that is used ...
const LEARN_EVERY: Duration = Duration::from_secs(30);
/// ... and at most this often.
const LEARN_PAUSE: Duration = Duration::from_millis(250);
/// A client that is not used for so long closes connections on which nothing is open: each costs
/// its member some 40 KiB.
const LINK_IDLE: Duration = Duration::from_secs(30);

/// An answer, and the revision and time that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// Of a call: its revision; of a query: that of the state it read.
    pub revision: u64,
    /// Cluster time of the call's entry, or of the state that was read, in milliseconds since the
    /// Unix epoch.
    pub time_ms: u64,
    /// The member that answered.
    pub member_id: u64,
}

impl<T> Answer<T> {
    pub(crate) fn new(value: T, header: Option<&Header>) -> Self {
        let (revision, time_ms, member_id) =
            header.map_or((0, 0, 0), |header| (header.revision, header.time_ms, header.member_id));
        Self { value, revision, time_ms, member_id }
    }
}

/// A client of one cluster. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    router: Mutex<Router>,
    links: RwLock<HashMap<String, Arc<Link>>>,
    connecting: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    started: Instant,
    jitter: AtomicU64,
    revision: AtomicU64,
    known_revision: AtomicU64,
    news: Notify,
    /// Whether a connection was asked for since the members were learned.
    is_used: AtomicBool,
    hub: Hub,
    cluster: Cluster,
    census: Census,
}

/// Connects to a cluster by any of its members: `host:port`, or several, separated by commas.
///
/// # Errors
/// [`Error::Refused`] if that is not a list of addresses, [`Error::Unavailable`] if no member
/// answers within the policy's time.
pub async fn connect(endpoints: impl AsRef<str>) -> Result<Client, Error> {
    Client::connect_with(endpoints, Options::default()).await
}

impl Client {
    /// As [`connect`], with options.
    ///
    /// # Errors
    /// As [`connect`]; without `learn_members` nobody is contacted yet.
    pub async fn connect_with(endpoints: impl AsRef<str>, options: Options) -> Result<Self, Error> {
        let given = parse_endpoints(endpoints.as_ref())?;
        let inner = Inner {
            options,
            router: Mutex::new(Router::new(given, options.follow, options.member_backoff)),
            links: RwLock::default(),
            connecting: Mutex::default(),
            started: Instant::now(),
            jitter: AtomicU64::new(RandomState::new().hash_one(std::process::id())),
            revision: AtomicU64::new(0),
            known_revision: AtomicU64::new(0),
            news: Notify::new(),
            is_used: AtomicBool::new(false),
            hub: Hub::default(),
            cluster: Cluster::default(),
            census: Census::default(),
        };
        let client = Self { inner: Arc::new(inner) };
        if options.learn_members {
            let MembersReply { header, leader_id, members } = client.members().await?;
            let places = members.into_iter().map(|member| (member.id, member.client_address));
            client.learn(header.as_ref(), leader_id, &places.collect::<Vec<_>>());
            if leader_id == 0 {
                client.inner.news.notify_one();
            }
            tokio::spawn(keep_learning(Arc::downgrade(&client.inner)));
        }
        Ok(client)
    }

    /// The addresses that it knows, given ones first.
    pub fn addresses(&self) -> Vec<String> {
        self.router().addresses().map(str::to_owned).collect()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The largest revision seen so far.
    pub(crate) fn seen_revision(&self) -> u64 {
        self.inner.revision.load(Ordering::Relaxed)
    }

    /// The largest revision that the cluster is known to have reached.
    pub(crate) fn known_revision(&self) -> u64 {
        self.inner.known_revision.load(Ordering::Relaxed).max(self.seen_revision())
    }

    /// The hub that begins its watches.
    pub(crate) fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    /// Notes the revision and term in a reply's header.
    pub(crate) fn heard(&self, header: Option<&Header>) {
        let Some(header) = header else { return };
        self.inner.cluster.heard(&header.cluster_id);
        self.inner.revision.fetch_max(header.revision, Ordering::Relaxed);
        self.heard_term(header.term, 0);
    }

    fn heard_term(&self, term: u64, leader_id: u64) {
        if term > 0 && self.router().heard(term, (leader_id > 0).then_some(leader_id)) {
            self.inner.news.notify_one();
        }
    }

    pub(super) fn census(&self) -> &Census {
        &self.inner.census
    }

    fn learn_status(&self, status: StatusReply) {
        let StatusReply { header, leader_id, members } = status;
        self.counted(&members);
        let furthest = members.iter().map(|member| member.revision).max().unwrap_or(0);
        self.inner.known_revision.fetch_max(furthest, Ordering::Relaxed);
        let places = members.into_iter().map(|member| (member.id, member.client_address));
        self.learn(header.as_ref(), leader_id, &places.collect::<Vec<_>>());
    }

    /// The cluster's members are these, by id, with the addresses for their clients.
    fn learn(&self, header: Option<&Header>, leader_id: u64, members: &[(u64, String)]) {
        if let Some(header) = header {
            self.inner.cluster.heard(&header.cluster_id);
        }
        let term = header.map_or(0, |header| header.term);
        self.router().learn(term, (leader_id > 0).then_some(leader_id), members);
        let known = self.addresses();
        self.links().retain(|address, _| known.contains(address));
        self.inner
            .connecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|address, _| known.contains(address));
    }

    pub(super) fn router(&self) -> MutexGuard<'_, Router> {
        self.inner.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Arc<Link>>> {
        self.inner.links.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds of a steady clock that only this client knows.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.inner.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A number to spread waits with.
    pub(crate) fn jitter(&self) -> u32 {
        (mix(self.inner.jitter.fetch_add(1, Ordering::Relaxed)) >> 32) as u32
    }

    /// When a request that begins at `now_ms` ends.
    pub(crate) fn end_ms(&self, now_ms: u64) -> u64 {
        let Options { policy, deadline_ms, .. } = self.inner.options;
        now_ms.saturating_add(policy.give_up_ms).min(deadline_ms.unwrap_or(u64::MAX))
    }

    /// The member at `address` owes an answer, or a connection: it is asked last for a while.
    pub(crate) fn silent(&self, address: &str) {
        let now_ms = self.now_ms();
        self.router().silent(address, now_ms);
        self.inner.news.notify_one();
    }

    /// The member to ask without waiting for one that is rested: for what cannot wait.
    pub(crate) fn nearest(&self) -> String {
        let now_ms = self.now_ms();
        self.router().nearest(now_ms).to_owned()
    }

    /// Whether the member at `address` is the one to ask.
    pub(crate) fn prefers(&self, address: &str) -> bool {
        let now_ms = self.now_ms();
        self.router().nearest(now_ms) == address
    }

    /// The member at `address` answered.
    pub(crate) fn answered(&self, address: &str) {
        self.router().succeeded(address);
    }

    /// Notes what `trouble` means for the member at `address`, and names the member in it.
    pub(crate) fn noted(&self, address: &str, trouble: Trouble) -> Trouble {
        use synod_api::v1::failure::Kind;
        match trouble {
            Trouble::Answered(failure) => {
                let term = failure.header.as_ref().map_or(0, |header| header.term);
                match failure.kind() {
                    Kind::Unavailable | Kind::OutcomeUnknown | Kind::Internal => self.member_failed(address),
                    Kind::Rejected | Kind::Unspecified => self.router().succeeded(address),
                }
                self.heard_term(term, failure.leader_id);
                if failure.known_reason() == Some(Reason::NoLeader) {
                    self.count_members();
                }
                Trouble::Answered(failure)
            }
            Trouble::NotSent(why) => {
                self.member_failed(address);
                Trouble::NotSent(named(address, why))
            }
            Trouble::NoAnswer(why) => {
                self.member_failed(address);
                self.links().remove(address);
                Trouble::NoAnswer(named(address, why))
            }
        }
    }

    fn member_failed(&self, address: &str) {
        let now_ms = self.now_ms();
        self.router().failed(address, now_ms);
        self.inner.news.notify_one();
    }

    pub(super) fn live_link(&self, address: &str) -> Option<Arc<Link>> {
        self.inner.is_used.store(true, Ordering::Relaxed);
        let links = self.inner.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(address).filter(|link| !link.is_broken()).cloned()
    }

    /// The link to `address`; connects if there is none, once for all who ask at the same time.
    pub(crate) async fn link(&self, address: &str) -> Result<Arc<Link>, Trouble> {
        if let Some(link) = self.live_link(address) {
            return Ok(link);
        }
        let turn = {
            let mut connecting = self.inner.connecting.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(connecting.entry(address.to_owned()).or_default())
        };
        let _turn = turn.lock().await;
        if let Some(link) = self.live_link(address) {
            return Ok(link);
        }
        let link = Arc::new(Link::connect(address, &self.inner.options, self.inner.cluster.clone()).await?);
        self.links().insert(address.to_owned(), Arc::clone(&link));
        Ok(link)
    }
}

fn named(address: &str, why: String) -> String {
    if why.contains(address) { why } else { format!("{address}: {why}") }
}

/// Asks for the members whenever there is news, and now and then while the client is used, until it
/// is gone. Closes the connections of one that is not used.
async fn keep_learning(inner: Weak<Inner>) {
    let mut used = Instant::now();
    loop {
        tokio::time::sleep(LEARN_PAUSE).await;
        let deadline = tokio::time::Instant::now() + LEARN_EVERY;
        loop {
            let Some(inner) = inner.upgrade() else { return };
            if inner.is_used.swap(false, Ordering::Relaxed) {
                used = Instant::now();
            } else if used.elapsed() >= LINK_IDLE {
                used = Instant::now();
                let client = Client { inner: Arc::clone(&inner) };
                client.links().retain(|_, link| Arc::strong_count(link) > 1 || link.has_open_stream());
            }
            let heard = tokio::time::timeout(LEARN_PAUSE, inner.news.notified()).await.is_ok();
            let is_due = tokio::time::Instant::now() >= deadline && inner.is_used.load(Ordering::Relaxed);
            if heard || is_due {
                break;
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        let client = Client { inner };
        match client.status(false).await {
            Ok(status) => client.learn_status(status),
            Err(error) => tracing::debug!(%error, "the cluster's members could not be learned"),
        }
    }
}
