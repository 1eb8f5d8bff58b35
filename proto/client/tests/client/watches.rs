//! Watches against members that are made up: what the application is told when members fail, and
//! what goes over the wire.
use std::time::{Duration, Instant};

use synod_abi::{EventPayload, Shape, Shaped};
use synod_api::v1::create_watch::Start;
use synod_api::v1::failure::Kind;
use synod_client::core::{Backoff, Policy};
use synod_client::{
    Client, Error, OneQuery, Options, RawQuery, TopicFilter, Transport, Watch, WatchError, WatchItem,
    WatchState,
};
use tokio_stream::StreamExt;

use crate::cluster::{Cluster, SIGNATURE, SPACE, Watches, eventually, vacant_address};

const PATIENCE: Duration = Duration::from_secs(20);

/// The next revision with events: its number, and topics with payloads.
async fn events<F: synod_client::Form>(
    watch: &mut Watch<F>,
) -> Result<Option<(u64, Vec<(String, F::Payload)>)>, WatchError> {
    loop {
        let item = tokio::time::timeout(PATIENCE, watch.next()).await.expect("it comes in time")?;
        match item {
            None => return Ok(None),
            Some(WatchItem::Progress { revision, .. }) => assert_eq!(revision, watch.revision()),
            Some(WatchItem::Events { revision, events, .. }) => {
                assert!(
                    events.iter().all(|event| event.revision == revision) && revision == watch.revision()
                );
                assert!(events.is_sorted_by(|a, b| a.number < b.number));
                return Ok(Some((
                    revision,
                    events.into_iter().map(|event| (event.topic, event.payload)).collect(),
                )));
            }
        }
    }
}

async fn some<F: synod_client::Form>(watch: &mut Watch<F>) -> (u64, Vec<(String, F::Payload)>) {
    events(watch).await.expect("it goes on").expect("it goes on")
}

fn told(revision: u64, events: &[(&str, &str)]) -> (u64, Vec<(String, String)>) {
    (revision, events.iter().map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned())).collect())
}

#[tokio::test]
async fn it_tells_what_it_wants_from_where_it_was_told_to_begin() {
    let cluster = Cluster::start(1).await;
    let client = cluster.watcher().await;
    let first = cluster.emit(&[("a/1", "1"), ("b", "2"), ("a/2", "3")]);
    let mut now = client.watch("s").open().await.expect("it begins");
    let mut oldest = client.watch("s").prefix("a/").from_oldest().open().await.expect("it begins");
    let mut exact = client.watch("s").topic("b").from_revision(first).open().await.expect("it begins");
    let mut filter = client
        .watch("s")
        .filter(TopicFilter::parse("a/1"))
        .from_revision(first + 1)
        .open()
        .await
        .expect("it begins");
    let second = cluster.emit(&[("b", "4"), ("a/1", "5")]);
    assert_eq!(some(&mut now).await, told(second, &[("b", "4"), ("a/1", "5")]));
    assert_eq!(some(&mut oldest).await, told(first, &[("a/1", "1"), ("a/2", "3")]));
    assert_eq!(some(&mut oldest).await, told(second, &[("a/1", "5")]));
    assert_eq!(some(&mut exact).await, told(first, &[("b", "2")]));
    assert_eq!(some(&mut exact).await, told(second, &[("b", "4")]));
    assert_eq!(some(&mut filter).await, told(second, &[("a/1", "5")]));
    assert_eq!(now.state(), WatchState::Live);
    assert_eq!(cluster.log().streams.get(&1), Some(&1), "they share a stream");
}

