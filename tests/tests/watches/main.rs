//! Watches through everything that befalls a cluster, held against the log that the events come
//! from.
mod replay;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use synod_api::v1::watch_update::Update;
use synod_client::api::{Consistency, EventLog, Retention};
use synod_client::{Cache, CacheState, Client, Error, Typed, Watch, WatchItem};
use synod_kv::{Change, Kv};
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;
use synod_tests::watching::{Logged, WatchStream, create_from, logged};
use tokio::task::JoinHandle;

use replay::events_of;

/// Entries between two compactions of the log of a member that forgets its own, and of those that
/// never do.
const FORGETS: [&str; 2] = ["--snapshot-entries", "200"];
const REMEMBERS: [&str; 2] = ["--snapshot-entries", "1000000"];
/// The member whose log is whole, and read in the end.
const HISTORIAN: usize = 0;
/// The member that purges its log and leads, when a snapshot is wanted.
const LEADER: usize = 1;
/// The member that serves the watch and installs the snapshot.
const SERVING: usize = 2;
const WRITERS: usize = 4;
const FAILOVERS: usize = 3;
const MIRRORS: usize = 10;

/// Writers of keys under `config/` and elsewhere, without pause.
struct Load {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    async fn start(cluster: &Cluster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writes = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for writer in 0..WRITERS {
            let client = cluster.client().await;
            let stop = stop.clone();
            let writes = writes.clone();
            tasks.push(tokio::spawn(async move {
                for n in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let folder = if n.is_multiple_of(3) { "other" } else { "config" };
                    let key = format!("{folder}/{writer}/{}", n % 20);
                    let kv = Kv::client(&client, "kv");
                    let done = if n % 7 == 6 {
                        kv.delete(key).await.is_ok()
                    } else {
                        kv.put(key, Blob::from(format!("{n}").as_str())).await.is_ok()
                    };
                    if done {
                        writes.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
        Self { stop, writes, tasks }
    }

    async fn more(&self, writes: u64) {
        let wanted = self.writes.load(Ordering::Relaxed) + writes;
        until("writes to be acknowledged", PATIENCE, || async {
            (self.writes.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a writer does not panic");
        }
        self.writes.load(Ordering::Relaxed)
    }
}

/// What a watch of one member alone saw: whoever comes back asks for what follows the last revision
/// that is whole.
struct Pinned {
    address: String,
    from: u64,
    topic: &'static str,
    seen: Vec<Logged>,
    streams: u64,
}

impl Pinned {
    /// Watches until everything up to `until` was seen or marked.
    async fn run(&mut self, last: &AtomicU64) {
        while !self.finished(last) {
            self.streams += 1;
            if self.stream(last).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn finished(&self, last: &AtomicU64) -> bool {
        self.from > last.load(Ordering::Relaxed)
    }

    async fn stream(&mut self, last: &AtomicU64) -> Result<(), tonic::Status> {
        let mut stream = WatchStream::open(&self.address).await?;
        stream.create(create_from(7, "kv", self.topic, true, self.from)).await;
        let (mut parts, mut asked) = (Vec::new(), tokio::time::Instant::now());
        while !self.finished(last) {
            match stream.next().await?.1 {
                Update::Created(created) => {
                    assert_eq!(created.revision + 1, self.from, "it starts where it was asked to")
                }
                Update::Events(events) => {
                    parts.extend(events.events.iter().map(logged));
                    if !events.partial {
                        self.from = parts.last().map_or(self.from, |event: &Logged| event.revision.0 + 1);
                        self.seen.append(&mut parts);
                    }
                }
                Update::Progress(progress) => {
                    assert!(progress.revision + 1 >= self.from, "a mark goes back");
                    self.from = self.from.max(progress.revision + 1);
                }
                Update::Cancelled(cancelled) => {
                    let failure = cancelled.failure.expect("nobody cancelled it");
                    assert_eq!(failure.kind(), synod_api::v1::failure::Kind::Unavailable, "{failure:?}");
                    assert_eq!(cancelled.resume_revision, self.from, "it comes back where it stopped");
                    return Ok(());
                }
            }
            if asked.elapsed() > Duration::from_millis(200) {
                asked = tokio::time::Instant::now();
                stream.request_progress().await;
            }
        }
        Ok(())
    }
}

/// What a watch of the client library saw, which goes to another member by itself.
async fn follow(mut watch: Watch<Typed<Change>>, last: Arc<AtomicU64>) -> Vec<Logged> {
    let mut seen = Vec::new();
    loop {
        let through = match watch.next().await.expect("the watch goes on").expect("nobody cancelled it") {
            WatchItem::Events { revision, events, .. } => {
                assert!(
                    events.iter().all(|event| event.revision == revision),
                    "events of one revision come together"
                );
                seen.extend(events.into_iter().map(|event| Logged {
                    revision: Revision(event.revision),
                    number: event.number,
                    topic: event.topic,
                    payload: synod_abi::encode(&event.payload),
                }));
                revision
            }
            WatchItem::Progress { revision, .. } => revision,
        };
        if through >= last.load(Ordering::Relaxed) {
            return seen;
        }
    }
}

#[track_caller]
fn assert_same(what: &str, seen: &[Logged], expected: &[Logged]) {
    let differing = seen.iter().zip(expected).position(|(one, other)| one != other);
    if let Some(at) = differing {
        panic!("{what}: event {at} is {:?}, the log has {:?}", seen[at], expected[at]);
    }
    assert_eq!(seen.len(), expected.len(), "{what}: events are missing at the end, or too many");
}

async fn restart(cluster: &mut Cluster, member: usize, flags: &[&str]) {
    cluster.start_with(member, flags);
    cluster.ready().await;
}

/// A watch of the client library and one of the serving member alone, from the same revision on.
struct Watches {
    from: u64,
    /// Where both end, once it is known.
    last: Arc<AtomicU64>,
    library: JoinHandle<Vec<Logged>>,
    pinned: JoinHandle<Pinned>,
}

impl Watches {
    async fn start(cluster: &Cluster, client: &Client) -> Self {
        let now = client.query_json("kv", "get", r#"{"key": "x"}"#, Consistency::Linearizable).await;
        let from = now.expect("kv answers").revision + 1;
        let last = Arc::new(AtomicU64::new(u64::MAX));
        let watch = client.watch("kv").prefix("config/").from_revision(from).typed::<Change>();
        let library = tokio::spawn(follow(watch.open().await.expect("a watch"), last.clone()));
        let mut pinned = Pinned {
            address: cluster.members[SERVING].client_address.clone(),
            from,
            topic: "config/",
            seen: Vec::new(),
            streams: 0,
        };
        let until = last.clone();
        let pinned = tokio::spawn(async move {
            pinned.run(&until).await;
            pinned
        });
        Self { from, last, library, pinned }
    }

    /// What both saw up to `last`.
    async fn end(self, last: u64) -> (Vec<Logged>, Pinned) {
        self.last.store(last, Ordering::Relaxed);
        let pinned = tokio::time::timeout(PATIENCE, self.pinned).await.expect("the watch gets to the end");
        let library = tokio::time::timeout(PATIENCE, self.library).await.expect("the watch gets to the end");
        (library.expect("it saw nothing wrong"), pinned.expect("it saw nothing wrong"))
    }
}

/// Kills leaders under load, one after the other.
async fn fail_over(cluster: &mut Cluster, load: &Load) {
    for _ in 0..FAILOVERS {
        let leader = cluster.leader().await;
        cluster.kill(leader);
        cluster.leader_except(leader).await;
        restart(cluster, leader, &REMEMBERS).await;
        load.more(200).await;
    }
}

/// Compacts events before the watches, which are up to date within moments.
async fn compact(cluster: &Cluster, client: &Client, load: &Load, from: u64) {
    let before = cluster.status(HISTORIAN).await.expect("the member runs").revision;
    load.more(200).await;
    until("the watches to have gone on", PATIENCE, || async {
        (cluster.status(SERVING).await?.revision > before + 200).then_some(())
    })
    .await;
    let compacted = client.compact("kv", from + 100).await.expect("events can be forgotten");
    assert!(compacted.events > 0, "{compacted:?}");
}

/// Keeps the serving member down until the leader's log no longer reaches back to it, so that it
/// installs a snapshot: were it only paused, entries in its sockets could take it over the gap.
/// Returns how many writes were acknowledged meanwhile.
async fn force_a_snapshot(cluster: &mut Cluster) -> u64 {
    cluster.stop(LEADER).await;
    restart(cluster, LEADER, &FORGETS).await;
    cluster.make_leader(LEADER, &REMEMBERS).await;
    let load = Load::start(cluster).await;
    load.more(200).await;
    let snapshots = cluster.log(SERVING).matches("installed a snapshot").count();
    cluster.kill(SERVING);
    let sent = cluster.status(LEADER).await.expect("the member runs").last_log_index;
    until("the leader's log to begin after the serving member's", PATIENCE, || async {
        (cluster.status(LEADER).await?.purged_index > sent).then_some(())
    })
    .await;
    cluster.start_with(SERVING, &REMEMBERS);
    until("the serving member to install a snapshot", PATIENCE, || async {
        (cluster.log(SERVING).matches("installed a snapshot").count() > snapshots).then_some(())
    })
    .await;
    load.more(200).await;
    load.stop().await
}

/// Through failovers, a compaction and a snapshot, a watch has every event once and in order, as
/// the log has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_have_every_event_that_the_log_has_whatever_befalls_the_cluster() {
    let mut cluster = Cluster::new(3, &[]);
    (0..3).for_each(|n| cluster.start_with(n, &REMEMBERS));
    cluster.ready().await;
    let client = cluster.client().await;
    let watches = Watches::start(&cluster, &client).await;
    let from = watches.from;
    let load = Load::start(&cluster).await;
    load.more(200).await;
    fail_over(&mut cluster, &load).await;
    compact(&cluster, &client, &load, from).await;
    let before = load.stop().await;
    let writes = before + force_a_snapshot(&mut cluster).await;
    cluster.ready().await;
    cluster.assert_equal_digests().await;

    let last = cluster.status(HISTORIAN).await.expect("the member runs").revision;
    let (library, pinned) = watches.end(last).await;
    assert!(cluster.stop(HISTORIAN).await.success());
    let mut expected = events_of(&cluster.members[HISTORIAN].data, "kv");
    expected.retain(|event| event.revision.0 >= from && event.topic.starts_with("config/"));
    eprintln!(
        "{writes} writes, {} events wanted, {} streams of the member that installed a snapshot",
        expected.len(),
        pinned.streams
    );
    assert!(expected.len() > 500, "only {} events", expected.len());
    assert_same("the watch of one member", &pinned.seen, &expected);
    assert_same("the watch of the client library", &library, &expected);
}

/// Keys under `config/`, from a query and the events behind it, up to `last`.
async fn mirror(client: Client, last: Arc<AtomicU64>) -> BTreeSet<String> {
    let watch = client.watch("kv").prefix("config/").typed::<Change>();
    let (rows, mut watch) = watch.open_with_json("list", LIST).await.expect("a query with its watch");
    let (mut mirror, mut through) = (keys(&rows.value), rows.revision);
    while through < last.load(Ordering::Relaxed) {
        match watch.next().await.expect("the watch goes on").expect("nobody cancelled it") {
            WatchItem::Events { revision, events, .. } => {
                assert!(revision > through, "an event of revision {revision} comes after {through}");
                for event in events {
                    match event.payload {
                        Change::Put { .. } => drop(mirror.insert(event.topic)),
                        Change::Deleted => assert!(
                            mirror.remove(&event.topic),
                            "{} was deleted and had not been there",
                            event.topic
                        ),
                    };
                }
                through = revision;
            }
            WatchItem::Progress { revision, .. } => through = revision,
        }
    }
    mirror
}

const LIST: &str = r#"{"prefix": "config/", "limit": 1000}"#;

fn keys(page: &str) -> BTreeSet<String> {
    let page: serde_json::Value = serde_json::from_str(page).expect("a page is JSON");
    page["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["key"].as_str().expect("a key").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_and_the_events_behind_it_have_no_gap_under_writes() {
    let cluster = Cluster::started(3, &[]).await;
    let load = Load::start(&cluster).await;
    let last = Arc::new(AtomicU64::new(u64::MAX));
    let mut mirrors = Vec::new();
    for _ in 0..MIRRORS {
        load.more(20).await;
        mirrors.push(tokio::spawn(mirror(cluster.client().await, last.clone())));
    }
    load.more(200).await;
    load.stop().await;
    let client = cluster.client().await;
    let present = client.query_json("kv", "list", LIST, Consistency::Linearizable).await.expect("kv answers");
    last.store(present.revision, Ordering::Relaxed);
    for mirror in mirrors {
        let mirror = tokio::time::timeout(PATIENCE, mirror)
            .await
            .expect("the watch gets to the end")
            .expect("it saw nothing wrong");
        assert_eq!(mirror, keys(&present.value));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_is_a_querys_result_that_its_watch_keeps_up_to_date_through_a_failover() {
    let mut cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    let asks = client.watch("kv").prefix("config/").cache_json("list", LIST, |page| Ok(keys(page))).open();
    let asks = asks.await.expect("a cache");
    let folds = client
        .watch("kv")
        .prefix("config/")
        .typed::<Change>()
        .cache_json("list", LIST, |page| Ok(keys(page)));
    let folds = folds.fold(|keys: &mut BTreeSet<String>, event| {
        match event.payload {
            Change::Put { .. } => keys.insert(event.topic.clone()),
            Change::Deleted => keys.remove(&event.topic),
        };
    });
    let folds = folds.open().await.expect("a cache");
    let load = Load::start(&cluster).await;
    load.more(100).await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader_except(leader).await;
    cluster.start(leader);
    load.more(100).await;
    load.stop().await;
    cluster.ready().await;
    let present = client.query_json("kv", "list", LIST, Consistency::Linearizable).await.expect("kv answers");
    for (what, cache) in [("asking", &asks), ("folding", &folds)] {
        let snapshot = tokio::time::timeout(PATIENCE, cache.wait_for(present.revision))
            .await
            .expect("it catches up")
            .expect("it lives");
        assert_eq!(*snapshot.value, keys(&present.value), "{what}");
        assert!(
            snapshot.as_of_revision >= present.revision && snapshot.revision <= snapshot.as_of_revision,
            "{what}"
        );
    }
    (0..3).for_each(|n| cluster.pause(n));
    until("the caches to say that they are out of contact", PATIENCE, || async {
        let silent =
            |cache: &Cache<BTreeSet<String>>| matches!(cache.get().state, CacheState::Disconnected { .. });
        (silent(&asks) && silent(&folds)).then_some(())
    })
    .await;
    assert!(folds.get().age() > Duration::from_secs(1), "it knows how long ago it heard of the cluster");
    assert_eq!(*folds.get().value, keys(&present.value), "what it has, it keeps");
    (0..3).for_each(|n| cluster.resume(n));
    cluster.ready().await;
    let written =
        Kv::client(&client, "kv").put("config/last", Blob::from("v")).await.expect("the cluster is back");
    let snapshot = tokio::time::timeout(PATIENCE, folds.wait_for(written.revision.0))
        .await
        .expect("it comes back")
        .expect("it lives");
    assert!(snapshot.value.contains("config/last"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_space_keeps_of_its_events_what_it_is_told_to_by_count_by_bytes_and_by_age() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    let put = |n: u32| {
        let client = client.clone();
        async move {
            Kv::client(&client, "kv")
                .put(format!("k/{n}"), Blob::from("x".repeat(100).as_str()))
                .await
                .expect("a put is not refused")
        }
    };
    for n in 0..300 {
        put(n).await;
    }
    let kept = |wanted: fn(&EventLog) -> bool| {
        let client = client.clone();
        async move {
            let events = client.space_info("kv").await.ok()?.events?;
            wanted(&events).then_some(events)
        }
    };
    let retention = Retention { events: Some(100), ..Retention::default() };
    client.set_retention("kv", retention).await.expect("it is told");
    let log = until("no more than 100 events to be kept", PATIENCE, || kept(|log| log.events <= 100)).await;
    assert!(log.events == 100 && log.compacted_revision > 0, "{log:?}");
    let retention = Retention { bytes: Some(5_000), ..Retention::default() };
    client.set_retention("kv", retention).await.expect("it is told");
    let log = until("no more than 5,000 bytes to be kept", PATIENCE, || kept(|log| log.bytes <= 5_000)).await;
    assert!((20..100).contains(&log.events), "{log:?}");
    let retention = Retention { age_ms: Some(1_000), ..Retention::default() };
    client.set_retention("kv", retention).await.expect("it is told");
    let log = until("nothing older than a second to be kept", PATIENCE, || kept(|log| log.events == 0)).await;
    assert_eq!((log.bytes, log.oldest_at_ms, log.compacted_revision), (0, 0, log.last_revision), "{log:?}");
    let too_much = Retention { events: Some(u64::MAX), ..Retention::default() };
    let refused = client.set_retention("kv", too_much).await;
    assert!(
        matches!(&refused, Err(Error::Refused(refusal)) if refusal.reason == "RETENTION_OUT_OF_BOUNDS"),
        "{refused:?}"
    );
    cluster.assert_equal_digests().await;
}
