//! What clients did, for the checkers.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_abi::SessionId;
use synod_checker::history::{Keyed, Operation, Outcome};
use synod_checker::models::{counter, kv};
use synod_checker::watch::{Event, Watch};

/// An operation on a key of the recipe `kv`.
pub type KvOperation = Operation<Keyed<String, kv::Input<u64>>, kv::Output<u64>>;
/// An operation on a counter.
pub type CounterOperation = Operation<Keyed<String, counter::Input>, counter::Output>;

/// A watch, and how far it is.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What it was told, on each of its streams.
    pub watch: Watch<Vec<u8>>,
    /// It has everything up to this revision; none: it was never created.
    pub complete: Option<u64>,
    /// Which client's it is, while that lives.
    pub client: Option<u32>,
}

/// A lock that a client held, or an election that it led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which client.
    pub client: u32,
    /// Which.
    pub name: String,
    /// Its token.
    pub token: u64,
    /// In the world's time, in nanoseconds: from when the client knew that it had it.
    pub from: u64,
    /// Until when it relied on it.
    pub until: u64,
}

/// The signs of life of a session that were answered "it lives": when each was sent, in the world's
/// time, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Its time to live, in milliseconds.
    pub ttl_ms: u64,
    /// The first one asked for it.
    pub sent: Vec<u64>,
}

/// Everything that is recorded.
#[derive(Debug, Default)]
pub struct Records {
    /// Operations of the recipe `kv`; `None` had no effect.
    pub kv: Vec<Option<KvOperation>>,
    /// The revision that each of them was told, if it was answered.
    pub kv_revisions: Vec<Option<u64>>,
    /// Operations of the recipe `counter`; `None` had no effect.
    pub counter: Vec<Option<CounterOperation>>,
    /// Watches.
    pub watches: Vec<Watched>,
    /// Records of the trail of `kv`, with their numbers in it.
    pub trail: Vec<(u64, Event<Vec<u8>>)>,
    /// The largest revision that any client knows to be acknowledged.
    pub acknowledged: u64,
    /// Locks that were held.
    pub holdings: Vec<Holding>,
    /// Sessions: when each was asked for and touched.
    pub lives: BTreeMap<SessionId, Touched>,
}

/// Collects records. Clones are the same collection.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Records>>);

impl Recorder {
    /// A client relies on what it holds no longer than until now.
    pub fn end_holding(&self, place: usize, now: u64) {
        let holding = &mut self.records().holdings[place];
        holding.until = holding.until.min(now);
    }

    /// The same of everything that a client holds, and its watches are over: it died.
    pub fn died(&self, client: u32, now: u64) {
        let mut records = self.records();
        for holding in records.holdings.iter_mut().filter(|holding| holding.client == client) {
            holding.until = holding.until.min(now);
        }
        for watched in records.watches.iter_mut().filter(|watched| watched.client == Some(client)) {
            watched.client = None;
        }
    }

    /// What was recorded.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that an operation begins; its place among its kind.
pub fn begin<I, O>(
    operations: &mut Vec<Option<Operation<Keyed<String, I>, O>>>,
    (client, invoked): (u32, u64),
    key: &str,
    input: I,
) -> usize {
    let input = Keyed { key: key.to_owned(), input };
    operations.push(Some(Operation::unknown(client, invoked, input)));
    operations.len() - 1
}

/// Notes its answer.
pub fn end<I, O>(operation: &mut Option<Operation<Keyed<String, I>, O>>, returned: u64, output: O) {
    if let Some(operation) = operation {
        operation.returned = Some(returned);
        operation.outcome = Outcome::Done(output);
    }
}
