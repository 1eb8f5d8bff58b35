//! One cluster that serves for a long time, in laps: every lap's records hold, and what the members
//! need of memory, descriptors and disk is measured after each, when the cluster has nothing to do
//! and keeps no key and no event.
//!
//! Members are never started again here, because a new process needs little. Once a lap the leader
//! stands still until another one is elected.
use std::time::Duration;

use synod_client::Client;
use synod_counter::Counters;
use synod_kv::Kv;

use super::load::{self, Load};
use super::{Sizes, checks};
use crate::cluster::Cluster;
use crate::disk::length;

/// Entries between two compactions of the log: a few a lap.
const SNAPSHOT_ENTRIES: u64 = 10_000;
/// The lengths of values.
const VALUE_BYTES: usize = 256;

/// What a member needs after a lap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Memory of its process, in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Bytes of the files in its folder; what has two names counts twice.
    pub disk_bytes: u64,
}

/// One lap.
#[derive(Clone, Debug)]
pub struct Lap {
    /// Operations that were checked.
    pub operations: u64,
    /// What each member needs after it.
    pub needs: Vec<Need>,
}

/// A cluster that serves lap after lap.
#[derive(Debug)]
pub struct Lasting {
    cluster: Cluster,
    laps: u64,
}

impl Lasting {
    /// Starts the cluster.
    ///
    /// # Panics
    /// It does not form in time.
    pub async fn start() -> Self {
        let entries = SNAPSHOT_ENTRIES.to_string();
        let cluster = Cluster::started(3, &["--snapshot-entries", &entries]).await;
        Self { cluster, laps: 0 }
    }

    /// Serves for so long, and checks what clients recorded.
    ///
    /// # Panics
    /// When anything does not hold; data and logs are kept.
    pub async fn lap(&mut self, lasts: Duration) -> Lap {
        self.laps += 1;
        let client = self.cluster.client().await;
        let load = Load::start(&self.cluster, &sizes(self.laps)).await;
        tokio::time::sleep(lasts / 2).await;
        let leader = self.cluster.leader().await;
        self.cluster.pause(leader);
        self.cluster.leader_except(leader).await;
        self.cluster.resume(leader);
        tokio::time::sleep(lasts / 2).await;
        self.cluster.ready().await;
        let (mut records, last) = load.stop(&self.cluster).await;
        checks::read_at_the_end(&client, &mut records).await;
        let changes = load::replay(&client, last).await;
        let operations = checks::check(&records, &changes).unwrap_or_else(|why| {
            checks::keep(&records, self.cluster.folder());
            panic!("{why}")
        });
        empty(&client, records.counters.iter().map(|operation| &operation.input.key)).await;
        self.cluster.nothing_left().await;
        self.cluster.assert_equal_digests().await;
        let need = |n: usize| Need {
            resident_bytes: self.cluster.resident_bytes(n),
            descriptors: self.cluster.descriptors(n) as u64,
            disk_bytes: length(&self.cluster.members[n].data),
        };
        Lap { operations, needs: (0..self.cluster.members.len()).map(need).collect() }
    }
}

fn sizes(seed: u64) -> Sizes {
    Sizes {
        seed,
        members: 3,
        snapshot_entries: SNAPSHOT_ENTRIES,
        value_bytes: VALUE_BYTES,
        kv: 3,
        counters: 2,
        lockers: 2,
        candidates: 2,
        meeters: 1,
        watchers: 1,
    }
}

/// Deletes all keys, sets the counters to 0 and forgets all events: a lap begins as the first did.
async fn empty(client: &Client, counters: impl Iterator<Item = &String>) {
    let kv = Kv::client(client, "kv");
    loop {
        let page = kv.list("", None, None).await.expect("a whole cluster can be read");
        if page.rows.is_empty() {
            break;
        }
        for row in page.rows {
            kv.delete(row.key).await.expect("a whole cluster can be written");
        }
    }
    let names: std::collections::BTreeSet<_> = counters.collect();
    for name in names {
        Counters::client(client, "counter").set(name, 0).await.expect("a whole cluster can be written");
    }
    for space in ["kv", "lock", "election"] {
        client.compact(space, 0).await.expect("events can be forgotten");
    }
}
