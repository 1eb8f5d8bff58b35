//! Watches that ask for what is not there, that nobody reads, or that are left: typed errors,
//! bounded memory, nothing kept.
use std::time::Duration;

use synod_abi::limits;
use synod_api::v1::create_watch::Start;
use synod_api::v1::watch_update::Update;
use synod_api::v1::{CreateWatch, WatchCancelled, WatchQuery};
use synod_client::Client;
use synod_kv::Kv;
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;
use synod_tests::watching::{WatchStream, create, create_from, logged};

const MANY: u64 = 10_000;
/// More than a member keeps for a stream that takes nothing, and than sockets and windows hold.
const UNREAD_BYTES: usize = 32 * 1_024 * 1_024;
const VALUE_BYTES: usize = 64 * 1_024;
/// What a stuck watcher may cost a member, see the issue.
const STUCK_BYTES: u64 = 8 * 1_024 * 1_024;

async fn stream(cluster: &Cluster) -> WatchStream {
    WatchStream::open(&cluster.members[0].client_address).await.expect("the member serves")
}

async fn cancelled(stream: &mut WatchStream, watch_id: u64) -> WatchCancelled {
    match stream.next_of(watch_id).await.expect("the stream goes on") {
        Update::Cancelled(cancelled) => cancelled,
        other => panic!("watch {watch_id} is not cancelled: {other:?}"),
    }
}

async fn created(stream: &mut WatchStream, watch_id: u64) -> u64 {
    match stream.next_of(watch_id).await.expect("the stream goes on") {
        Update::Created(created) => created.revision,
        other => panic!("watch {watch_id} is not created: {other:?}"),
    }
}

async fn put(client: &Client, key: &str, value: &str) -> u64 {
    Kv::client(client, "kv").put(key, Blob::from(value)).await.expect("a put is not refused").revision.0
}

