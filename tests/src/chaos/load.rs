//! The clients of a round: what they do without pause while faults come and go, and the records
//! that they keep for the checkers.
//!
//! Times are nanoseconds of this process's own clock since the round began. An operation that
//! surely had no effect is not recorded.
mod counter;
mod holding;
mod kv;
mod meeting;
mod watching;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use synod_checker::history::{Keyed, Operation};
use synod_checker::models;
use synod_checker::watch::Watch;
use synod_client::api::Consistency;
use synod_client::core::{Backoff, Policy};
use synod_client::{CallError, Client, Error, Options, Session};
use tokio::task::JoinSet;

pub(super) use holding::{Hold, Thing};
pub(super) use kv::{NOBODYS, blob, read};
pub(super) use meeting::{Meeting, PARTIES, upgrade};
use watching::last_revision;
pub(super) use watching::{Change, Changed, replay};

use super::Sizes;
use crate::cluster::{Cluster, PATIENCE};
use crate::dice::Dice;
use crate::recipes;
use crate::wait::until;

/// How long a client tries before it gives up.
const GIVES_UP_MS: u64 = 4_000;
/// How long it waits before it begins again after it failed.
const PAUSE: Duration = Duration::from_millis(20);
/// How long clients may take to end after the cluster was healed.
const ENDS_WITHIN: Duration = Duration::from_secs(40);
/// The space of the recipe that waits.
const MEETINGS: &str = "waiting";

pub(super) type KvOperation = Operation<Keyed<String, models::kv::Input<u64>>, models::kv::Output<u64>>;
pub(super) type CounterOperation = Operation<Keyed<String, models::counter::Input>, models::counter::Output>;

/// Everything that the clients of a round recorded.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) kv: Vec<KvOperation>,
    pub(super) counters: Vec<CounterOperation>,
    pub(super) holds: Vec<Hold>,
    pub(super) meetings: Vec<Meeting>,
    pub(super) watches: Vec<Watch<Changed>>,
}

enum Part {
    Kv(Vec<KvOperation>),
    Counter(Vec<CounterOperation>),
    Holds(Vec<Hold>),
    Meetings(Vec<Meeting>),
    Watched(Watch<Changed>),
}

/// What each client has.
#[derive(Clone)]
struct Desk {
    number: u32,
    client: Client,
    began: Instant,
    stops: Arc<AtomicBool>,
    sizes: Sizes,
}