/// What a typed client does.
async fn counted(transport: OneQuery) -> Result<u64, String> {
    let query = RawQuery { space: "s".into(), query: "count", signature: 1, args: vec![] };
    let reply = transport.query(query).await.map_err(|error| format!("{error:?}"))?;
    synod_abi::decode(&reply.result).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_querys_result_and_the_events_behind_it_have_no_gap() {
    let cluster = std::sync::Arc::new(Cluster::start(1).await);
    let client = cluster.watcher().await;
    let writer = tokio::spawn({
        let cluster = std::sync::Arc::clone(&cluster);
        async move {
            for _ in 0..300 {
                cluster.emit(&[("t", "0")]);
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..20 {
        let (count, mut watch) = client.watch("s").open_with_json("count", "{}").await.expect("it begins");
        assert_eq!(
            count.value,
            (count.revision - 1).to_string(),
            "an event in each revision behind the first"
        );
        if count.revision < 301 {
            assert_eq!(some(&mut watch).await.0, count.revision + 1);
        }
        let (count, watch) = client.watch("s").open_with_raw("count", 1, vec![]).await.expect("it begins");
        assert_eq!(synod_abi::decode::<u64>(&count.value), Ok(watch.revision() - 1));
        let (count, watch) = client.watch("s").open_with(counted).await.expect("it begins");
        assert_eq!((count.value, count.revision), (watch.revision() - 1, watch.revision()));
    }
    writer.await.expect("it wrote");
    assert_eq!(cluster.count(), 300);
}

#[tokio::test]
async fn revisions_that_come_in_parts_are_told_whole() {
    let cluster = Cluster::start(1).await;
    cluster.members[0].cut_revisions();
    let mut watch = cluster.watcher().await.watch("s").open().await.expect("it begins");
    let many: Vec<(String, String)> = (0..40).map(|n| (format!("t{n}"), n.to_string())).collect();
    let many: Vec<(&str, &str)> =
        many.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
    let first = cluster.emit(&many);
    let second = cluster.emit(&[("x", "1")]);
    assert_eq!(some(&mut watch).await, told(first, &many));
    assert_eq!(some(&mut watch).await, told(second, &[("x", "1")]));
}

/// Lets each member in turn do `fails` while there are writes, and checks that every watch gets
/// everything.
async fn survives(fails: Watches) {
    let cluster = Cluster::start(3).await;
    let client = cluster.watcher().await;
    let mut watches = Vec::new();
    for n in 0..30 {
        watches.push(client.watch("s").topic(&format!("t{}", n % 3)).open().await.expect("it begins"));
    }
    let readers: Vec<_> = (0_u64..)
        .zip(watches)
        .map(|(n, mut watch)| {
            tokio::spawn(async move {
                let mut got = Vec::new();
                while got.len() < 200 {
                    got.push(some(&mut watch).await.0);
                }
                (n % 3, got)
            })
        })
        .collect();
    let mut written = [vec![], vec![], vec![]];
    for round in 0..200_usize {
        for topic in 0..3_usize {
            written[topic].push(cluster.emit(&[(["t0", "t1", "t2"][topic], "1"), ("other", "2")]));
        }
        if round % 40 == 10 {
            let serving = cluster.log().creates.last().map_or(1, |(id, _)| *id);
            let member = &cluster.members[usize::try_from(serving - 1).expect("small")];
            let before = cluster.log().creates.len();
            member.watches(fails.clone());
            cluster
                .until_log("the watches move", |log| {
                    log.creates.iter().skip(before).any(|(id, _)| *id != serving)
                })
                .await;
            member.watches(Watches::Serve);
        }
        tokio::task::yield_now().await;
    }
    for reader in readers {
        let (topic, got) = reader.await.expect("it got everything");
        assert_eq!(got, written[usize::try_from(topic).expect("small")], "every event once, and in order");
    }
    let streams: u64 = cluster.log().streams.values().sum();
    assert!(streams <= 30, "the watches of a client move together, over {streams} streams");
}

#[tokio::test]
async fn it_survives_members_that_go_down() {
    survives(Watches::Down).await;
}

#[tokio::test]
async fn it_survives_members_that_fall_silent() {
    survives(Watches::Silent).await;
}

#[tokio::test]
async fn it_survives_members_that_stop() {
    survives(Watches::Cancel(Kind::Unavailable, "SHUTTING_DOWN")).await;
}

#[tokio::test]
async fn a_watch_that_was_too_slow_comes_back_at_the_same_member() {
    let cluster = Cluster::start(2).await;
    let mut watch = cluster.watcher().await.watch("s").open().await.expect("it begins");
    cluster.members[0].watches(Watches::Cancel(Kind::Rejected, "WATCH_TOO_SLOW"));
    cluster.until_log("it comes back", |log| log.creates.len() > 1).await;
    cluster.members[0].watches(Watches::Serve);
    let revision = cluster.emit(&[("t", "1")]);
    assert_eq!(some(&mut watch).await, told(revision, &[("t", "1")]));
    assert!(cluster.log().creates.iter().all(|(member, _)| *member == 1));
}

#[tokio::test]
async fn an_application_that_does_not_read_holds_up_nobody_and_misses_nothing() {
    let cluster = Cluster::start(1).await;
    let client = cluster.watcher().await;
    let mut slow = client.watch("s").topic("t").open().await.expect("it begins");
    let mut fast = client.watch("s").topic("t").open().await.expect("it begins");
    let large = "x".repeat(64 << 10);
    let mut written = Vec::new();
    for _ in 0..300 {
        written.push(cluster.emit(&[("t", &large)]));
        assert_eq!(some(&mut fast).await.0, *written.last().expect("it was pushed"));
    }
    eventually("it waits for its reader", || slow.state() == WatchState::Waiting).await;
    cluster.until_log("it is off the stream", |log| log.watches == 1 && log.cancels == 1).await;
    for revision in &written {
        assert_eq!(some(&mut slow).await.0, *revision);
    }
    let last = cluster.emit(&[("t", "1")]);
    assert_eq!(some(&mut slow).await, told(last, &[("t", "1")]));
    let log = cluster.log();
    let resumed: Vec<_> =
        log.creates.iter().skip(2).map(|(_, create)| (create.start.clone(), create.space_id)).collect();
    assert!(
        !resumed.is_empty()
            && resumed
                .iter()
                .all(|(start, id)| matches!(start, Some(Start::FromRevision(_))) && *id == SPACE)
    );
}

#[tokio::test]
async fn compaction_and_deletion_end_it_with_what_it_takes_to_go_on() {
    let cluster = Cluster::start(1).await;
    let client = cluster.watcher().await;
    for _ in 0..5 {
        cluster.emit(&[("t", "1")]);
    }
    cluster.compact(4);
    let refused = client.watch("s").from_revision(3).open().await.expect_err("it is forgotten");
    assert_eq!(
        refused,
        WatchError::Compacted { compacted_revision: 4, resume_revision: 5, message: "COMPACTED".into() }
    );
    assert!(matches!(Error::from(refused), Error::Refused(refusal) if refusal.reason == "COMPACTED"));

    let mut watch = client.watch("s").from_revision(5).open().await.expect("it begins");
    assert_eq!(some(&mut watch).await.0, 5);
    assert_eq!(some(&mut watch).await.0, 6);
    cluster.log().revision = 20;
    cluster.compact(15);
    let ended = events(&mut watch).await.expect_err("it is overtaken");
    assert_eq!(
        ended,
        WatchError::Compacted { compacted_revision: 15, resume_revision: 16, message: "COMPACTED".into() }
    );
    assert_eq!((events(&mut watch).await, watch.state(), watch.revision()), (Ok(None), WatchState::Over, 6));

    let mut watch = client.watch("s").open().await.expect("it begins");
    let last = cluster.emit(&[("t", "1")]);
    assert_eq!(some(&mut watch).await.0, last);
    cluster.log().deleted = true;
    cluster.stir();
    assert!(matches!(events(&mut watch).await, Err(WatchError::SpaceDeleted { .. })));
    assert!(matches!(client.watch("s").open().await, Err(WatchError::SpaceDeleted { .. })));
}

#[tokio::test]
async fn a_refused_watch_is_told_at_once_and_harms_no_other() {
    let cluster = Cluster::start(2).await;
    let client = cluster.watcher().await;
    let mut good = client.watch("s").open().await.expect("it begins");
    for (watch, reason) in [
        (client.watch("nowhere"), "UNKNOWN_SPACE"),
        (client.watch("s").from_revision(99), "REVISION_NOT_REACHED"),
    ] {
        let error = watch.open().await.expect_err("it is refused");
        assert!(
            matches!(&error, WatchError::Failed(Error::Refused(refusal)) if refusal.reason == reason),
            "{error}"
        );
    }
    let revision = cluster.emit(&[("t", "1")]);
    assert_eq!(some(&mut good).await.0, revision);
    let log = cluster.log();
    assert_eq!((log.watches, log.streams.len()), (1, 1));
}

#[tokio::test]
async fn a_watch_that_is_dropped_leaves_nothing() {
    let cluster = Cluster::start(1).await;
    let client = cluster.watcher().await;
    let mut watches = Vec::new();
    for opening in
        futures::future::join_all((0..2_000).map(|n| client.watch("s").topic(&format!("t{}", n % 2)).open()))
            .await
    {
        watches.push(opening.expect("it begins"));
    }
    {
        let log = cluster.log();
        assert_eq!((log.watches, log.streams.get(&1)), (2_000, Some(&1)));
    }
    let revision = cluster.emit(&[("t1", "1")]);
    for watch in watches.iter_mut().skip(1).step_by(2) {
        assert_eq!(some(watch).await.0, revision);
    }
    drop(watches);
    cluster.until_log("they are cancelled", |log| log.watches == 0).await;
    let opening = client.watch("s").open();
    drop(opening);
    let opened = tokio::time::timeout(Duration::from_nanos(1), client.watch("s").open()).await;
    drop(opened);
    cluster.until_log("they are cancelled", |log| log.watches == 0).await;
}

#[tokio::test]
async fn when_nobody_serves_opening_fails_in_time_and_an_open_one_goes_on() {
    let cluster = Cluster::start(2).await;
    let client = cluster.watcher().await;
    let mut watch = client.watch("s").open().await.expect("it begins");
    for member in &cluster.members {
        member.watches(Watches::Down);
    }
    eventually("it says so", || matches!(watch.state(), WatchState::Disconnected { .. })).await;
    let began = Instant::now();
    let error = client.watch("s").open().await.expect_err("nobody serves");
    assert!(matches!(&error, WatchError::Failed(Error::Unavailable(_))), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let revision = cluster.emit(&[("t", "1")]);
    cluster.members[1].watches(Watches::Serve);
    assert_eq!(some(&mut watch).await.0, revision);
    eventually("it has caught up", || watch.state() == WatchState::Live).await;
    let address = vacant_address().await;
    let policy = Policy { give_up_ms: 100, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    let nobody = Client::connect_with(
        address.to_string(),
        Options { policy, learn_members: false, ..Options::default() },
    )
    .await;
    let error = nobody.expect("nobody is contacted").watch("s").open().await.expect_err("nobody is there");
    assert!(
        matches!(&error, WatchError::Failed(Error::Unavailable(why)) if why.contains(&address.to_string())),
        "{error}"
    );
}

#[tokio::test]
async fn a_member_that_knows_no_watches_refuses_them() {
    let cluster = Cluster::start(1).await;
    cluster.members[0].watches(Watches::Old);
    let error = cluster.watcher().await.watch("s").open().await.expect_err("it is refused");
    assert!(
        matches!(&error, WatchError::Failed(Error::Refused(refusal)) if refusal.reason == "Unimplemented"),
        "{error}"
    );
}

#[tokio::test]
async fn it_tells_how_far_it_is_when_it_is_asked_and_is_a_stream() {
    let cluster = Cluster::start(1).await;
    let mut watch = cluster.watcher().await.watch("s").topic("t").open().await.expect("it begins");
    let revision = cluster.emit(&[("other", "1")]);
    watch.request_progress();
    let mark = tokio::time::timeout(PATIENCE, StreamExt::next(&mut watch)).await.expect("in time");
    assert_eq!(mark, Some(Ok(WatchItem::Progress { revision, time_ms: 1 })));
    assert_eq!(watch.revision(), revision);
    assert!(watch.heard_at().elapsed() < PATIENCE);
}

/// What the recipe of the space emits, for those who decode it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(String);

impl Shaped for Text {
    const SHAPE: Shape = Shape::String;
}

impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl EventPayload for Text {
    const SIGNATURE: u64 = SIGNATURE;
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Other(u64);

impl Shaped for Other {
    const SHAPE: Shape = Shape::U64;
}

impl serde::Serialize for Other {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Other {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

impl EventPayload for Other {
    const SIGNATURE: u64 = 1;
}

#[tokio::test]
async fn payloads_come_as_what_the_recipe_emits_and_never_as_anything_else() {
    let cluster = Cluster::start(1).await;
    let client = cluster.watcher().await;
    let mut typed = client.watch("s").typed::<Text>().open().await.expect("it begins");
    let mut raw = client.watch("s").postcard().open().await.expect("it begins");
    let revision = cluster.emit(&[("t", "ü")]);
    assert_eq!(some(&mut typed).await, (revision, vec![("t".to_owned(), Text("ü".into()))]));
    assert_eq!(some(&mut raw).await, (revision, vec![("t".to_owned(), synod_abi::encode("ü"))]));
    let error = client.watch("s").typed::<Other>().open().await.expect_err("it emits texts");
    assert!(
        matches!(
            &error,
            WatchError::Failed(Error::Refused(refusal)) if refusal.reason == "SIGNATURE_MISMATCH"
        ),
        "{error}"
    );
}
