//! Clients and strangers that only cost: a member's memory stays within its budgets, it goes on
//! running, and it goes on serving a client that means well.
//!
//! One cluster, one attack after the other, all on the same member, whose memory is compared with
//! what it had before the attack. `make soak WHAT=flood` runs the long form; both print how much
//! each attack costs, and how long calls take meanwhile. The long form compares that with how long
//! they take without the attack; run it on a machine that has nothing else to do. Another test is
//! of clients of our library that do nothing.
//!
//! Attackers would be on other machines. Here they run on threads of the lowest priority, so that
//! what counts is what the member does because of them, and not what they do themselves.
mod attacks;

use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use attacks::Held;
use futures::StreamExt;
use synod_api::v1::Consistency;
use synod_client::{Client, Follow, Options};
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::recipes;
use synod_tests::wait::until;
use tokio::runtime::Runtime;

/// How much all attacks together may cost a member.
const GROWTH_BYTES: u64 = 256 * 1_024 * 1_024;
/// How much a client may cost that never reads.
const UNREAD_CLIENT_BYTES: u64 = 8 * 1_024 * 1_024;
/// Clients that never read.
const UNREAD_CLIENTS: usize = 8;
/// Of the attackers' threads.
const LOWEST_PRIORITY: i32 = 19;
/// The member that is attacked.
const VICTIM: usize = 0;
/// Values of a page of the query that is not read.
const VALUES: usize = 8;
/// Bytes of each of them.
const VALUE_BYTES: usize = 60 * 1_024;
/// Long calls at a time before the attacks, as many as an attack makes,
const LONG_CALLS: usize = 100;
/// and how often: what a member needs to execute them is no client's cost.
const LONG_ROUNDS: usize = 4;
/// How long a good client's call may take on a busy machine.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// Clients of the library that begin at a time,
const BEGINNING: usize = 32;
/// how long it is measured what they cost,
const MEASURED: Duration = Duration::from_secs(5);
/// and after what time at the latest they do nothing at all: their call streams have ended.
const IDLE: Duration = Duration::from_secs(25);
/// What they may cost then, in thousandths of a processor, beside what the cluster itself needs.
const IDLE_PERMILLE: u128 = 100;
/// Those that call again after that, also while the member that they know hangs,
const CALLING: usize = 10;
/// and how soon each is served.
const SOON: Duration = Duration::from_secs(5);

/// How much of everything.
struct Size {
    connections: usize,
    library_clients: usize,
    streams: usize,
    unread_calls: usize,
    attackers: usize,
    calls: usize,
}

const SHORT: Size = Size {
    connections: 1_000,
    library_clients: 200,
    streams: 1_000,
    unread_calls: 100,
    attackers: 20,
    calls: 30,
};
const LONG: Size = Size {
    connections: 10_000,
    library_clients: 10_000,
    streams: 1_000,
    unread_calls: 3_000,
    attackers: 100,
    calls: 1_000,
};

fn is_long() -> bool {
    std::env::var_os("SYNOD_SOAK").is_some()
}

fn size() -> Size {
    if is_long() { LONG } else { SHORT }
}

/// How long calls of a client took, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1?}, p99 {:.1?}", self.percentile(50), self.percentile(99))
    }
}

