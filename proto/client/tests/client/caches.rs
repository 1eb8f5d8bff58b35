//! Caches against members that are made up: what they hold, and how fresh they say it is.
use std::sync::Arc;
use std::time::Duration;

use synod_api::v1::failure::Kind;
use synod_client::{Cache, CacheState, Client, Error, OneQuery, RawQuery, Transport, WatchError};

use crate::cluster::{Cluster, Watches, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

fn number(json: &str) -> Result<u64, Error> {
    json.parse().map_err(|_| Error::Internal("no number".into()))
}

/// How many events there were, counted here.
async fn folded(client: &Client) -> Cache<u64> {
    client
        .watch("s")
        .cache_json("count", "{}", number)
        .fold(|count, _event| *count += 1)
        .open()
        .await
        .expect("it opens")
}

/// The same, asked again whenever there was one.
async fn asked(client: &Client) -> Cache<u64> {
    let count = |transport: OneQuery| async move {
        let query = RawQuery { space: "s".into(), query: "count", signature: 1, args: vec![] };
        let reply = transport.query(query).await.map_err(|error| format!("{error:?}"))?;
        synod_abi::decode::<u64>(&reply.result).map_err(|error| error.to_string())
    };
    client.watch("s").cache(count).expect("it is one query").open().await.expect("it opens")
}

async fn until<T>(what: &str, cache: &Cache<T>, mut wanted: impl FnMut(&Cache<T>) -> bool) {
    eventually(what, || wanted(cache)).await;
}

/// Everything up to `revision` is in it.
async fn has<T: Copy + PartialEq + std::fmt::Debug>(cache: &Cache<T>, revision: u64, value: T) {
    let snapshot =
        tokio::time::timeout(PATIENCE, cache.wait_for(revision)).await.expect("in time").expect("it is kept");
    assert_eq!(*snapshot.value, value);
    assert!(snapshot.as_of_revision >= revision && snapshot.revision <= snapshot.as_of_revision);
}

/// Emits so many events; the revision of the last.
fn many(cluster: &Cluster, count: usize) -> u64 {
    (0..count).fold(0, |_, _| cluster.emit(&[("t", "1")]))
}

#[tokio::test]
async fn it_follows_and_says_how_fresh_it_is() {
    let cluster = Cluster::start(1).await;
    let client = cluster.watcher().await;
    let first = cluster.emit(&[("t", "1")]);
    let folded = folded(&client).await;
    let asked = asked(&client).await;
    for cache in [&folded, &asked] {
        let snapshot = cache.get();
        assert_eq!(
            (*snapshot.value, snapshot.revision, snapshot.as_of_revision, snapshot.state),
            (1, first, first, CacheState::Live)
        );
        assert!(snapshot.age() < PATIENCE);
    }
    let mut heard = folded.clone();
    let revision = cluster.emit(&[("t", "1"), ("u", "2")]);
    tokio::time::timeout(PATIENCE, heard.changed()).await.expect("in time").expect("it is kept");
    assert_eq!((*heard.get().value, heard.get().revision), (3, revision));
    has(&folded, revision, 3).await;
    has(&asked, revision, 3).await;
    cluster.log().revision += 1;
    has(&folded, revision + 1, 3).await;
    has(&asked, revision + 1, 3).await;
    assert_eq!(folded.get().revision, revision, "nothing has changed it since");
    until("it is fresh", &asked, |cache| cache.get().state == CacheState::Live).await;
}

#[tokio::test]
async fn many_events_are_one_question() {
    let cluster = Cluster::start(1).await;
    cluster.members[0].cut_revisions();
    let cache = asked(&cluster.watcher().await).await;
    cluster.log().query_delay_ms = 50;
    let last = many(&cluster, 500);
    has(&cache, last, 500).await;
    let queries = cluster.log().queries;
    assert!((1..=20).contains(&queries), "{queries}");
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was() {
    let cluster = Cluster::start(1).await;
    let cache = folded(&cluster.watcher().await).await;
    let before = cache.get();
    let revision = cluster.emit(&[("t", "1")]);
    has(&cache, revision, 1).await;
    assert_eq!(*before.value, 0);
}

#[tokio::test]
async fn it_survives_its_members_says_so_and_never_goes_back() {
    for fails in [Watches::Down, Watches::Silent, Watches::Cancel(Kind::Unavailable, "SHUTTING_DOWN")] {
        let cluster = Cluster::start(3).await;
        let client = cluster.watcher().await;
        for cache in [folded(&client).await, asked(&client).await] {
            let watcher = cache.clone();
            let grows = tokio::spawn(async move {
                let mut watcher = watcher;
                let mut last = (0, 0, 0);
                while *watcher.get().value < 1_000_000 {
                    let snapshot = watcher.get();
                    let now = (snapshot.revision, snapshot.as_of_revision, *snapshot.value);
                    assert!(now.0 >= last.0 && now.1 >= last.1 && now.2 >= last.2, "{last:?} {now:?}");
                    last = now;
                    if watcher.changed().await.is_err() {
                        break;
                    }
                }
            });
            for _ in 0..3 {
                let serving = cluster.log().creates.last().map_or(1, |(id, _)| *id);
                let member = &cluster.members[usize::try_from(serving - 1).expect("small")];
                let before = cluster.log().creates.len();
                member.watches(fails.clone());
                cluster.emit(&[("t", "1")]);
                cluster
                    .until_log("it moves", |log| {
                        log.creates.iter().skip(before).any(|(id, _)| *id != serving)
                    })
                    .await;
                member.watches(Watches::Serve);
                let revision = cluster.emit(&[("t", "1")]);
                let all = cluster.count();
                has(&cache, revision, all).await;
            }
            grows.abort();
            assert!(grows.await.is_err_and(|error| error.is_cancelled()), "it never went back");
        }
    }
}

#[tokio::test]
async fn without_a_member_it_keeps_what_it_has_and_says_since_when() {
    let cluster = Cluster::start(1).await;
    let cache = folded(&cluster.watcher().await).await;
    cluster.members[0].watches(Watches::Down);
    until("it says so", &cache, |cache| matches!(cache.get().state, CacheState::Disconnected { .. })).await;
    let CacheState::Disconnected { since } = cache.get().state else { panic!("it is disconnected") };
    let heard = cache.get().heard_at;
    assert!(heard <= since && *cache.get().value == 0);
    let revision = cluster.emit(&[("t", "1")]);
    cluster.members[0].watches(Watches::Serve);
    has(&cache, revision, 1).await;
    until("it is fresh", &cache, |cache| cache.get().state == CacheState::Live).await;
    assert!(cache.get().heard_at > heard);
}

#[tokio::test]
async fn what_is_compacted_meanwhile_is_read_again() {
    let cluster = Cluster::start(1).await;
    let client = cluster.watcher().await;
    for cache in [folded(&client).await, asked(&client).await] {
        let value = cluster.count();
        cluster.members[0].watches(Watches::Down);
        until("it is cut off", &cache, |cache| matches!(cache.get().state, CacheState::Disconnected { .. }))
            .await;
        let last = many(&cluster, 10);
        cluster.compact(last);
        cluster.members[0].watches(Watches::Serve);
        has(&cache, last, value + 10).await;
        let next = cluster.emit(&[("t", "1")]);
        has(&cache, next, value + 11).await;
    }
}

#[tokio::test]
async fn the_end_of_its_space_is_told_and_its_last_value_stays() {
    let cluster = Cluster::start(1).await;
    let mut cache = folded(&cluster.watcher().await).await;
    let revision = cluster.emit(&[("t", "1")]);
    has(&cache, revision, 1).await;
    let waits = cache.clone();
    let waiting = tokio::spawn(async move { waits.wait_for(u64::MAX).await.map(|_| ()) });
    cluster.log().deleted = true;
    cluster.stir();
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Err(why) = cache.changed().await {
                return why;
            }
        }
    });
    assert!(matches!(told.await.expect("in time"), WatchError::SpaceDeleted { .. }));
    assert!(matches!(waiting.await.expect("it returns"), Err(WatchError::SpaceDeleted { .. })));
    assert_eq!((*cache.get().value, cache.get().state), (1, CacheState::Over));
    assert!(cache.changed().await.is_err());
}

#[tokio::test]
async fn it_ends_with_its_last_handle() {
    let cluster = Cluster::start(1).await;
    let cache = Arc::new(folded(&cluster.watcher().await).await);
    let clone = (*cache).clone();
    drop(cache);
    has(&clone, cluster.emit(&[("t", "1")]), 1).await;
    assert_eq!(cluster.log().watches, 1);
    drop(clone);
    cluster.until_log("its watch is cancelled", |log| log.watches == 0).await;
}
