//! What clients do, each with how long it took and what came of it: those that were connected
//! before a fault, those that come during it, and commands of the command line.
use std::fmt::Display;
use std::future::Future;
use std::process::Command;
use std::time::{Duration, Instant};

use synod_client::api::Consistency;
use synod_client::core::Policy;
use synod_client::{Client, Error, Follow, Json, Options, Session, Watch, WatchItem};
use synod_lock::Lock;
use synod_tests::binary::synod;
use synod_tests::cluster::Cluster;
use tokio::task::JoinHandle;

/// How long a client tries.
pub(super) const PATIENCE_MS: u64 = 4_000;
/// When a request has hung that should have ended by itself.
const HUNG: Duration = Duration::from_secs(20);
const TTL: Duration = Duration::from_secs(20);
const ADD: &str = r#"{"key": "n", "by": 1}"#;
const GET: &str = r#"{"key": "n"}"#;

/// What came of a request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Which one.
    pub(super) what: String,
    /// How long it took.
    pub(super) took: Duration,
    /// The reason if it failed.
    pub(super) result: Result<(), String>,
    /// Who must answer for it to succeed.
    pub(super) needs: Needs,
}

/// Who must answer for a request to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// A majority of the members.
    Majority,
    /// Any one member, whose state may be old.
    OneMember,
}

async fn seen<T, E: Display>(what: &str, doing: impl Future<Output = Result<T, E>>) -> Outcome {
    seen_of(Needs::Majority, what, doing).await
}

async fn seen_of<T, E: Display>(
    needs: Needs,
    what: &str,
    doing: impl Future<Output = Result<T, E>>,
) -> Outcome {
    let began = Instant::now();
    let done = tokio::time::timeout(HUNG, doing).await;
    let result = match done {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("hangs for {HUNG:?}")),
    };
    let took = began.elapsed();
    eprintln!("{what}: {} ms, {result:?}", took.as_millis());
    Outcome { what: what.to_owned(), took, result, needs }
}

fn options() -> Options {
    let policy = Policy { give_up_ms: PATIENCE_MS, ..Policy::default() };
    Options { follow: Follow::Nearest, policy, ..Options::default() }
}

/// The addresses of all members, `first` first.
fn endpoints(cluster: &Cluster, first: usize) -> String {
    let order = [first, (first + 1) % 3, (first + 2) % 3];
    order.map(|n| cluster.members[n].client_address.clone()).join(",")
}

/// A client that asks member `n` first.
pub(super) async fn near(cluster: &Cluster, n: usize) -> Client {
    near_or_not(cluster, n).await.expect("it answers")
}

/// Whoever holds the lock that others wait for, and passes it on.
pub(super) struct Holder {
    session: Session,
    lock: &'static str,
}

impl Holder {
    /// Takes the lock, through member `n`.
    pub(super) async fn at(cluster: &Cluster, n: usize, lock: &'static str) -> Self {
        let session = near(cluster, n).await.session().ttl(TTL).open().await.expect("a session is opened");
        Lock::client(&session, "lock").acquire(lock, None).await.expect("it is granted");
        Self { session, lock }
    }

