//! A member that is stopped where it is, and named first: everything that clients do succeeds at
//! another one, soon.
//!
//! One cluster and one stopped member for all clients at once. Some were connected to the member
//! before, as programs are that run; others come later, as commands do.
use std::future::Future;
use std::process::Command;
use std::time::{Duration, Instant};

use synod_client::api::Consistency;
use synod_client::{Client, Error, Follow, Json, Options, Session, Watch, WatchItem};
use synod_lock::Lock;
use synod_tests::binary::synod;
use synod_tests::cluster::Cluster;

/// How long each may take: two seconds, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(60);
const ADD: &str = r#"{"key": "n", "by": 1}"#;

/// The addresses of all members, `first` first.
fn endpoints(cluster: &Cluster, first: usize) -> String {
    let order = [first, (first + 1) % 3, (first + 2) % 3];
    order.map(|n| cluster.members[n].client_address.clone()).join(",")
}

async fn in_time<T>(what: &str, doing: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = tokio::time::timeout(IN_TIME, doing).await;
    let done = done.unwrap_or_else(|_| panic!("{what}: not within {IN_TIME:?}"));
    eprintln!("{what}: {} ms", began.elapsed().as_millis());
    done
}

/// What a program has that was connected to the member before it was stopped.
struct Connected {
    client: Client,
    session: Session,
    watch: Watch<Json>,
    waiting: tokio::task::JoinHandle<Result<(), String>>,
}

async fn near(cluster: &Cluster, n: usize) -> Client {
    let options = Options { follow: Follow::Nearest, ..Options::default() };
    Client::connect_with(endpoints(cluster, n), options).await.expect("it answers")
}

impl Connected {
    async fn to(cluster: &Cluster, n: usize, lock: &'static str) -> Self {
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
    async fn go_on(self, holder: &Session, lock: &'static str) {
        let Self { client, session, mut watch, waiting } = self;
        let called = in_time("a call in a session", session.call_json("counter", "add", ADD));
        let alone = in_time("a call without a session", client.call_json("counter", "add", ADD));
        let query = |consistency| client.query_json("counter", "get", r#"{"key": "n"}"#, consistency);
        let fresh = in_time("a query", query(Consistency::Linearizable));
        let stale = in_time("a serializable query", query(Consistency::Serializable));
        let status = in_time("a status", client.status(false));
        let opened = in_time("a session", client.session().open());
        let passed = in_time("a waiting call", async {
            Lock::client(holder, "lock").release(lock, None).await.expect("it is released");
            waiting.await.expect("it ends")
        });
        let event = in_time("a watch", async {
            holder.call_json("kv", "put", r#"{"key": "k", "value": "dw=="}"#).await.expect("it is put");
            loop {
                match watch.next().await {
                    Ok(Some(WatchItem::Events { .. })) => return,
                    Ok(Some(WatchItem::Progress { .. })) => {}
                    ended => panic!("the watch has ended: {ended:?}"),
                }
            }
        });
        let (called, alone, fresh, stale, status, opened, passed, ()) =
            tokio::join!(called, alone, fresh, stale, status, opened, passed, event);
        called.expect("a call in a session");
        assert!(matches!(&alone, Ok(_) | Err(Error::OutcomeUnknown(_))), "{alone:?}");
        fresh.expect("a query");
        stale.expect("a serializable query");
        status.expect("a status");
        opened.expect("a session");
        passed.expect("a waiting call");
        assert!(!session.is_lost());
    }
}

/// What a program does that comes later.
async fn begin(cluster: &Cluster, stopped: usize) {
    let options = Options { learn_members: false, follow: Follow::Nearest, ..Options::default() };
    let fresh = || async {
        Client::connect_with(endpoints(cluster, stopped), options).await.expect("nobody is contacted")
    };
    let learning = in_time("connecting", near(cluster, stopped));
    let call = in_time("a first call without a session", async {
        fresh().await.call_json("counter", "add", ADD).await.expect("it was not sent to the stopped member")
    });
    let query = in_time("a first query", async {
        let get = r#"{"key": "n"}"#;
        fresh().await.query_json("counter", "get", get, Consistency::Serializable).await.expect("it is asked")
    });
    let lock = in_time("a first lock", async {
        let session = fresh().await.session().open().await.expect("it is opened");
        let name = format!("new {stopped}");
        Lock::client(&session, "lock").acquire(name.as_str(), None).await.expect("it is granted");
    });
    let watch = in_time("a first watch", async {
        let _watch = fresh().await.watch("kv").open().await.expect("it begins");
    });
    tokio::join!(learning, call, query, lock, watch);
}

/// Commands of the command line, with the stopped member named first.
async fn commands(cluster: &Cluster, stopped: usize) {
    let commands: [&[&str]; 7] = [
        &["call", "counter", "add", "--key", "n", "--by", "1"],
        &["query", "counter", "get", "--key", "n"],
        &["query", "--consistency", "serializable", "counter", "get", "--key", "n"],
        &["status"],
        &["space", "list"],
        &["session", "open", "--detach"],
        &["lock", "of-commands", "--", "true"],
    ];
    for arguments in commands {
        let mut command = Command::new(synod());
        command.args(["--endpoint", &endpoints(cluster, stopped)]).args(arguments);
        let run = tokio::task::spawn_blocking(move || command.output().expect("it can be run"));
        let output = in_time(&format!("synod {}", arguments.join(" ")), run).await.expect("it ends");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

async fn with_one_stopped(leads: bool) {
    let cluster = Cluster::started(3, &[]).await;
    let leader = cluster.leader().await;
    let stopped = if leads { leader } else { (leader + 1) % 3 };
    let holder = near(&cluster, (stopped + 1) % 3).await.session().ttl(TTL).open().await.expect("it opens");
    Lock::client(&holder, "lock").acquire("db", None).await.expect("it is granted");
    let connected = Connected::to(&cluster, stopped, "db").await;
    cluster.pause(stopped);
    tokio::join!(connected.go_on(&holder, "db"), begin(&cluster, stopped));
    commands(&cluster, stopped).await;
    cluster.resume(stopped);
    cluster.ready().await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_a_follower_that_is_named_first_is_stopped() {
    with_one_stopped(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_a_leader_that_is_named_first_is_stopped() {
    with_one_stopped(true).await;
}
