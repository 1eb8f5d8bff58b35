//! Clients and strangers that only cost: a member's memory stays within its budgets, it goes on
//! running, and it goes on serving a client that means well.
//!
//! One cluster, most kinds of attacks at the same time and then each by itself, on the same member.
//! What it takes at most while it is attacked is compared with what it takes at most before that,
//! while a client that means well does the same. `make soak WHAT=flood` runs the long form; both
//! print how much each attack costs, and how long calls take meanwhile. The long form compares that
//! with how long they take without the attack; run it on a machine that has nothing else to do.
//! Another test is of clients of our library that do nothing.
//!
//! Attackers would be on other machines. Here they run on threads of the lowest priority, so that
//! what counts is what the member does because of them, and not what they do themselves.
mod attacks;

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use attacks::Held;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use synod_api::v1::Consistency;
use synod_client::{Client, Follow, Options};
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::recipes;
use synod_tests::wait::until;
use tokio::runtime::Runtime;

/// How much attacks may cost a member, each by itself and together.
const GROWTH_BYTES: u64 = 256 * 1_024 * 1_024;
/// The attacks that are held at the same time.
const TOGETHER: [&str; 5] = [
    "half-sent messages on streams",
    "streams that never read",
    "idle connections",
    "rapid resets",
    "garbage",
];
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
/// Long calls at a time before the attacks, of as many clients as then never read,
const LONG_CALLS: usize = 100;
/// and how often: what a member needs to execute them is not what it costs that nobody reads.
const LONG_ROUNDS: usize = 2;
/// How often it is looked what the attacked member takes.
const LOOKS_EVERY: Duration = Duration::from_millis(20);
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

/// One test at a time: both measure what a member needs.
static QUIET: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

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

/// Does something, and looks how much memory the attacked member takes at most meanwhile. What it
/// writes comes and goes with its write buffers, so that only what it takes at most tells anything.
async fn most_during<T>(cluster: &Cluster, work: impl Future<Output = T>) -> (T, u64) {
    let mut most = 0;
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(LOOKS_EVERY);
    loop {
        tokio::select! {
            done = &mut work => return (done, most.max(cluster.resident_bytes(VICTIM))),
            _ = tick.tick() => most = most.max(cluster.resident_bytes(VICTIM)),
        }
    }
}

/// What the attacks are measured against.
struct Bench {
    cluster: Cluster,
    /// Asks the attacked member.
    client: Client,
    calls: usize,
    /// What the attacked member took at most before all attacks,
    calm_bytes: u64,
    /// and while it executed the long calls of clients that read the replies.
    long_bytes: u64,
}

