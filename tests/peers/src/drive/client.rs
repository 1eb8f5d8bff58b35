//! What each workload's operation is with Synod's client library and recipes.
use std::time::Duration;

use futures::future::try_join_all;
use synod_client::{Client, Session, Typed, Watch, WatchItem};
use synod_counter::Counters;
use synod_election::Election;
use synod_kv::{Change, Kv};
use synod_lock::Lock;
use synod_sdk::prelude::*;
use synod_tests::dice::Dice;
use tokio::sync::mpsc;

use super::Order;
use crate::workload::Workload;

/// The key that watchers watch.
const WATCHED: &str = "bench/watched";
/// What all contend for.
const SHARED: &str = "bench";
/// Keys that one client writes at once before the run.
const PREPARED_AT_ONCE: usize = 16;
/// How long a watcher may take to see a change.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Why an operation failed; the driver only counts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

/// A client and what it does in a loop.
pub(super) enum Driven {
    /// Sets and reads keys, so many reads in ten operations.
    Keys { client: Client, dice: Dice, keys: u64, value: Blob, reads_in_ten: u64 },
    /// Sets one key after the other, every `step`-th.
    Filler { client: Client, next: u64, step: u64, keys: u64, value: Blob },
    /// Increments the counter.
    Counter { client: Client },
    /// Acquires and releases a lock.
    Lock { session: Session, name: String },
    /// Campaigns and resigns.
    Election { session: Session, candidate: String },
    /// Opens and closes sessions.
    Sessions { client: Client },
    /// Sets a key and waits until all have seen it.
    Publisher(Watchers),
}

impl Driven {
    /// Client `n` of the order's workload.
    pub(super) async fn new(order: &Order, n: usize, client: &Client) -> Result<Self, String> {
        let client = client.clone();
        let keys = |reads_in_ten| Self::Keys {
            client: client.clone(),
            dice: Dice::new(n as u64 + 1),
            keys: order.keys,
            value: value(order),
            reads_in_ten,
        };
        Ok(match order.workload {
            Workload::Write => keys(0),
            Workload::Read => keys(10),
            Workload::Mixed => keys(9),
            Workload::Counter => Self::Counter { client },
            Workload::Lock => Self::Lock { session: open(&client).await?, name: SHARED.to_owned() },
            Workload::Locks => Self::Lock { session: open(&client).await?, name: format!("{SHARED}/{n}") },
            Workload::Election => {
                Self::Election { session: open(&client).await?, candidate: format!("candidate-{n}") }
            }
            Workload::Sessions => Self::Sessions { client },
            Workload::Fill => Self::filler(order, n, &client),
            Workload::Watch => return Err("watchers are one loop together".to_owned()),
        })
    }

    /// Client `n` of those that write every key once.
    pub(super) fn filler(order: &Order, n: usize, client: &Client) -> Self {
        let (next, step, keys) = (n as u64, order.clients as u64, order.keys);
        Self::Filler { client: client.clone(), next, step, keys, value: value(order) }
    }

    /// The session in which it holds something, if it does.
    pub(super) fn session(&self) -> Option<Session> {
        match self {
            Self::Lock { session, .. } | Self::Election { session, .. } => Some(session.clone()),
            _ => None,
        }
    }

    /// Whether a filler has keys left.
    pub(super) fn has_more(&self) -> bool {
        matches!(self, Self::Filler { next, keys, .. } if next < keys)
    }

