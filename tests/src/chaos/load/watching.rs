//! Watches of all changes of `kv` that begin at some moment and go on whatever happens, and the
//! changes as the cluster kept them, to compare with.
use std::time::Duration;

use synod_checker::watch::{Event, Seen, Start, Stream, Topic, Watch};
use synod_client::{Client, Error, WatchError, WatchEvent, WatchItem};
use synod_kv::Kv;
use tokio::sync::watch::Receiver;

use super::{Desk, kv};
use crate::cluster::{Cluster, PATIENCE};
use crate::wait::until;

/// How late a watch may begin.
const BEGINS_WITHIN_MS: u64 = 3_000;
/// The key whose write is the last change of a round.
const LAST: &str = "last";
const SPACE: &str = "kv";

/// What an event tells of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct Changed {
    /// The value that was written; none: it was deleted.
    pub(in crate::chaos) value: Option<u64>,
    /// Whether the key was absent before, if the event tells.
    pub(in crate::chaos) is_create: Option<bool>,
}

/// An event of `kv`.
pub(in crate::chaos) type Change = Event<Changed>;

pub(super) async fn run(desk: Desk, mut last: Receiver<Option<u64>>) -> Watch<Changed> {
    let late = Duration::from_millis(desk.dice().below(BEGINS_WITHIN_MS));
    tokio::time::sleep(late).await;
    let from = revision(&desk).await;
    let mut seen = vec![Seen::Created { revision: from - 1 }];
    let mut watch = until("a watch to begin", PATIENCE, || async {
        let builder = desk.client.watch(SPACE).prefix("").typed::<synod_kv::Change>().from_revision(from);
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
        seen.push(match item {
            WatchItem::Progress { .. } => Seen::Progress { revision },
            WatchItem::Events { events, .. } => {
                Seen::Events { events: events.into_iter().map(change).collect(), partial: false }
            }
        });
        if let Some(end) = end.filter(|end| revision >= *end) {
            return Watch {
                name: format!("of client {}", desk.number),
                space: SPACE.to_owned(),
                topic: Topic::Prefix(String::new()),
                // The library hides that a watch moves from one member to another.
                streams: vec![Stream { start: Start::Revision(from), seen }],
                must_reach: end,
            };
        }
    }
}

fn change(event: WatchEvent<synod_kv::Change>) -> Change {
    let payload = match &event.payload {
        synod_kv::Change::Put { value, version, .. } => {
            Changed { value: Some(kv::value_of(value)), is_create: Some(*version == 1) }
        }
        synod_kv::Change::Deleted => Changed { value: None, is_create: None },
    };
    let WatchEvent { revision, number, topic, .. } = event;
    Change { revision, number, space: SPACE.to_owned(), topic, payload }
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
    let kv = Kv::client(&client, SPACE);
    until("a last write", PATIENCE, || async { kv.put(LAST, kv::blob(kv::NOBODYS, 8)).await.ok() })
        .await
        .revision
        .0
}

/// All changes up to a revision, by a watch from the oldest event on.
pub(in crate::chaos) async fn replay(client: &Client, end: u64) -> Vec<Change> {
    let builder = client.watch(SPACE).prefix("").typed::<synod_kv::Change>().from_oldest();
    let mut watch = builder.open().await.expect("a watch begins");
    let mut changes = Vec::new();
    loop {
        let item = tokio::time::timeout(PATIENCE, watch.next()).await.expect("a watch goes on in time");
        let item = item.expect("a watch goes on").expect("nobody ends it");
        let revision = item.revision();
        if let WatchItem::Events { events, .. } = item {
            changes.extend(events.into_iter().map(change).filter(|change| change.revision <= end));
        }
        if revision >= end {
            return changes;
        }
    }
}