impl Bench {
    async fn new(calls: usize) -> Self {
        let cluster = Cluster::started(3, &[]).await;
        let options = Options { follow: Follow::Nearest, ..Options::default() };
        let address = cluster.members[VICTIM].client_address.clone();
        let client = Client::connect_with(&address, options).await.expect("the member answers");
        for n in 0..VALUES {
            let value = "A".repeat(VALUE_BYTES * 4 / 3);
            let put = format!(r#"{{"key": "k{n}", "value": "{value}"}}"#);
            client.call_json("kv", "put", &put).await.expect("it is stored");
        }
        serve(&client, calls).await;
        client.install_recipe(recipes::install("hostile")).await.expect("it is a valid module");
        let long_calls = async {
            let args = format!(r#"{{"bytes": {}}}"#, attacks::LONG_REPLY_BYTES);
            let clients = (0..UNREAD_CLIENTS).map(|_| Client::connect_with(&address, options));
            let clients = futures::future::try_join_all(clients).await.expect("the member answers");
            let args = args.as_str();
            for _ in 0..LONG_ROUNDS {
                let calls = clients.iter().flat_map(|client| (0..LONG_CALLS).map(move |_| client));
                let calls = calls.map(|client| client.call_json("hostile", "answer", args));
                futures::future::join_all(calls).await;
            }
        };
        let ((), long_bytes) = most_during(&cluster, long_calls).await;
        let (_, calm_bytes) = most_during(&cluster, serve(&client, calls)).await;
        Self { cluster, client, calls, calm_bytes, long_bytes }
    }

    /// Runs an attack, and asserts what it costs.
    async fn withstand(&self, name: &str, attack: impl Future<Output = Held> + Send + 'static) {
        self.withstand_within(GROWTH_BYTES, 0, name, attack).await;
    }

    /// The same for an attack that has a memory limit of its own, beyond `usual_bytes` or what the
    /// member takes at most before it.
    async fn withstand_within(
        &self,
        limit: u64,
        usual_bytes: u64,
        name: &str,
        attack: impl Future<Output = Held> + Send + 'static,
    ) {
        let (calm, calm_bytes) = most_during(&self.cluster, serve(&self.client, self.calls)).await;
        let attacked = async {
            let held = ATTACKERS.spawn(attack).await.expect("an attack does not panic");
            held.reached().await;
            let times = serve(&self.client, self.calls).await;
            (held.moved(), times)
        };
        let ((moved, times), bytes) = most_during(&self.cluster, attacked).await;
        let grown = bytes.saturating_sub(calm_bytes.max(usual_bytes));
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
    }

    /// Runs attacks at the same time, and asserts how much more memory the member takes than before
    /// all attacks.
    async fn withstand_together(&self, attacks: Vec<BoxFuture<'static, Held>>) {
        let attacked = async {
            let mut all = Vec::new();
            for attack in attacks {
                let held = ATTACKERS.spawn(attack).await.expect("an attack does not panic");
                held.reached().await;
                assert!(held.moved() > 0, "attack {} of those at the same time did nothing", all.len());
                all.push(held);
            }
            serve(&self.client, self.calls).await
        };
        let (times, bytes) = most_during(&self.cluster, attacked).await;
        let grown = bytes.saturating_sub(self.calm_bytes);
        self.assert_healthy("attacks at the same time").await;
        eprintln!("at the same time: {} KiB more memory than before all attacks", grown / 1_024);
        eprintln!("  a call and a query: {times}");
        assert!(grown < GROWTH_BYTES, "the member grew by {grown} bytes");
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
    let _quiet = QUIET.lock().await;
    raise_descriptors();
    let Size { connections, streams, unread_calls, attackers, calls, .. } = size();
    let bench = Bench::new(calls).await;
    let member = &bench.cluster.members[VICTIM];
    let (clients, peers) = (member.client_address.clone(), member.peer_address.clone());

    let limit = UNREAD_CLIENTS as u64 * UNREAD_CLIENT_BYTES;
    let unread = attacks::unread_clients(clients.clone(), UNREAD_CLIENTS, unread_calls);
    bench.withstand_within(limit, bench.long_bytes, "clients that never read", unread).await;
    let attacks = || -> Vec<(&str, BoxFuture<'static, Held>)> {
        let half_sent =
            |address: &str, path| attacks::half_sent_messages(address.to_owned(), path, streams).boxed();
        vec![
            ("half-sent messages on streams", half_sent(&clients, "/synod.v1.Spaces/CallStream")),
            ("half-sent messages of single calls", half_sent(&clients, "/synod.v1.Recipes/Install")),
            ("half-sent messages on the peer port", half_sent(&peers, "/synod.peer.v1.Peer/Append")),
            ("streams that never read", attacks::unread_streams(clients.clone(), streams).boxed()),
            ("idle connections", attacks::idle_connections(clients.clone(), connections).boxed()),
            ("rapid resets", attacks::rapid_resets(clients.clone(), attackers).boxed()),
            ("rapid resets on the peer port", attacks::rapid_resets(peers.clone(), attackers).boxed()),
            ("garbage", attacks::garbage(clients.clone(), attackers).boxed()),
            ("garbage on the peer port", attacks::garbage(peers.clone(), attackers).boxed()),
        ]
    };
    let together = attacks().into_iter().filter(|(name, _)| TOGETHER.contains(name));
    bench.withstand_together(together.map(|(_, attack)| attack).collect()).await;
    for (name, attack) in attacks() {
        bench.withstand(name, attack).await;
    }
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
    let _quiet = QUIET.lock().await;
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