async fn no_watch_left(cluster: &Cluster) {
    until("the member to have forgotten all watches", PATIENCE, || async {
        (cluster.status(0).await?.watches == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_make_no_sense_are_refused_with_a_reason_and_the_others_of_the_stream_go_on() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let mut stream = stream(&cluster).await;
    stream.create(create(1, "kv", "", true)).await;
    created(&mut stream, 1).await;
    let present = put(&client, "a", "1").await;
    let long = "x".repeat(limits::EVENT_TOPIC_BYTES + 1);
    let query = |query: &str| WatchQuery { query: query.to_owned(), ..WatchQuery::default() };
    let table: [(CreateWatch, &str); 11] = [
        (create(2, "nowhere", "", true), "UNKNOWN_SPACE"),
        (create(2, "Not A Name", "", true), "INVALID_NAME"),
        (create(2, "kv", "", false), "INVALID_TOPIC"),
        (create(2, "kv", &long, false), "INVALID_TOPIC"),
        (create(2, "kv", &long, true), "INVALID_TOPIC"),
        (create_from(2, "kv", "a", false, 0), "INVALID_REVISION"),
        (create_from(2, "kv", "a", false, present + 1_000), "REVISION_NOT_REACHED"),
        (create_from(2, "kv", "a", false, u64::MAX), "REVISION_NOT_REACHED"),
        (
            CreateWatch { start: Some(Start::Query(query("nothing"))), ..create(2, "kv", "a", false) },
            "UNKNOWN_QUERY",
        ),
        (CreateWatch { signature: 1, ..create(2, "kv", "a", false) }, "SCHEMA_MISMATCH"),
        (CreateWatch { space_id: 4_000_000, ..create(2, "kv", "a", false) }, "SPACE_DELETED"),
    ];
    for (create, reason) in table {
        let what = format!("{create:?}");
        stream.create(create).await;
        let failure =
            cancelled(&mut stream, 2).await.failure.unwrap_or_else(|| panic!("{what} has no reason"));
        assert_eq!(failure.reason, reason, "{what}: {}", failure.message);
        assert!(!failure.message.is_empty());
    }
    // What is no watch of the stream, twice the same, and none at all.
    for (request, of, reason) in
        [(None, 9, "UNKNOWN_WATCH"), (Some(1), 1, "WATCH_EXISTS"), (Some(0), 0, "INVALID_ARGUMENTS")]
    {
        match request {
            None => stream.cancel(9).await,
            Some(id) => stream.create(create(id, "kv", "", true)).await,
        }
        let mut seen = Vec::new();
        let failure = loop {
            let (id, update) = stream.next().await.expect("the stream goes on");
            match update {
                Update::Cancelled(cancelled) if id == of => {
                    break cancelled.failure.expect("it has a reason");
                }
                other => seen.push(other),
            }
        };
        assert_eq!(failure.reason, reason, "{}", failure.message);
    }
    let revision = put(&client, "b", "2").await;
    let mut again = create_from(3, "kv", "b", false, revision);
    again.watch_id = 3;
    stream.create(again).await;
    assert_eq!(created(&mut stream, 3).await, revision - 1);
    let Update::Events(events) = stream.next_of(3).await.expect("the stream goes on") else {
        panic!("no event")
    };
    assert_eq!(events.events.iter().map(|event| event.revision).collect::<Vec<_>>(), [revision]);
    stream.cancel(3).await;
    let ended = cancelled(&mut stream, 3).await;
    assert!(ended.failure.is_none() && ended.resume_revision > revision, "{ended:?}");
    drop(stream);
    no_watch_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_is_forgotten_is_refused_with_the_first_that_is_left_and_one_to_come_is_waited_for() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    let mut last = 0;
    for n in 0..20 {
        last = put(&client, &format!("k/{n}"), "v").await;
    }
    let done = client.compact("kv", last - 5).await.expect("events can be forgotten");
    assert_eq!((done.compacted_revision, done.events), (last - 5, 15));
    let mut stream = stream(&cluster).await;
    until("the member to have forgotten them as well", PATIENCE, || async {
        (cluster.status(0).await?.revision > last).then_some(())
    })
    .await;
    stream.create(create_from(1, "kv", "k/", true, 1)).await;
    let gone = cancelled(&mut stream, 1).await;
    assert_eq!(gone.failure.map(|failure| failure.reason), Some("COMPACTED".into()));
    assert_eq!((gone.compacted_revision, gone.resume_revision), (last - 5, last - 4));
    stream.create(create_from(2, "kv", "k/", true, gone.resume_revision)).await;
    created(&mut stream, 2).await;
    let mut left = Vec::new();
    while left.len() < 5 {
        let Update::Events(events) = stream.next_of(2).await.expect("the stream goes on") else {
            panic!("no events")
        };
        left.extend(events.events.iter().map(|event| event.revision));
    }
    assert_eq!(left, (last - 4..=last).collect::<Vec<_>>());
    stream.create(CreateWatch { start: Some(Start::FromOldest(true)), ..create(3, "kv", "k/", true) }).await;
    assert_eq!(created(&mut stream, 3).await, last - 5, "the oldest that is left");

    let next = cluster.status(0).await.expect("the member runs").revision + 1;
    stream.create(create_from(4, "kv", "new", false, next)).await;
    created(&mut stream, 4).await;
    assert_eq!(put(&client, "new", "v").await, next);
    let Update::Events(events) = stream.next_of(4).await.expect("the stream goes on") else {
        panic!("no event")
    };
    assert_eq!(logged(&events.events[0]).revision.0, next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_of_a_space_that_goes_away_hear_of_it_and_do_not_take_up_another_of_its_name() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    client.create_space("doomed", "kv", 1).await.expect("a space can be created");
    let doomed = Kv::client(&client, "doomed");
    let first = doomed.put("a", Blob::from("1")).await.expect("it is there").revision.0;
    let mut stream = stream(&cluster).await;
    stream.create(create_from(1, "doomed", "", true, 1)).await;
    let Update::Created(begun) = stream.next_of(1).await.expect("the stream goes on") else {
        panic!("it is not created")
    };
    let Update::Events(events) = stream.next_of(1).await.expect("the stream goes on") else {
        panic!("no event")
    };
    assert_eq!(events.events.iter().map(|event| event.revision).collect::<Vec<_>>(), [first]);
    let last = doomed.put("b", Blob::from("2")).await.expect("it is there").revision.0;
    client.delete_space("doomed").await.expect("a space can be deleted");
    let Update::Events(events) = stream.next_of(1).await.expect("the stream goes on") else {
        panic!("the last event is lost")
    };
    assert_eq!(events.events.iter().map(|event| event.revision).collect::<Vec<_>>(), [last]);
    let gone = cancelled(&mut stream, 1).await;
    assert_eq!(gone.failure.map(|failure| failure.reason), Some("SPACE_DELETED".into()));
    client.create_space("doomed", "kv", 1).await.expect("the name is free again");
    stream
        .create(CreateWatch { space_id: begun.space_id, ..create_from(2, "doomed", "", true, last + 1) })
        .await;
    assert_eq!(
        cancelled(&mut stream, 2).await.failure.map(|failure| failure.reason),
        Some("SPACE_DELETED".into())
    );
    stream.create(create_from(3, "doomed", "", true, 1)).await;
    created(&mut stream, 3).await;
    drop(stream);
    no_watch_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_watches_of_one_client_each_get_theirs_and_leave_nothing() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let mut stream = stream(&cluster).await;
    for first in (1..=MANY).step_by(500) {
        for id in first..first + 500 {
            stream.create(create(id, "kv", &format!("many/{id}"), false)).await;
        }
        for _ in 0..500 {
            let (_, update) = stream.next().await.expect("the stream goes on");
            assert!(matches!(update, Update::Created(_)), "{update:?}");
        }
    }
    assert_eq!(cluster.status(0).await.expect("the member runs").watches, MANY);
    for id in [1, MANY / 2, MANY] {
        let revision = put(&client, &format!("many/{id}"), "v").await;
        let Update::Events(events) = stream.next_of(id).await.expect("the stream goes on") else {
            panic!("no event")
        };
        assert_eq!(events.events.iter().map(|event| event.revision).collect::<Vec<_>>(), [revision]);
    }
    drop(stream);
    no_watch_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_never_reads_costs_at_most_8_mib_and_is_cancelled_with_where_to_come_back() {
    let cluster = Cluster::started(1, &["--snapshot-entries", "1000000"]).await;
    let client = cluster.client().await;
    let mut stuck = stream(&cluster).await;
    let from = cluster.status(0).await.expect("the member runs").revision + 1;
    stuck.create(create_from(1, "kv", "stuck/", true, from)).await;
    created(&mut stuck, 1).await;
    let value = "x".repeat(VALUE_BYTES);
    let mut revisions = Vec::new();
    // The same load without a matching watch first: what rows, caches and the log cost is not the
    // watcher's.
    let began = cluster.resident_bytes(0);
    for n in 0..UNREAD_BYTES / VALUE_BYTES {
        put(&client, &format!("other/{n}"), &value).await;
    }
    let before = cluster.resident_bytes(0);
    for n in 0..UNREAD_BYTES / VALUE_BYTES {
        revisions.push(put(&client, &format!("stuck/{n}"), &value).await);
    }
    let grown = cluster.resident_bytes(0).saturating_sub(before);
    let without = before.saturating_sub(began);
    eprintln!(
        "the member grew by {grown} bytes while {UNREAD_BYTES} bytes of events were not read, and by \
            {without} when nobody wanted them"
    );
    until("the stuck watch to be given up", PATIENCE, || async {
        (cluster.status(0).await?.watches == 0).then_some(())
    })
    .await;

    let mut seen = Vec::new();
    let ended = loop {
        match stuck.next_of(1).await.expect("the stream goes on") {
            Update::Events(events) => seen.extend(events.events.iter().map(|event| event.revision)),
            Update::Cancelled(ended) => break ended,
            other => panic!("{other:?}"),
        }
    };
    let held: u64 = seen.len() as u64 * VALUE_BYTES as u64;
    eprintln!("{held} bytes were on their way");
    assert!(held <= STUCK_BYTES, "{held} bytes were kept for it");
    let failure = ended.failure.expect("nobody cancelled it");
    assert_eq!(failure.reason, "WATCH_TOO_SLOW", "{}", failure.message);
    assert_eq!(seen, revisions[..seen.len()], "what it got is whole and in order");
    let (behind, next) = (seen.last().map_or(from, |last| last + 1), revisions[seen.len()]);
    assert!(
        (behind..=next).contains(&ended.resume_revision),
        "to come back at {} leaves a gap before {next}",
        ended.resume_revision
    );

    stuck.create(create_from(2, "kv", "stuck/", true, ended.resume_revision)).await;
    created(&mut stuck, 2).await;
    while seen.len() < revisions.len() {
        match stuck.next_of(2).await.expect("the stream goes on") {
            Update::Events(events) => seen.extend(events.events.iter().map(|event| event.revision)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, revisions, "come back, it has everything once");
    drop(stuck);
    no_watch_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_read_ends_the_stream_that_it_came_on_and_no_other() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let mut good = stream(&cluster).await;
    good.create(create(1, "kv", "", true)).await;
    created(&mut good, 1).await;
    let empty = stream(&cluster).await;
    empty.send_empty().await;
    let mut large = stream(&cluster).await;
    large.create(create(1, "kv", &"x".repeat(5 * 1_024 * 1_024), false)).await;
    let ended =
        tokio::time::timeout(Duration::from_secs(20), async { while large.next().await.is_ok() {} }).await;
    assert!(ended.is_ok(), "a request that is too large ends the stream that it came on");
    let revision = put(&client, "a", "1").await;
    let Update::Events(events) = good.next_of(1).await.expect("the stream goes on") else {
        panic!("no event")
    };
    assert_eq!(events.events[0].revision, revision);
    drop((good, empty, large));
    no_watch_left(&cluster).await;
}
