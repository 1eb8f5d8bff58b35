//! `make demo`: three real processes, a recipe that is written and installed while they run, a
//! leader that is killed under load, a lock whose holder is killed while a watch looks on, and an
//! election that hands over while the cluster fails over. A line a step; `demo: ok` at the end, or
//! a panic that says what is wrong.
#![allow(clippy::print_stdout, reason = "narrating is what a demo is for")]
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use synod_abi::SessionId;
use synod_client::{Client, Error, Session, api::Consistency};
use synod_tests::binary::{remove_copy, synod};
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::command::Running;
use synod_tests::wait::until;
use tokio::task::JoinHandle;

/// Clients of each kind: without a session, and each in one of its own.
const CLIENTS: usize = 8;
const LOAD: Duration = Duration::from_secs(2);
/// How long the sessions that count live without a sign of life: longer than any election, even on
/// a busy machine.
const COUNTING_TTL: Duration = Duration::from_secs(30);
/// The same of the sessions that hold the lock, or lead.
const TTL: Duration = Duration::from_secs(3);
/// The two names that are counted in the space `visits`.
const PLAIN: &str = "without a session";
const EXACT: &str = "in a session";

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    acknowledged: u64,
    unknown: u64,
    not_applied: u64,
}

#[tokio::main]
async fn main() {
    let began = Instant::now();
    let step = |text: &str| println!("[{:6.2} s] {text}", began.elapsed().as_secs_f64());
    step("building the synod binary (the first time compiles RocksDB and wasmtime)");
    synod();

    let mut cluster = started(&step).await;
    install_a_new_recipe(&cluster, &step);
    let counters = Counters::start(&cluster, &step).await;
    tokio::time::sleep(LOAD).await;
    let killed = kill_the_leader(&mut cluster, &step).await;
    tokio::time::sleep(LOAD).await;
    let (tally, answers) = counters.stop().await;

    let client = cluster.client().await;
    nothing_lost(&client, tally, &step).await;
    every_increment_once(&client, answers, &step).await;

    cluster.start(killed);
    cluster.ready().await;
    step(&format!(
        "restarted member {}; it caught up from its own disk and the others' log",
        cluster.members[killed].name
    ));
    the_lock_moves(&cluster, &client, &step).await;
    leadership_moves(&mut cluster, &client, &step).await;
    cluster.nothing_left().await;
    step("all sessions have ended: no session, outcome, waiting call or timer is left on any member");
    members_agree(&cluster, &step).await;
    drop(cluster);
    remove_copy();
    println!("demo: ok");
}

async fn started(step: &impl Fn(&str)) -> Cluster {
    let mut cluster = Cluster::new(3, &[]);
    (0..3).for_each(|n| cluster.start(n));
    step(&format!("started three members on loopback ports: {}", cluster.endpoints()));
    cluster.ready().await;
    let leader = cluster.leader().await;
    step(&format!("they formed a cluster; member {} leads", cluster.members[leader].name));
    cluster
}

fn install_a_new_recipe(cluster: &Cluster, step: &impl Fn(&str)) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let recipe = folder.path().join("visits");
    cli(folder.path(), &["recipe", "new", "visits"]);
    step("wrote a new recipe with `synod recipe new visits`: one operation, one query");
    cli(&recipe, &["recipe", "build"]);
    step("compiled it to WebAssembly with `synod recipe build`");
    cli(&recipe, &["--endpoint", &cluster.endpoints(), "recipe", "install"]);
    step("installed it into the running cluster with `synod recipe install`");
}

/// Clients that count without pause, half of them in sessions.
struct Counters {
    stop: Arc<AtomicBool>,
    plain: Vec<JoinHandle<Tally>>,
    exact: Vec<JoinHandle<Vec<u64>>>,
}

impl Counters {
    async fn start(cluster: &Cluster, step: &impl Fn(&str)) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut plain = Vec::new();
        let mut exact = Vec::new();
        for _ in 0..CLIENTS {
            plain.push(tokio::spawn(count(cluster.client().await, stop.clone())));
            let client = cluster.client().await;
            let session = client.session().ttl(COUNTING_TTL).label("demo: counts").open().await;
            let session = session.expect("a session can be opened");
            exact.push(tokio::spawn(count_exactly(session, stop.clone())));
        }
        step(&format!(
            "{CLIENTS} clients without a session and {CLIENTS} in sessions call `visits add` without pause"
        ));
        Self { stop, plain, exact }
    }

    /// What became of the calls without a session, and the answers to those in sessions.
    async fn stop(self) -> (Tally, Vec<u64>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for task in self.plain {
            let one = task.await.expect("a client does not panic");
            tally.acknowledged += one.acknowledged;
            tally.unknown += one.unknown;
            tally.not_applied += one.not_applied;
        }
        let mut answers = Vec::new();
        for task in self.exact {
            answers.extend(task.await.expect("every call in a session has an outcome that is known"));
        }
        (tally, answers)
    }
}

