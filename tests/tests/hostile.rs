//! A recipe that takes more than it may, in every way that compiles: each call ends, others' calls
//! succeed meanwhile, memory is bounded, and all members agree on what was left.
//!
//! The short form makes each call a few times. `make soak WHAT=hostile` fills entries with each of
//! them, and prints how long others waited; `SYNOD_OPERATION=first` before it makes that one only.
use std::time::{Duration, Instant};

use futures::future::join_all;
use synod_client::{Client, Error};
use synod_kv::Kv;
use synod_sdk::prelude::*;
use synod_tests::cluster::Cluster;
use synod_tests::recipes;

/// Most that a member may grow by.
const GROWTH_BYTES: u64 = 256 * 1_024 * 1_024;
/// Longest that another space's call may take while an entry is full of the slowest operation, in
/// the long form.
const OTHERS_WAIT: Duration = Duration::from_secs(2);
/// Rows that are left to later calls, and deleted by them.
const ROWS: u64 = 12_000;

/// Operations with their arguments. Each runs until it is stopped, or does its worst and returns.
const OPERATIONS: &[(&str, &str)] = &[
    ("spin", "{}"),
    ("divide", "{}"),
    ("copy", r#"{"bytes": 1000000}"#),
    ("copy", r#"{"bytes": 64}"#),
    ("recurse", r#"{"depth": 0}"#),
    ("recurse_wide", r#"{"depth": 0}"#),
    ("allocate", "{}"),
    ("panic", "{}"),
    ("write", "{}"),
    ("overwrite", r#"{"bytes": 1}"#),
    ("overwrite", r#"{"bytes": 250000}"#),
    ("delete_absent", "{}"),
    ("read_absent", "{}"),
    ("read_back", r#"{"bytes": 1}"#),
    ("read_back", r#"{"bytes": 250000}"#),
    ("first", "{}"),
    ("last", "{}"),
    ("scan", "{}"),
    ("clear_and_first", r#"{"rows": 6000}"#),
    ("turn_over", "{}"),
    ("draw", "{}"),
    ("log", r#"{"bytes": 1}"#),
    ("log", r#"{"bytes": 100000}"#),
    ("set_timers", r#"{"at_ms": 0}"#),
    ("set_timers", r#"{"at_ms": 18446744073709551615}"#),
    ("cancel_timers", "{}"),
    ("shout", r#"{"bytes": 0}"#),
    ("shout", r#"{"bytes": 200000}"#),
    ("emit", r#"{"count": 1024, "bytes": 900}"#),
    ("emit_topic", r#"{"bytes": 512}"#),
    ("emit_topic", r#"{"bytes": 500000}"#),
    ("send_all", r#"{"space": "hostile"}"#),
    ("send", r#"{"space": "hostile", "operation": "spin", "count": 256}"#),
    ("send", r#"{"space": "hostile", "operation": "first", "count": 256}"#),
    ("send_bytes", r#"{"space": "hostile", "count": 256, "bytes": 4000}"#),
    ("bounce", r#"{"there": "other", "here": "hostile"}"#),
    ("multiply", r#"{"there": "other", "times": 64, "generations": 3}"#),
    ("answer", r#"{"bytes": 1000000}"#),
    ("store", r#"{"key_bytes": 1000, "bytes": 250000}"#),
    ("set_timer", r#"{"at_ms": 0, "count": 64, "generations": 100}"#),
    ("count_calls", "{}"),
];

fn is_long() -> bool {
    std::env::var_os("SYNOD_SOAK").is_some()
}

async fn cluster() -> (Cluster, Client) {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    client.install_recipe(recipes::install("hostile")).await.expect("it is a valid module");
    client.create_space("other", "hostile", 1).await.expect("a space can be created");
    (cluster, client)
}

/// Calls `operation` `times` times at once, and `kv` meanwhile. Returns the longest that a call of
/// `kv` took.
async fn others_wait(client: &Client, operation: &str, args: &str, times: usize) -> Duration {
    let kv = Kv::client(client, "kv");
    let calls = join_all((0..times).map(|_| client.call_json("hostile", operation, args)));
    let mut calls = std::pin::pin!(calls);
    let mut longest = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let put = kv.put("others", Blob::from(b"go on".to_vec()));
        let mut put = std::pin::pin!(put);
        let ended = tokio::select! {
            put = &mut put => { assert_put(operation, put); None }
            ended = &mut calls => Some(ended),
        };
        if let Some(ended) = ended {
            assert_put(operation, put.await);
            ended.into_iter().for_each(|answer| assert_ended(operation, answer.map(|answer| answer.value)));
            return longest.max(asked.elapsed());
        }
        longest = longest.max(asked.elapsed());
    }
}

#[track_caller]
fn assert_put<T, E: std::fmt::Display>(operation: &str, put: Result<T, E>) {
    if let Err(error) = put {
        panic!("a call of another space did not succeed beside {operation}: {error}");
    }
}

#[track_caller]
fn assert_ended(operation: &str, answer: Result<String, Error>) {
    match answer {
        Ok(value) if operation == "count_calls" => assert_eq!(value, "\"0\"", "an instance remembers a call"),
        Ok(_) | Err(Error::Refused(_)) => {}
        Err(error) => panic!("{operation} did not end within its budget: {error}"),
    }
}

async fn rows_of_earlier_calls(client: &Client, operation: &str) {
    for from in (0..ROWS).step_by(6_000) {
        let args = format!(r#"{{"from": {from}, "rows": 6000}}"#);
        client.call_json("hostile", operation, &args).await.expect("it is within all bounds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_more_than_it_may_ends_and_others_go_on() {
    let (cluster, client) = cluster().await;
    let times = if is_long() { 64 } else { 2 };
    let before: Vec<u64> = (0..3).map(|n| cluster.resident_bytes(n)).collect();
    let mut slowest = (Duration::ZERO, "");
    let only = std::env::var("SYNOD_OPERATION").ok();
    for (operation, args) in OPERATIONS {
        if only.as_deref().is_some_and(|only| only != *operation) {
            continue;
        }
        let longest = others_wait(&client, operation, args, times).await;
        eprintln!("{:>6} ms  {operation} {args}", longest.as_millis());
        slowest = slowest.max((longest, *operation));
    }
    rows_of_earlier_calls(&client, "fill").await;
    rows_of_earlier_calls(&client, "clear").await;
    for operation in ["first", "last", "scan"] {
        slowest = slowest.max((others_wait(&client, operation, "{}", times).await, operation));
    }
    let grown = (0..3).map(|n| cluster.resident_bytes(n).saturating_sub(before[n])).max().unwrap_or(0);
    eprintln!("others waited {} ms at most, for {}", slowest.0.as_millis(), slowest.1);
    eprintln!("a member grew by {} MiB at most", grown / 1_048_576);
    if is_long() {
        assert!(slowest.0 < OTHERS_WAIT, "others waited {slowest:?}");
    }
    assert!(grown < GROWTH_BYTES, "a member grew by {grown} bytes");
    cluster.assert_equal_digests().await;
}
