//! The workloads of calls: each client sends one request after another, encoded as a typed client
//! would.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use futures::{StreamExt, TryStreamExt};
use synod_abi::schema::Schema;
use synod_abi::{Blob, encode};
use synod_client::core::mix;
use synod_client::{Client, RawCall, RawError, RawQuery, Session, Transport};

use crate::cli::io::fail::{Exit, Failed};

/// Sessions that are opened or closed at the same time.
const AT_ONCE: usize = 64;
/// The one lock of `lock-contended`.
const CONTENDED: &str = "bench";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `add` of the recipe counter: the smallest replicated write.
    CounterAdd,
    /// The same in a session of each client: with effect once, whatever is sent again.
    CounterOnce,
    /// `put` of the recipe kv, with values of --value-bytes.
    KvPut,
    /// `get` of the recipe kv: a linearizable query.
    KvGet,
    /// `acquire` and `release` of the recipe lock, each client a lock of its own: what a lock costs
    /// that is free.
    LockCycle,
    /// The same, all clients one lock: how fast a lock goes from hand to hand. Latencies include
    /// the time in line.
    LockContended,
    /// Sessions of --ttl, as many as --clients, that are kept alive and do nothing else. What is
    /// counted is signs of life.
    IdleSessions,
    /// One event to --watchers, one event at a time: how long after its call was sent each has it.
    WatchFanout,
    /// What --watchers cost those who write: the same writes without, with, and without them. Takes
    /// three times --seconds.
    WatchLoad,
    /// What a bound handler, `audit`, costs each `put` of kv: the same without, with, and without
    /// it. Takes three times --seconds.
    Handler,
}

impl Kind {
    /// The recipe, and the name of the space if none is given; empty if no recipe takes part.
    pub(crate) const fn recipe(self) -> &'static str {
        match self {
            Self::CounterAdd | Self::CounterOnce => "counter",
            Self::KvPut | Self::KvGet | Self::WatchFanout | Self::WatchLoad | Self::Handler => "kv",
            Self::LockCycle | Self::LockContended => "lock",
            Self::IdleSessions => "",
        }
    }

    /// What is counted.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::LockCycle => "cycles",
            Self::LockContended => "hand-overs",
            Self::IdleSessions => "signs of life",
            _ => "calls",
        }
    }

    /// Whether each client has a session.
    pub(crate) const fn in_session(self) -> bool {
        matches!(self, Self::CounterOnce | Self::LockCycle | Self::LockContended)
    }

    const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::CounterAdd | Self::CounterOnce => &["add"],
            Self::KvPut => &["put"],
            Self::LockCycle | Self::LockContended => &["acquire", "release"],
            Self::KvGet | Self::IdleSessions | Self::WatchFanout | Self::WatchLoad | Self::Handler => &[],
        }
    }

    const fn queries(self) -> &'static [&'static str] {
        match self {
            Self::KvGet => &["get"],
            _ => &[],
        }
    }
}

/// A workload, ready to run.
pub(crate) struct Workload {
    kind: Kind,
    space: String,
    /// Of its operations, then its queries.
    signatures: Vec<u64>,
    keys: u64,
    value: Blob,
    drawn: AtomicU64,
}

impl Workload {
    /// Prepares `kind` on a space whose recipe has `schema`.
    pub(crate) fn new(
        kind: Kind,
        space: &str,
        schema: &Schema,
        keys: u64,
        value_bytes: usize,
    ) -> Result<Self, Failed> {
        let wanted = kind.recipe();
        let operations = kind.operations().iter().map(|name| schema.operation(name));
        let queries = kind.queries().iter().map(|name| schema.query(name));
        let signatures: Option<Vec<u64>> =
            operations.chain(queries).map(|point| Some(point?.signature)).collect();
        let Some(signatures) = signatures.filter(|_| schema.recipe.name.as_str() == wanted) else {
            let needs = [kind.operations(), kind.queries()].concat().join("`, `");
            let message = format!(
                "`{space}` runs {}, but this workload needs `{needs}` of the recipe {wanted}",
                schema.recipe
            );
            return Err(Failed::new(Exit::Rejected, message)
                .next(format!("`synod space create SPACE --recipe {wanted}`, then `--space SPACE`")));
        };
        let value = value(value_bytes);
        Ok(Self {
            kind,
            space: space.to_owned(),
            signatures,
            keys: keys.max(1),
            value,
            drawn: AtomicU64::new(0),
        })
    }