/// Kills the leader, and waits for the next. Returns which member was killed.
async fn kill_the_leader(cluster: &mut Cluster, step: &impl Fn(&str)) -> usize {
    let leader = cluster.leader().await;
    cluster.kill(leader);
    let killed = Instant::now();
    step(&format!("killed the leader, member {}, with SIGKILL under load", cluster.members[leader].name));
    let heir = cluster.leader().await;
    step(&format!(
        "member {} leads, {:.2} s later",
        cluster.members[heir].name,
        killed.elapsed().as_secs_f64()
    ));
    leader
}

async fn nothing_lost(client: &Client, tally: Tally, step: &impl Fn(&str)) {
    let counted = counted(client, PLAIN).await;
    let Tally { acknowledged, unknown, not_applied } = tally;
    let most = acknowledged + unknown;
    step("without a session a lost answer is an outcome unknown, and is not sent again:");
    step(&format!(
        "  acknowledged {acknowledged} <= counted {counted} <= acknowledged + outcome unknown {most}"
    ));
    step(&format!("  outcome unknown {unknown}, surely not applied {not_applied}"));
    assert!(acknowledged > 0, "nothing was acknowledged");
    assert!(acknowledged <= counted, "{} acknowledged calls are lost", acknowledged.saturating_sub(counted));
    assert!(counted <= most, "{} calls were counted twice", counted.saturating_sub(most));
}

async fn members_agree(cluster: &Cluster, step: &impl Fn(&str)) {
    let (index, digests) = cluster.digests().await;
    for (member, (chain, state)) in cluster.members.iter().zip(&digests) {
        step(&format!("member {} at entry {index}: chain {}, state {}", member.name, hex(chain), hex(state)));
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "the members differ");
}

