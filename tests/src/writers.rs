//! Clients that write to `kv` without pause and remember what was acknowledged, to be held against
//! what is there.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use synod_client::{CallError, Client};
use synod_kv::Kv;
use synod_sdk::prelude::*;
use tokio::task::JoinHandle;

/// What became of a writer's calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Acknowledged keys.
    pub acknowledged: Vec<String>,
    /// Keys of unknown outcome; never written again.
    pub unknown: Vec<String>,
    /// Keys that were surely not written.
    pub failed: u64,
    /// The longest time between two acknowledgements.
    pub longest_gap: Duration,
}

/// Writers that run until they are stopped.
#[derive(Debug)]
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Record>>,
}

/// The value of a key: what it must be read as.
pub fn value_of(key: &str) -> Blob {
    Blob::from(format!("value of {key}").into_bytes())
}

impl Writers {
    /// Starts one writer a client; each writes new keys, one after the other.
    pub fn start(clients: Vec<Client>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = clients
            .into_iter()
            .enumerate()
            .map(|(n, client)| tokio::spawn(write(n, client, stop.clone())))
            .collect();
        Self { stop, tasks }
    }

    /// Stops them and returns what they remember.
    pub async fn stop(self) -> Vec<Record> {
        self.stop.store(true, Ordering::Relaxed);
        let mut records = Vec::new();
        for task in self.tasks {
            records.push(task.await.expect("a writer does not panic"));
        }
        records
    }
}

async fn write(writer: usize, client: Client, stop: Arc<AtomicBool>) -> Record {
    let kv = Kv::client(&client, "kv");
    let mut record = Record::default();
    let mut n = 0_u64;
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let key = format!("writer-{writer:02}/{n:08}");
        n += 1;
        match kv.put(key.as_str(), value_of(&key)).await {
            Ok(_) => {
                record.acknowledged.push(key);
                record.longest_gap = record.longest_gap.max(last.elapsed());
                last = Instant::now();
            }
            Err(CallError::OutcomeUnknown(_)) => record.unknown.push(key),
            Err(CallError::Unavailable(_)) => record.failed += 1,
            Err(error) => panic!("a plain put is never refused: {error}"),
        }
    }
    record
}

/// Every row of `kv`.
///
/// # Panics
/// When the cluster cannot be read.
pub async fn read_all(client: &Client) -> BTreeMap<String, Blob> {
    let kv = Kv::client(client, "kv");
    let (mut rows, mut from) = (BTreeMap::new(), String::new());
    loop {
        let page = kv.range(from, None, Some(500)).await.expect("kv can be read");
        rows.extend(page.rows.into_iter().map(|row| (row.key, row.value)));
        match page.next {
            Some(next) => from = next,
            None => return rows,
        }
    }
}

/// Fails unless every acknowledged key is there with its value, and nothing is there that nobody
/// wrote.
///
/// # Panics
/// Naming the first key that is wrong.
pub fn check(rows: &BTreeMap<String, Blob>, records: &[Record]) {
    for key in records.iter().flat_map(|record| &record.acknowledged) {
        assert_eq!(rows.get(key), Some(&value_of(key)), "the acknowledged write of {key} is lost");
    }
    let (mut expected, mut unknown_there) = (0, 0);
    for record in records {
        expected += record.acknowledged.len();
        unknown_there += record.unknown.iter().filter(|key| rows.contains_key(*key)).count();
    }
    assert_eq!(rows.len(), expected + unknown_there, "rows are there that were reported as not written");
}