/// Calls and queries of a client that means well, one after the other.
async fn serve(client: &Client, calls: usize) -> Times {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        let served = async {
            client.call_json("counter", "add", r#"{"key": "k", "by": 1}"#).await.expect("calls are served");
            let query = client.query_json("counter", "get", r#"{"key": "k"}"#, Consistency::Linearizable);
            query.await.expect("queries are served");
        };
        tokio::time::timeout(CALL_LIMIT, served).await.expect("a good client is served in time");
        times.push(began.elapsed());
    }
    times.sort();
    Times(times)
}

/// Makes room for as many sockets as an attack opens.
fn raise_descriptors() {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` lives during both calls; the first only writes it, the second only reads it.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits);
        limits.rlim_cur = limits.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits)
    };
    assert_eq!(raised, 0, "a process may raise its limit to the highest that it may have");
}

/// Threads for the attackers, of the lowest priority.
static ATTACKERS: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(|| {
            // SAFETY: it changes the priority of this thread only.
            let lowered = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOWEST_PRIORITY) };
            assert_eq!(lowered, 0, "a thread may lower its priority");
        })
        .build()
        .expect("a thread can be started")
});

/// What the attacks are measured against.
struct Bench {
    cluster: Cluster,
    /// Asks the attacked member.
    client: Client,
    calls: usize,
    /// What all attacks so far have cost.
    grown: Cell<u64>,
}

impl Bench {
    async fn new(calls: usize) -> Self {
        let cluster = Cluster::started(3, &[]).await;
        let options = Options { follow: Follow::Nearest, ..Options::default() };
        let address = cluster.members[VICTIM].client_address.clone();
        let client = Client::connect_with(address, options).await.expect("the member answers");
        for n in 0..VALUES {
            let value = "A".repeat(VALUE_BYTES * 4 / 3);
            let put = format!(r#"{{"key": "k{n}", "value": "{value}"}}"#);
            client.call_json("kv", "put", &put).await.expect("it is stored");
        }
        serve(&client, calls).await;
        client.install_recipe(recipes::install("hostile")).await.expect("it is a valid module");
        for _ in 0..LONG_ROUNDS {
            let args = format!(r#"{{"bytes": {}}}"#, attacks::LONG_REPLY_BYTES);
            let calls = (0..LONG_CALLS).map(|_| client.call_json("hostile", "answer", &args));
            futures::future::join_all(calls).await;
        }
        Self { cluster, client, calls, grown: Cell::new(0) }
    }

    /// Runs an attack, and asserts what it costs; it counts among those that together have a limit.
    async fn withstand(&self, name: &str, attack: impl Future<Output = Held> + Send + 'static) {
        let grown = self.withstand_within(GROWTH_BYTES, name, attack).await;
        self.grown.set(self.grown.get() + grown);
    }

    /// The same for an attack that has a memory limit of its own. Returns how much memory it took.
    async fn withstand_within(
        &self,
        limit: u64,
        name: &str,
        attack: impl Future<Output = Held> + Send + 'static,
    ) -> u64 {
        let before = self.cluster.resident_bytes(VICTIM);
        let calm = serve(&self.client, self.calls).await;
        let held = ATTACKERS.spawn(attack).await.expect("an attack does not panic");
        held.reached().await;
        let reached = self.cluster.resident_bytes(VICTIM);
        let times = serve(&self.client, self.calls).await;
        let grown = self.cluster.resident_bytes(VICTIM).max(reached).saturating_sub(before);
        let moved = held.moved();
        drop(held);
        self.assert_healthy(name).await;
        let calm_again = serve(&self.client, self.calls).await;
        eprintln!("{name}: {moved} moved, {} KiB more memory", grown / 1_024);
        eprintln!("  a call and a query: {times}; before: {calm}; afterwards: {calm_again}");
        assert!(moved > 0, "{name} did nothing");
        assert!(grown < limit, "{name}: the member grew by {grown} bytes");
        let calm = calm.percentile(99).max(calm_again.percentile(99));
        if is_long() {
            assert!(times.percentile(99) <= 2 * calm, "{name}: others wait more than twice as long");
        }
        grown
    }

    async fn assert_healthy(&self, name: &str) {
        for n in 0..self.cluster.members.len() {
            assert!(self.cluster.runs(n), "{name}: a member has ended: {}", self.cluster.log(n));
        }
        let fresh = self.cluster.client().await;
        tokio::time::timeout(CALL_LIMIT, serve(&fresh, 1)).await.expect("a new client is served afterwards");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_cost_a_member_little_and_others_nothing() {
    raise_descriptors();
    let Size { connections, streams, unread_calls, attackers, calls, .. } = size();
    let bench = Bench::new(calls).await;
    let member = &bench.cluster.members[VICTIM];
    let (clients, peers) = (member.client_address.clone(), member.peer_address.clone());

    let limit = UNREAD_CLIENTS as u64 * UNREAD_CLIENT_BYTES;
    let unread = attacks::unread_clients(clients.clone(), UNREAD_CLIENTS, unread_calls);
    bench.withstand_within(limit, "clients that never read", unread).await;
    let half_sent = attacks::half_sent_messages(clients.clone(), "/synod.v1.Spaces/CallStream", streams);
    bench.withstand("half-sent messages on streams", half_sent).await;
    let half_sent = attacks::half_sent_messages(clients.clone(), "/synod.v1.Recipes/Install", streams);
    bench.withstand("half-sent messages of single calls", half_sent).await;
    let half_sent = attacks::half_sent_messages(peers.clone(), "/synod.peer.v1.Peer/Append", streams);
    bench.withstand("half-sent messages on the peer port", half_sent).await;
    bench.withstand("streams that never read", attacks::unread_streams(clients.clone(), streams)).await;
    bench.withstand("idle connections", attacks::idle_connections(clients.clone(), connections)).await;
    bench.withstand("rapid resets", attacks::rapid_resets(clients.clone(), attackers)).await;
    bench.withstand("rapid resets on the peer port", attacks::rapid_resets(peers.clone(), attackers)).await;
    bench.withstand("garbage", attacks::garbage(clients.clone(), attackers)).await;
    bench.withstand("garbage on the peer port", attacks::garbage(peers.clone(), attackers)).await;

    let grown = bench.grown.get();
    eprintln!("all together: {} KiB more memory", grown / 1_024);
    assert!(grown < GROWTH_BYTES, "the member grew by {grown} bytes in all");
    bench.cluster.assert_equal_digests().await;
}

/// What the attacked member needs of a processor, in thousandths.
async fn load(cluster: &Cluster) -> u128 {
    let before = cluster.processor_time(VICTIM);
    tokio::time::sleep(MEASURED).await;
    (cluster.processor_time(VICTIM) - before).as_millis() * 1_000 / MEASURED.as_millis()
}

/// Clients that have called once.
async fn library_clients(address: &str, count: usize) -> Vec<Client> {
    let client = |_| async move {
        let options = Options { follow: Follow::Nearest, ..Options::default() };
        let client = Client::connect_with(address, options).await.expect("the member answers");
        client.call_json("counter", "add", r#"{"key": "k", "by": 1}"#).await.expect("calls are served");
        client
    };
    futures::stream::iter(0..count).map(client).buffer_unordered(BEGINNING).collect().await
}

/// Each of them calls, and is served soon.
async fn call_again(clients: &[Client]) {
    for client in clients {
        let call = client.call_json("counter", "add", r#"{"key": "k", "by": 1}"#);
        let called = tokio::time::timeout(SOON, call).await;
        called.expect("it is served soon").expect("it is served");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_nothing_cost_a_member_little() {
    raise_descriptors();
    let cluster = Cluster::started(3, &[]).await;
    let before = cluster.resident_bytes(VICTIM);
    let clients = library_clients(&cluster.members[VICTIM].client_address, size().library_clients).await;
    let called = Instant::now();
    let grown = || cluster.resident_bytes(VICTIM).saturating_sub(before);
    let calling = grown();
    eprintln!(
        "{} clients of the library that have called: {} KiB more memory",
        clients.len(),
        calling / 1_024
    );
    if is_long() {
        let probed = load(&cluster).await;
        tokio::time::sleep_until((called + IDLE).into()).await;
        let idle = load(&cluster).await;
        eprintln!("thousandths of a processor: {probed} while they are probed, {idle} when they do nothing");
        assert!(idle < IDLE_PERMILLE, "clients that do nothing cost {idle} thousandths of a processor");
        cluster.pause(VICTIM);
        call_again(&clients[..CALLING]).await;
        cluster.resume(VICTIM);
        until("idle clients to close their connections", PATIENCE, || {
            std::future::ready((cluster.descriptors(VICTIM) < clients.len() / 2).then_some(()))
        })
        .await;
        eprintln!("after they have closed their connections: {} KiB more memory", grown() / 1_024);
    } else {
        assert!(calling < GROWTH_BYTES, "the member grew by {calling} bytes");
    }
    call_again(&clients[..CALLING]).await;
}