impl Desk {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }

    fn dice(&self) -> Dice {
        Dice::new(self.sizes.seed ^ (u64::from(self.number) << 40))
    }

    /// A session, as soon as one can be had; none if the round ends before.
    async fn session(&self, ttl: Duration) -> Option<Session> {
        while !self.stops() {
            let opening = self.client.session().ttl(ttl).label("chaos").within(Duration::from_secs(2));
            match opening.open().await {
                Ok(session) => return Some(session),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        None
    }
}

/// Clients at work.
pub(super) struct Load {
    stops: Arc<AtomicBool>,
    clients: JoinSet<Part>,
    /// Watches go on until everything was written, and are ended after the others.
    watches: JoinSet<Part>,
    last: tokio::sync::watch::Sender<Option<u64>>,
}

impl Load {
    /// Starts the clients.
    pub(super) async fn start(cluster: &Cluster, sizes: &Sizes) -> Self {
        let began = Instant::now();
        let stops = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        let mut watches = JoinSet::new();
        let last = tokio::sync::watch::Sender::new(None);
        prepare(cluster).await;
        let desks = cluster.clients_with(options(), sizes.clients()).await;
        let desks = desks.into_iter().zip(0..).map(|(client, number)| {
            let (stops, sizes) = (stops.clone(), sizes.clone());
            Desk { number, client, began, stops, sizes }
        });
        let mut desks = desks.collect::<Vec<_>>().into_iter();
        let mut next = |count: usize| desks.by_ref().take(count).collect::<Vec<_>>();
        for desk in next(sizes.kv) {
            clients.spawn(async move { Part::Kv(kv::run(desk).await) });
        }
        for desk in next(sizes.counters) {
            clients.spawn(async move { Part::Counter(counter::run(desk).await) });
        }
        for desk in next(sizes.lockers) {
            clients.spawn(async move { Part::Holds(holding::run(desk, Thing::Lock).await) });
        }
        for desk in next(sizes.candidates) {
            clients.spawn(async move { Part::Holds(holding::run(desk, Thing::Election).await) });
        }
        for desk in next(sizes.meeters) {
            clients.spawn(async move { Part::Meetings(meeting::run(desk).await) });
        }
        for desk in next(sizes.watchers) {
            let last = last.subscribe();
            watches.spawn(async move { Part::Watched(watching::run(desk, last).await) });
        }
        Self { stops, clients, watches, last }
    }

    /// Ends the clients; then the watches, once they have delivered all that was written. Returns
    /// the last revision, too.
    ///
    /// # Panics
    /// When one of them failed, or does not end in time.
    pub(super) async fn stop(mut self, cluster: &Cluster) -> (Records, u64) {
        self.stops.store(true, Ordering::Relaxed);
        let mut records = Records::default();
        collect(&mut self.clients, &mut records, "clients").await;
        let last = last_revision(cluster).await;
        self.last.send_replace(Some(last));
        collect(&mut self.watches, &mut records, "watches").await;
        (records, last)
    }
}

async fn collect(parts: &mut JoinSet<Part>, records: &mut Records, who: &str) {
    let all = async {
        while let Some(part) = parts.join_next().await {
            match part.unwrap_or_else(|error| panic!("a client failed: {error}")) {
                Part::Kv(operations) => records.kv.extend(operations),
                Part::Counter(operations) => records.counters.extend(operations),
                Part::Holds(holds) => records.holds.extend(holds),
                Part::Meetings(meetings) => records.meetings.extend(meetings),
                Part::Watched(watched) => records.watches.push(watched),
            }
        }
    };
    let ended = tokio::time::timeout(ENDS_WITHIN, all).await;
    assert!(ended.is_ok(), "{who} do not end within {ENDS_WITHIN:?}, although the cluster was healed");
}

fn options() -> Options {
    let policy = Policy { give_up_ms: GIVES_UP_MS, backoff: Backoff { base_ms: 10, max_ms: 500 } };
    Options { policy, ..Options::default() }
}

/// Installs what the clients call that is not bundled, and has every member compile it.
async fn prepare(cluster: &Cluster) {
    let client = cluster.client().await;
    let install = || async { client.install_recipe(recipes::install(MEETINGS)).await.ok() };
    until("the recipe to be installed", PATIENCE, install).await;
    for n in 0..cluster.members.len() {
        until("a member to have compiled the recipe", PATIENCE, || async {
            let client = cluster.client_of(n).await?;
            client.query_json(MEETINGS, "rows", "{}", Consistency::Linearizable).await.ok()
        })
        .await;
    }
}

/// What is known of the effect of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It may have happened, or may still happen.
    Perhaps,
    /// It surely never does.
    Never,
}

impl<E: std::fmt::Debug> From<CallError<E>> for Effect {
    fn from(error: CallError<E>) -> Self {
        match error {
            CallError::OutcomeUnknown(_) | CallError::SessionExpired(_) => Self::Perhaps,
            CallError::Unavailable(_) => Self::Never,
            other => panic!("nothing that a client does is refused: {other:?}"),
        }
    }
}

impl From<Error> for Effect {
    fn from(error: Error) -> Self {
        match error {
            Error::OutcomeUnknown(_) | Error::SessionExpired(_) => Self::Perhaps,
            Error::Unavailable(_) => Self::Never,
            other => panic!("nothing that a client does is refused: {other}"),
        }
    }
}
