//! A member comes in place of one that lost its folder, while clients write without pause: it is
//! killed twice while it receives the state, and goes on with what it has.
//!
//! The short form has a state of some megabytes, `make soak WHAT=catching_up` one of 2 GB, of
//! values of several lengths in turn, because the allocator treats them differently; there the
//! log's limit, the members' memory and how long it took are told, too.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use synod_api::v1::Role;
use synod_kv::Kv;
use synod_sdk::prelude::*;
use synod_tests::cluster::Cluster;
use synod_tests::dice::Dice;
use synod_tests::disk::length;
use synod_tests::wait::until;
use synod_tests::writers::{Writers, check, read_all};
use tokio::task::JoinHandle;

/// The space that makes the state long.
const BALLAST: &str = "ballast";
const MIB: u64 = 1_024 * 1_024;
/// Rows that are put again and again.
const AGAIN_ROWS: u64 = 1_000;
/// A member with 2 GB of state stays below.
const MEMORY_BYTES: u64 = 600 * MIB;
const REPLACE: [&str; 1] = ["--replace-lost"];

struct Form {
    state_bytes: u64,
    values_bytes: &'static [usize],
    flags: &'static [&'static str],
    writers: usize,
    patience: Duration,
}

fn is_soak() -> bool {
    std::env::var_os("SYNOD_SOAK").is_some()
}

fn form() -> Form {
    if is_soak() {
        Form {
            state_bytes: 2_048 * MIB,
            values_bytes: &[64 * 1_024, 200_000],
            flags: &[],
            writers: 128,
            patience: Duration::from_secs(900),
        }
    } else {
        Form {
            state_bytes: 48 * MIB,
            values_bytes: &[200_000],
            flags: &["--snapshot-entries", "100", "--write-buffer-mib", "16"],
            writers: 4,
            patience: Duration::from_secs(60),
        }
    }
}

/// A value that cannot be compressed.
fn value(dice: &mut Dice, bytes: usize) -> Blob {
    let words = (0..bytes / 4).flat_map(|_| (dice.below(1 << 32) as u32).to_le_bytes());
    Blob::from(words.collect::<Vec<u8>>())
}

/// Puts values until there are so many bytes of them.
async fn fill(cluster: &Cluster, bytes: u64, value_bytes: usize) {
    let client = cluster.client().await;
    client.create_space(BALLAST, "kv", 1).await.expect("a space can be created");
    let count = bytes / value_bytes as u64;
    let mut fillers = Vec::new();
    for (n, client) in cluster.clients(4).await.into_iter().enumerate() {
        fillers.push(tokio::spawn(async move {
            let kv = Kv::client(&client, BALLAST);
            let mut dice = Dice::new(n as u64 + 1);
            for row in (n as u64..count).step_by(4) {
                kv.put(format!("{row:08}"), value(&mut dice, value_bytes)).await.expect("it is written");
            }
        }));
    }
    for filler in fillers {
        filler.await.expect("filled");
    }
}

/// Puts values anew, one after the other, until it is to stop: what a member that has received a
/// snapshot gets behind it. Returns how many were written.
async fn go_on(cluster: &Cluster, stop: Arc<AtomicBool>, value_bytes: usize) -> JoinHandle<u64> {
    let client = cluster.client().await;
    tokio::spawn(async move {
        let kv = Kv::client(&client, BALLAST);
        let mut dice = Dice::new(9);
        let mut written = 0;
        for row in (0..AGAIN_ROWS).cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let put = kv.put(format!("{row:08}"), value(&mut dice, value_bytes)).await;
            written += u64::from(put.is_ok());
        }
        written
    })
}

fn peak_bytes(cluster: &Cluster, member: usize) -> u64 {
    let id = cluster.process_id(member);
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_catches_up_from_nothing_while_clients_write_though_it_is_killed_twice() {
    let form = form();
    for value_bytes in form.values_bytes {
        eprintln!("values of {value_bytes} bytes");
        catches_up(&form, *value_bytes).await;
    }
}

async fn catches_up(form: &Form, value_bytes: usize) {
    let mut cluster = Cluster::started(3, form.flags).await;
    let begun = Instant::now();
    fill(&cluster, form.state_bytes, value_bytes).await;
    eprintln!("filled with {} MiB in {:?}", form.state_bytes / MIB, begun.elapsed());
    let lost = (cluster.leader().await + 1) % 3;
    cluster.kill(lost);
    cluster.wipe(lost);
    let writers = Writers::start(cluster.clients(form.writers).await);
    let stop = Arc::new(AtomicBool::new(false));
    let going_on = go_on(&cluster, stop.clone(), value_bytes).await;
    let begun = Instant::now();
    cluster.start_with(lost, &REPLACE);
    let received = cluster.members[lost].data.join("snapshots/received");
    let mut had = 0;
    for part in 1..=2 {
        let wanted = form.state_bytes * part / 3;
        until("a part of the state to come", form.patience, || async {
            Some(()).filter(|()| length(&received) >= wanted || has_installed(&cluster.members[lost].data))
        })
        .await;
        cluster.kill(lost);
        let has = length(&received);
        assert!(has >= had, "what has come stays: {has} of {had} bytes");
        had = has;
        eprintln!("killed with {} MiB after {:?}", has / MIB, begun.elapsed());
        cluster.start_with(lost, &REPLACE);
    }
    let log_bytes = AtomicU64::new(0);
    let leader = cluster.leader_except(lost).await;
    until("the member to have its vote", form.patience, || async {
        log_bytes.fetch_max(length(&cluster.members[leader].data.join("log")), Ordering::Relaxed);
        let role = cluster.status(lost).await?.role();
        matches!(role, Role::Follower | Role::Leader).then_some(())
    })
    .await;
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let again = going_on.await.expect("the writer of long values goes on");
    assert!(again > 0, "long values are written while the member catches up");
    let records = writers.stop().await;
    let written: usize = records.iter().map(|record| record.acknowledged.len()).sum();
    let rate = written as f64 / begun.elapsed().as_secs_f64();
    eprintln!(
        "caught up after {took:?}, under {rate:.0} writes/s; the leader's log: {} MiB",
        log_bytes.into_inner() / MIB
    );
    cluster.ready().await;
    for member in 0..3 {
        let (peak, now) = (peak_bytes(&cluster, member), cluster.resident_bytes(member));
        eprintln!("member {member}: {} MiB at most, {} MiB now", peak / MIB, now / MIB);
        assert!(peak < MEMORY_BYTES, "member {member} took {} MiB", peak / MIB);
    }
    check(&read_all(&cluster.client().await).await, &records);
    cluster.assert_equal_digests().await;
}

/// Whether a member's state is another generation than its first.
fn has_installed(data: &Path) -> bool {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.any(|name| name.strip_prefix("state-").is_some_and(|number| number != "1"))
}