fn one_more(name: &str) -> String {
    format!(r#"{{"name": "{name}", "by": 1}}"#)
}

/// Counts without a session: what is not answered is not sent again.
async fn count(client: Client, stop: Arc<AtomicBool>) -> Tally {
    let (mut tally, args) = (Tally::default(), one_more(PLAIN));
    while !stop.load(Ordering::Relaxed) {
        match client.call_json("visits", "add", &args).await {
            Ok(_) => tally.acknowledged += 1,
            Err(Error::OutcomeUnknown(_)) => tally.unknown += 1,
            Err(Error::Unavailable(_)) => tally.not_applied += 1,
            Err(error) => panic!("a call was refused: {error}"),
        }
    }
    tally
}

/// Counts in a session, which sends again until there is an answer: returns all of them.
async fn count_exactly(session: Session, stop: Arc<AtomicBool>) -> Vec<u64> {
    let (mut answers, args) = (Vec::new(), one_more(EXACT));
    while !stop.load(Ordering::Relaxed) {
        match session.call_json("visits", "add", &args).await {
            Ok(answer) => answers.push(answer.value.parse().expect("a count is a number")),
            Err(error) => panic!("a call in a session was not answered: {error}"),
        }
    }
    session.close().await.expect("a session can be closed");
    answers
}

async fn counted(client: &Client, name: &str) -> u64 {
    let args = format!(r#"{{"name": "{name}"}}"#);
    let count = until("the count to be read", PATIENCE, || async {
        client.query_json("visits", "count", &args, Consistency::Linearizable).await.ok()
    });
    count.await.value.parse().expect("a count is a number")
}

/// Each call was answered with the count that it led to: together they are 1, 2, 3, … up to the
/// last.
async fn every_increment_once(client: &Client, mut answers: Vec<u64>, step: &impl Fn(&str)) {
    let (counted, acknowledged) = (counted(client, EXACT).await, answers.len() as u64);
    step("in a session it is sent again, to whichever member leads then, and has its effect once:");
    step(&format!("  counted {counted} == acknowledged {acknowledged}, outcome unknown 0"));
    assert!(acknowledged > 0, "nothing was acknowledged");
    assert_eq!(counted, acknowledged, "a call in a session was lost, or counted twice");
    answers.sort_unstable();
    assert!(answers.iter().copied().eq(1..=counted), "some increment was answered twice, or never");
}

/// Two processes contend for a lock; the holder is killed. A watch follows the lock.
async fn the_lock_moves(cluster: &Cluster, client: &Client, step: &impl Fn(&str)) {
    let mut observer =
        Running::start(cluster, &["watch", "lock", "nightly", "--from", "oldest", "--output", "json"]);
    step("a third process looks on: `synod watch lock nightly`");
    let mut first = contender(cluster, "echo $SYNOD_TOKEN $SYNOD_SESSION; exec sleep 1000");
    let (token, session) = acquired(&mut first).await;
    step(&format!(
        "a process holds a lock: `synod lock nightly --ttl {} -- sh -c …`; its token is {token}",
        TTL.as_secs()
    ));
    let mut second = contender(cluster, "echo $SYNOD_TOKEN $SYNOD_SESSION");
    until("the second process to wait", PATIENCE, || async {
        (cluster.status(0).await?.counts?.waiting == 1).then_some(())
    })
    .await;
    client.describe_session(session).await.expect("the holder's session is open");
    step("another one waits for the lock, in one call");
    let killed = Instant::now();
    first.kill();
    step("killed the holder with SIGKILL");
    let (next, _) = acquired(&mut second).await;
    let took = killed.elapsed();
    let ended = client.describe_session(session).await;
    step(&format!(
        "its session ended and the lock moved on, {:.2} s later: token {next} > {token}",
        took.as_secs_f64()
    ));
    assert!(next > token, "the token did not grow");
    assert!(
        matches!(ended, Err(Error::SessionExpired(_))),
        "the lock moved while its holder's session was open: {ended:?}"
    );
    assert!(took >= TTL / 2, "the lock moved after {took:?}, before the session can have ended");
    assert!(second.ended().await.success(), "the second process failed");
    let seen = [
        event(&mut observer).await,
        event(&mut observer).await,
        event(&mut observer).await,
        event(&mut observer).await,
    ];
    let seen: Vec<_> = seen.iter().map(|event| (event.what.as_str(), event.token)).collect();
    step(&format!("the watch saw it: {seen:?}"));
    assert_eq!(seen, [("Granted", token), ("Released", token), ("Granted", next), ("Released", next)]);
}

/// Two candidates stand for election; the leader is killed, and a member with it. A watch sees
/// every change.
async fn leadership_moves(cluster: &mut Cluster, client: &Client, step: &impl Fn(&str)) {
    let mut observer =
        Running::start(cluster, &["watch", "election", "scheduler", "--from", "oldest", "--output", "json"]);
    let mut ann = candidate(cluster, "ann");
    let token = ann.token().await;
    step(&format!("ann leads: `synod elect scheduler --candidate ann -- sh -c …`; her token is {token}"));
    let mut bob = candidate(cluster, "bob");
    until("bob to wait", PATIENCE, || async {
        let waiting = client
            .query_json("election", "candidates", r#"{"election": "scheduler"}"#, Consistency::Linearizable)
            .await
            .ok()?;
        waiting.value.contains("bob").then_some(())
    })
    .await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    let killed = Instant::now();
    ann.kill();
    step(&format!(
        "bob waits; killed ann, and member {}, the leader of the cluster, with her",
        cluster.members[leader].name
    ));
    let next = bob.token().await;
    step(&format!("bob leads, {:.2} s later, with token {next} > {token}", killed.elapsed().as_secs_f64()));
    assert!(next > token, "the token did not grow");
    cluster.start(leader);
    cluster.ready().await;
    bob.terminate();
    bob.ended().await;
    let (first, second, third) =
        (event(&mut observer).await, event(&mut observer).await, event(&mut observer).await);
    let seen =
        [&first, &second, &third].map(|event| (event.what.as_str(), event.candidate.as_str(), event.token));
    step(&format!("a watch saw each change once, across the cluster's failover: {seen:?}"));
    assert_eq!(seen, [("Elected", "ann", token), ("Elected", "bob", next), ("Vacant", "", next)]);
}

/// What `synod watch … --output json` says of a lock or an election.
struct Seen {
    what: String,
    candidate: String,
    token: u64,
}

async fn event(observer: &mut Running) -> Seen {
    let line = observer.line().await;
    let event: serde_json::Value =
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?} is not JSON"));
    let (what, of) = event["payload"]
        .as_object()
        .and_then(|payload| payload.iter().next())
        .unwrap_or_else(|| panic!("{line} has no payload"));
    let token = of["token"].as_u64().or_else(|| of["token"].as_str()?.parse().ok()).expect("a token");
    Seen { what: what.clone(), candidate: of["candidate"].as_str().unwrap_or_default().to_owned(), token }
}

/// A process that runs `synod lock` with a script as its command.
fn contender(cluster: &Cluster, script: &str) -> Running {
    Running::start(
        cluster,
        &["lock", "nightly", "--ttl", &TTL.as_secs().to_string(), "--", "sh", "-c", script],
    )
}

/// A process that runs `synod elect`, and tells its token when it leads.
fn candidate(cluster: &Cluster, name: &str) -> Running {
    let script = "echo $SYNOD_TOKEN; exec sleep 1000";
    let ttl = TTL.as_secs().to_string();
    Running::start(
        cluster,
        &["elect", "scheduler", "--candidate", name, "--ttl", &ttl, "--", "sh", "-c", script],
    )
}

/// Token and session that a contender's command has written, because it holds the lock.
async fn acquired(contender: &mut Running) -> (u64, SessionId) {
    let line = contender.line().await;
    let parsed = line.split_once(' ').and_then(|(token, session)| {
        let session = u128::from_str_radix(session, 16).ok()?;
        Some((token.parse().ok()?, SessionId(session.to_be_bytes())))
    });
    parsed.unwrap_or_else(|| panic!("{line:?} is no token and session"))
}

/// Runs the command line as a user would.
fn cli(folder: &Path, arguments: &[&str]) {
    let output = Command::new(synod())
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary can be started");
    assert!(
        output.status.success(),
        "`synod {}` failed: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
