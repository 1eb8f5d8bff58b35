//! Watches of all changes of `kv` that begin at some moment and go on whatever happens, and the
//! changes as the cluster kept them, to compare with.
use std::time::Duration;

use synod_client::{Client, Error, WatchError, WatchItem};
use synod_kv::Kv;
use tokio::sync::watch::Receiver;

use super::{Desk, kv};
use crate::cluster::{Cluster, PATIENCE};
use crate::wait::until;

/// How late a watch may begin.
const BEGINS_WITHIN_MS: u64 = 3_000;
/// The key whose write is the last change of a round.
const LAST: &str = "last";

/// A change of a key, as an event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct Change {
    pub(in crate::chaos) revision: u64,
    pub(in crate::chaos) key: String,
    /// The value that was written; none: it was deleted.
    pub(in crate::chaos) value: Option<u64>,
}

/// What a watch delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct Watched {
    pub(in crate::chaos) client: u32,
    /// From which revision on it was to deliver.
    pub(in crate::chaos) from: u64,
    pub(in crate::chaos) changes: Vec<Change>,
    /// Each mark, and how many changes came before it.
    pub(in crate::chaos) marks: Vec<(u64, usize)>,
}

pub(super) async fn run(desk: Desk, mut last: Receiver<Option<u64>>) -> Watched {
    let late = Duration::from_millis(desk.dice().below(BEGINS_WITHIN_MS));
    tokio::time::sleep(late).await;
    let from = revision(&desk).await;
    let mut watched = Watched { client: desk.number, from, changes: Vec::new(), marks: Vec::new() };
    let mut watch = until("a watch to begin", PATIENCE, || async {
        let builder = desk.client.watch("kv").prefix("").typed::<synod_kv::Change>().from_revision(from);
        match builder.open().await {
            Ok(watch) => Some(watch),
            Err(WatchError::Failed(Error::Unavailable(_))) => None,
            Err(error) => panic!("a watch is not refused: {error}"),
        }
    })
    .await;
    loop {
        let end = *last.borrow_and_update();
        let item = tokio::select! {
            item = watch.next() => item,
            _ = last.changed() => continue,
        };
        let item = item.expect("a watch goes on").expect("nobody ends it");
        let revision = item.revision();
        match item {
            WatchItem::Progress { .. } => watched.marks.push((revision, watched.changes.len())),
            WatchItem::Events { events, .. } => {
                watched
                    .changes
                    .extend(events.into_iter().map(|event| change(revision, event.topic, &event.payload)));
            }
        }
        if end.is_some_and(|end| revision >= end) {
            return watched;
        }
    }
}

fn change(revision: u64, key: String, payload: &synod_kv::Change) -> Change {
    let value = match payload {
        synod_kv::Change::Put { value, .. } => Some(kv::value_of(value)),
        synod_kv::Change::Deleted => None,
    };
    Change { revision, key, value }
}

/// A revision that the cluster has reached.
async fn revision(desk: &Desk) -> u64 {
    until("a revision to watch from", PATIENCE, || async {
        let status = desk.client.status(true).await.ok()?;
        status.members.first().map(|member| member.revision.max(1))
    })
    .await
}

/// Writes once more, and returns the revision of that: nothing is written after it.
pub(super) async fn last_revision(cluster: &Cluster) -> u64 {
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    until("a last write", PATIENCE, || async { kv.put(LAST, kv::blob(0, 8)).await.ok() }).await.revision.0
}

/// All changes up to a revision, by a watch from the oldest event on.
pub(in crate::chaos) async fn replay(client: &Client, end: u64) -> Vec<Change> {
    let builder = client.watch("kv").prefix("").typed::<synod_kv::Change>().from_oldest();
    let mut watch = builder.open().await.expect("a watch begins");
    let mut changes = Vec::new();
    loop {
        let item = tokio::time::timeout(PATIENCE, watch.next()).await.expect("a watch goes on in time");
        let item = item.expect("a watch goes on").expect("nobody ends it");
        let revision = item.revision();
        if let WatchItem::Events { events, .. } = item {
            let until_end = events.into_iter().map(|event| change(revision, event.topic, &event.payload));
            changes.extend(until_end.filter(|change| change.revision <= end));
        }
        if revision >= end {
            return changes;
        }
    }
}