    /// A call of the operation with this index.
    fn call(&self, which: usize, args: Vec<u8>) -> RawCall {
        RawCall {
            space: self.space.clone(),
            operation: self.kind.operations()[which],
            signature: self.signatures[which],
            args,
            wait_ms: None,
        }
    }

    fn key(&self) -> String {
        format!("bench-{}", mix(self.drawn.fetch_add(1, Ordering::Relaxed)) % self.keys)
    }
}

/// A value of this size that does not compress well.
fn value(bytes: usize) -> Blob {
    Blob((0..bytes).map(|at| mix(at as u64) as u8).collect())
}

/// `put` of the recipe kv to keys that the caller chooses.
pub(crate) struct Putter {
    workload: Workload,
}

impl Putter {
    /// Puts values of `value_bytes` into `space`, whose recipe has `schema`.
    pub(crate) fn new(space: &str, schema: &Schema, value_bytes: usize) -> Result<Self, Failed> {
        Workload::new(Kind::KvPut, space, schema, 1, value_bytes).map(|workload| Self { workload })
    }

    /// The space.
    pub(crate) fn space(&self) -> &str {
        &self.workload.space
    }

    /// One call.
    pub(crate) async fn try_put(&self, client: &Client, key: &str) -> Result<(), RawError> {
        let call = self.workload.call(0, encode(&(key, &self.workload.value)));
        Transport::call(client, call).await.map(drop)
    }

    /// One call, without which there is nothing to measure.
    pub(crate) async fn put(&self, client: &Client, key: &str) -> Result<(), Failed> {
        self.try_put(client, key)
            .await
            .map_err(|error| Failed::new(Exit::Unavailable, format!("a put failed: {error:?}")))
    }
}

/// One client of a workload, with one request at a time.
pub(crate) struct Caller {
    workload: Arc<Workload>,
    client: Client,
    session: Option<Session>,
    lock: String,
}

impl Caller {
    /// `count` callers, spread over `connections`; opens their sessions if they need some.
    pub(crate) async fn prepare(
        workload: &Arc<Workload>,
        connections: &[Client],
        count: usize,
        ttl: Option<Duration>,
    ) -> Result<Vec<Arc<Self>>, Failed> {
        let callers = connections.iter().cycle().take(count).enumerate().map(|(number, client)| async move {
            let session = if workload.kind.in_session() { Some(open(client, ttl).await?) } else { None };
            let contended = workload.kind == Kind::LockContended;
            let lock = if contended { CONTENDED.to_owned() } else { format!("bench-{number}") };
            Ok(Arc::new(Self { workload: Arc::clone(workload), client: client.clone(), session, lock }))
        });
        futures::stream::iter(callers).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Closes the sessions of `callers`. One that cannot be closed expires.
    pub(crate) async fn close(callers: Vec<Arc<Self>>) {
        let closing = callers.into_iter().map(|caller| async move {
            if let Some(session) = &caller.session
                && let Err(error) = session.close().await
            {
                tracing::debug!(%error, "a session was not closed");
            }
        });
        futures::stream::iter(closing).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// One request, or one cycle of a lock.
    pub(crate) async fn run(&self) -> Result<(), RawError> {
        let workload = &self.workload;
        match workload.kind {
            Kind::CounterAdd | Kind::CounterOnce => self.call(0, encode(&(workload.key(), 1_i64))).await,
            Kind::KvPut => self.call(0, encode(&(workload.key(), &workload.value))).await,
            Kind::KvGet => {
                let query = RawQuery {
                    space: workload.space.clone(),
                    query: workload.kind.queries()[0],
                    signature: workload.signatures[0],
                    args: encode(&(workload.key(),)),
                };
                Transport::query(&self.client, query).await.map(drop)
            }
            Kind::LockCycle | Kind::LockContended => {
                let args = encode(&(&self.lock, None::<String>));
                self.call(0, args.clone()).await?;
                self.call(1, args).await
            }
            Kind::IdleSessions | Kind::WatchFanout | Kind::WatchLoad | Kind::Handler => Ok(()),
        }
    }

    async fn call(&self, which: usize, args: Vec<u8>) -> Result<(), RawError> {
        let call = self.workload.call(which, args);
        match &self.session {
            Some(session) => Transport::call(session, call).await.map(drop),
            None => Transport::call(&self.client, call).await.map(drop),
        }
    }
}

async fn open(client: &Client, ttl: Option<Duration>) -> Result<Session, Failed> {
    let wanted = client.session().label("synod bench");
    let wanted = match ttl {
        Some(ttl) => wanted.ttl(ttl),
        None => wanted,
    };
    Ok(wanted.open().await?)
}
