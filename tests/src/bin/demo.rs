//! `make demo`: three real processes, a recipe that is written and installed while they run, and a leader that is killed
//! under load. A line a step; `demo: ok` at the end, or a panic that says what is wrong.
#![allow(clippy::print_stdout, reason = "narrating is what a demo is for")]
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use synod_client::{Client, Error, api::Consistency};
use synod_tests::binary::{remove_copy, synod};
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;

const CLIENTS: usize = 16;
const LOAD: Duration = Duration::from_secs(2);

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

    let mut cluster = Cluster::new(3, &[]);
    (0..3).for_each(|n| cluster.start(n));
    step(&format!("started three members on loopback ports: {}", cluster.endpoints()));
    cluster.ready().await;
    let leader = cluster.leader().await;
    step(&format!("they formed a cluster; member {} leads", cluster.members[leader].name));

    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let recipe = folder.path().join("visits");
    cli(folder.path(), &["recipe", "new", "visits"]);
    step("wrote a new recipe with `synod recipe new visits`: one operation, one query");
    cli(&recipe, &["recipe", "build"]);
    step("compiled it to WebAssembly with `synod recipe build`");
    cli(&recipe, &["--endpoint", &cluster.endpoints(), "recipe", "install"]);
    step("installed it into the running cluster with `synod recipe install`");

    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(cluster.client().await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = clients.into_iter().map(|client| tokio::spawn(count_visits(client, stop.clone()))).collect();
    step(&format!("{CLIENTS} clients call `visits add` without pause, each call once"));
    tokio::time::sleep(LOAD).await;

    let leader = cluster.leader().await;
    cluster.kill(leader);
    let killed = Instant::now();
    step(&format!("killed the leader, member {}, with SIGKILL under load", cluster.members[leader].name));
    let heir = cluster.leader().await;
    step(&format!("member {} leads, {:.2} s later", cluster.members[heir].name, killed.elapsed().as_secs_f64()));
    tokio::time::sleep(LOAD).await;
    stop.store(true, Ordering::Relaxed);
    let mut tally = Tally::default();
    for task in tasks {
        let one = task.await.expect("a client does not panic");
        tally.acknowledged += one.acknowledged;
        tally.unknown += one.unknown;
        tally.not_applied += one.not_applied;
    }

    let client = cluster.client().await;
    let counted = counted(&client).await;
    let Tally { acknowledged, unknown, not_applied } = tally;
    step(&format!("acknowledged {acknowledged} <= counted {counted} <= acknowledged + outcome unknown {}", acknowledged + unknown));
    step(&format!("outcome unknown {unknown} (never sent again), surely not applied {not_applied}"));
    assert!(acknowledged > 0, "nothing was acknowledged");
    assert!(acknowledged <= counted, "{} acknowledged calls are lost", acknowledged.saturating_sub(counted));
    assert!(counted <= acknowledged + unknown, "{} calls were counted twice", counted.saturating_sub(acknowledged + unknown));

    cluster.start(leader);
    cluster.ready().await;
    step(&format!("restarted member {}; it caught up from its own disk and the others' log", cluster.members[leader].name));
    let (index, digests) = cluster.digests().await;
    for (member, (chain, state)) in cluster.members.iter().zip(&digests) {
        step(&format!("member {} at entry {index}: chain {}, state {}", member.name, hex(chain), hex(state)));
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "the members differ");
    drop(cluster);
    remove_copy();
    println!("demo: ok");
}

async fn count_visits(client: Client, stop: Arc<AtomicBool>) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        match client.call_json("visits", "add", r#"{"name": "home", "by": 1}"#).await {
            Ok(_) => tally.acknowledged += 1,
            Err(Error::OutcomeUnknown(_)) => tally.unknown += 1,
            Err(Error::Unavailable(_)) => tally.not_applied += 1,
            Err(error) => panic!("a call was refused: {error}"),
        }
    }
    tally
}

async fn counted(client: &Client) -> u64 {
    let count = until("the count to be read", PATIENCE, || async {
        client.query_json("visits", "count", r#"{"name": "home"}"#, Consistency::Linearizable).await.ok()
    });
    count.await.value.parse().expect("a count is a number")
}

/// Runs the command line as a user would.
fn cli(folder: &Path, arguments: &[&str]) {
    let output = Command::new(synod()).current_dir(folder).args(arguments).output().expect("the binary can be started");
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
