//! A session that holds many rows ends in parts, between which other calls are served.
//!
//! `make soak WHAT=many_rows` does it with a million rows.
use std::time::{Duration, Instant};

use futures::StreamExt;
use synod_client::Client;
use synod_client::api::Consistency;
use synod_counter::Counters;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::recipes;
use synod_tests::wait::until;

/// Rows that one call writes.
const CALL_ROWS: u64 = 1_000;
/// Calls of the session that run at once.
const AT_ONCE: usize = 8;
/// How long another call may take on a busy machine, while the session ends.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
const SHORT_ROWS: u64 = 20_000;
const LONG_ROWS: u64 = 1_000_000;

fn rows() -> u64 {
    if std::env::var_os("SYNOD_SOAK").is_some() { LONG_ROWS } else { SHORT_ROWS }
}

/// Whether the space holds nothing of sessions.
async fn holds_nothing(client: &Client) -> bool {
    let first = client.query_json("waiting", "first_held", "{}", Consistency::Linearizable);
    first.await.expect("the query is answered").value == "null"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_many_rows_ends_while_other_calls_are_served() {
    let rows = rows();
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    client.install_recipe(recipes::install("waiting")).await.expect("the recipe is admitted");
    let session = client.session().ttl(PATIENCE).open().await.expect("a session is opened");
    let held =
        futures::stream::iter((0..rows).step_by(CALL_ROWS as usize)).for_each_concurrent(AT_ONCE, |from| {
            let args = format!(r#"{{"from": "{from}", "count": "{CALL_ROWS}"}}"#);
            let session = session.clone();
            async move {
                session.call_json("waiting", "hold", &args).await.expect("the rows are written");
            }
        });
    let begun = Instant::now();
    held.await;
    let written = begun.elapsed();
    session.close().await.expect("the session is closed");
    let begun = Instant::now();
    let mut others: Vec<Duration> = Vec::new();
    while !holds_nothing(&client).await {
        let called = Instant::now();
        Counters::client(&client, "counter").add("other", 1).await.expect("another call is served");
        others.push(called.elapsed());
    }
    let ended = begun.elapsed();
    others.sort();
    let median = others.get(others.len() / 2).copied().unwrap_or_default();
    let longest = others.last().copied().unwrap_or_default();
    let calls = others.len();
    eprintln!("{rows} rows written in {written:?}, gone in {ended:?}");
    eprintln!("{calls} calls meanwhile: median {median:?}, longest {longest:?}");
    assert!(longest < ANSWERED_WITHIN, "a call took {longest:?}");
    until("the hook to be done", PATIENCE, || async {
        let fired = client.query_json("waiting", "fired", "{}", Consistency::Linearizable).await.ok()?;
        fired.value.contains("end of session").then_some(())
    })
    .await;
    cluster.nothing_left().await;
}