    async fn pass_on(&self) -> Result<(), String> {
        let released = Lock::client(&self.session, "lock").release(self.lock, None).await;
        released.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn put(&self) -> Result<(), String> {
        let put = self.session.call_json("kv", "put", r#"{"key": "k", "value": "dw=="}"#).await;
        put.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Ends the session.
    pub(super) async fn close(self) {
        self.session.close().await.expect("it is closed");
    }
}

/// What a program has that was connected before the fault began.
pub(super) struct Connected {
    client: Client,
    session: Session,
    watch: Watch<Json>,
    waiting: JoinHandle<Result<(), String>>,
}

impl Connected {
    /// Connects to member `n`, and waits there for the lock.
    pub(super) async fn to(cluster: &Cluster, n: usize, lock: &'static str) -> Self {
        let client = near(cluster, n).await;
        let session = client.session().ttl(TTL).open().await.expect("a session is opened");
        session.call_json("counter", "add", ADD).await.expect("it is called");
        client.call_json("counter", "add", ADD).await.expect("it is called");
        let mut watch = client.watch("kv").open().await.expect("it begins");
        client.call_json("kv", "put", r#"{"key": "k", "value": "dg=="}"#).await.expect("it is put");
        assert!(matches!(watch.next().await, Ok(Some(WatchItem::Events { .. }))));
        let waiter = session.clone();
        let waiting = tokio::spawn(async move {
            let acquired = Lock::client(&waiter, "lock").acquire(lock, None).await;
            acquired.map(|_| ()).map_err(|error| error.to_string())
        });
        Self { client, session, watch, waiting }
    }

    /// Everything at once; `holder` holds the lock that it waits for.
    pub(super) async fn go_on(&mut self, holder: &Holder) -> Vec<Outcome> {
        let Self { client, session, watch, waiting } = self;
        let query = |consistency| client.query_json("counter", "get", GET, consistency);
        let passed = async {
            holder.pass_on().await?;
            waiting.await.expect("it ends")
        };
        let event = async {
            holder.put().await?;
            loop {
                match watch.next().await {
                    Ok(Some(WatchItem::Events { .. })) => return Ok(()),
                    Ok(Some(WatchItem::Progress { .. })) => {}
                    ended => return Err(format!("the watch has ended: {ended:?}")),
                }
            }
        };
        let (called, alone, fresh, stale, status, opened, passed, event) = tokio::join!(
            seen("a call in a session", session.call_json("counter", "add", ADD)),
            seen("a call without a session", client.call_json("counter", "add", ADD)),
            seen("a query", query(Consistency::Linearizable)),
            seen_of(Needs::OneMember, "a serializable query", query(Consistency::Serializable)),
            seen_of(Needs::OneMember, "a status", client.status(false)),
            seen("a session", client.session().ttl(TTL).open()),
            seen("a waiting call", passed),
            seen("a watch", event),
        );
        vec![called, alone, fresh, stale, status, opened, passed, event]
    }

    /// Whether the session was lost.
    pub(super) fn is_lost(&self) -> bool {
        self.session.is_lost()
    }

    /// Ends the session.
    pub(super) async fn close(self) {
        self.waiting.abort();
        self.session.close().await.expect("it is closed");
    }
}

/// What a program does that comes during the fault.
pub(super) async fn begin(cluster: &Cluster, bad: usize) -> Vec<Outcome> {
    let options = Options { learn_members: false, ..options() };
    let fresh = || Client::connect_with(endpoints(cluster, bad), options);
    let query = |consistency| async move {
        let client = Client::connect_with(endpoints(cluster, bad), options).await?;
        client.query_json("counter", "get", GET, consistency).await
    };
    let lock = async {
        let session = fresh().await.map_err(|error| error.to_string())?.session().ttl(TTL).open();
        let session = session.await.map_err(|error| error.to_string())?;
        let name = format!("of a first client at {bad}");
        Lock::client(&session, "lock").acquire(name.as_str(), None).await.map_err(|error| error.to_string())
    };
    let (learning, call, read, stale, lock, watch) = tokio::join!(
        seen_of(Needs::OneMember, "connecting", near_or_not(cluster, bad)),
        seen("a first call without a session", async {
            fresh().await?.call_json("counter", "add", ADD).await
        }),
        seen("a first query", query(Consistency::Linearizable)),
        seen_of(Needs::OneMember, "a first serializable query", query(Consistency::Serializable)),
        seen("a first lock", lock),
        seen("a first watch", async {
            let client = fresh().await.map_err(|error| error.to_string())?;
            client.watch("kv").open().await.map(|_| ()).map_err(|error| error.to_string())
        }),
    );
    vec![learning, call, read, stale, lock, watch]
}

async fn near_or_not(cluster: &Cluster, n: usize) -> Result<Client, Error> {
    Client::connect_with(endpoints(cluster, n), options()).await
}

/// Commands of the command line that name the bad member first.
pub(super) async fn commands(cluster: &Cluster, bad: usize) -> Vec<Outcome> {
    let commands: [(Needs, &[&str]); 8] = [
        (Needs::Majority, &["call", "counter", "add", "--key", "n", "--by", "1"]),
        (Needs::Majority, &["query", "counter", "get", "--key", "n"]),
        (Needs::OneMember, &["query", "--consistency", "serializable", "counter", "get", "--key", "n"]),
        (Needs::Majority, &["status"]),
        (Needs::Majority, &["session", "open", "--detach", "--ttl", "20"]),
        (Needs::Majority, &["lock", "of-commands", "--", "true"]),
        (Needs::Majority, &["elect", "of-commands", "--", "true"]),
        (Needs::OneMember, &["space", "list"]),
    ];
    let mut outcomes = Vec::new();
    for (needs, arguments) in commands {
        let mut command = Command::new(synod());
        command.args(["--endpoint", &endpoints(cluster, bad), "--timeout-ms", &PATIENCE_MS.to_string()]);
        command.args(arguments);
        let run = async {
            let run = tokio::task::spawn_blocking(move || command.output().expect("it can be run"));
            let output = run.await.expect("it ends");
            let text = [output.stderr, output.stdout].concat();
            output.status.success().then_some(()).ok_or(String::from_utf8_lossy(&text).into_owned())
        };
        outcomes.push(seen_of(needs, &format!("synod {}", arguments.join(" ")), run).await);
    }
    outcomes
}