    /// One attempt at one operation.
    pub(super) async fn operate(&mut self) -> Result<(), Failed> {
        match self {
            Self::Keys { client, dice, keys, value, reads_in_ten } => {
                let (kv, key) = (Kv::client(client, "kv"), key(dice.below(*keys)));
                if dice.below(10) < *reads_in_ten {
                    kv.get(key.as_str()).await.map_err(failed)?.ok_or(Failed)?;
                } else {
                    kv.put(key.as_str(), value.clone()).await.map_err(failed)?;
                }
            }
            Self::Filler { client, next, step, value, .. } => {
                Kv::client(client, "kv").put(key(*next).as_str(), value.clone()).await.map_err(failed)?;
                *next += *step;
            }
            Self::Counter { client } => {
                Counters::client(client, "counter").add(SHARED, 1).await.map_err(failed)?;
            }
            Self::Lock { session, name } => {
                let lock = Lock::client(session, "lock");
                lock.acquire(name.as_str(), None).await.map_err(failed)?;
                lock.release(name.as_str(), None).await.map_err(failed)?;
            }
            Self::Election { session, candidate } => {
                let election = Election::client(session, "election");
                let led = election.campaign(SHARED, candidate.as_str(), Blob::from("here")).await;
                election.resign(SHARED, led.map_err(failed)?.token).await.map_err(failed)?;
            }
            Self::Sessions { client } => {
                let session = client.session().open().await.map_err(failed)?;
                session.close().await.map_err(failed)?;
            }
            Self::Publisher(watchers) => watchers.publish().await?,
        }
        Ok(())
    }
}

/// Watchers of one key, and the client that sets it.
pub(super) struct Watchers {
    client: Client,
    published: u64,
    count: usize,
    seen: mpsc::Receiver<u64>,
}

impl Watchers {
    /// One watch a client but the last, which publishes.
    pub(super) async fn open(clients: &[Client]) -> Result<Self, String> {
        let (publisher, watchers) = clients.split_last().ok_or("there is no client")?;
        let (sees, seen) = mpsc::channel(watchers.len().max(1));
        let opening =
            watchers.iter().map(|client| client.watch("kv").topic(WATCHED).typed::<Change>().open());
        for watch in try_join_all(opening).await.map_err(|error| error.to_string())? {
            tokio::spawn(follow(watch, sees.clone()));
        }
        Ok(Self { client: publisher.clone(), published: 0, count: watchers.len(), seen })
    }

    async fn publish(&mut self) -> Result<(), Failed> {
        self.published += 1;
        let value = Blob::from(self.published.to_string().into_bytes());
        Kv::client(&self.client, "kv").put(WATCHED, value).await.map_err(failed)?;
        let mut missing = self.count;
        while missing > 0 {
            let seen = tokio::time::timeout(SEEN_WITHIN, self.seen.recv()).await.map_err(failed)?;
            if seen.ok_or(Failed)? == self.published {
                missing -= 1;
            }
        }
        Ok(())
    }
}

/// Tells each number that a watch brings.
async fn follow(mut watch: Watch<Typed<Change>>, sees: mpsc::Sender<u64>) {
    while let Ok(Some(item)) = watch.next().await {
        let WatchItem::Events { events, .. } = item else { continue };
        for event in events {
            let Change::Put { value, .. } = event.payload else { continue };
            let number = std::str::from_utf8(value.as_ref()).ok().and_then(|text| text.parse().ok());
            if let Some(number) = number
                && sees.send(number).await.is_err()
            {
                return;
            }
        }
    }
}

/// Writes what the workload reads, with all clients.
pub(super) async fn prepare(order: &Order, clients: &[Client]) -> Result<(), String> {
    if !matches!(order.workload, Workload::Write | Workload::Read | Workload::Mixed) {
        return Ok(());
    }
    let writers = clients.len() * PREPARED_AT_ONCE;
    let value = value(order);
    let writing = (0..writers).map(|writer| {
        let (client, value) = (&clients[writer % clients.len()], value.clone());
        async move {
            for n in (writer as u64..order.keys).step_by(writers) {
                let kv = Kv::client(client, "kv");
                kv.put(key(n).as_str(), value.clone()).await.map_err(|error| error.to_string())?;
            }
            Ok(())
        }
    });
    try_join_all(writing).await.map(drop)
}

/// The name of a key.
fn key(n: u64) -> String {
    format!("bench/{n}")
}

fn value(order: &Order) -> Blob {
    Blob::from(vec![b'x'; order.value_bytes])
}

async fn open(client: &Client) -> Result<Session, String> {
    client.session().open().await.map_err(|error| error.to_string())
}

fn failed<E>(_: E) -> Failed {
    Failed
}
