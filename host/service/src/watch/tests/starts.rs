//! Where watches begin: now, at a revision, with everything, with a query; and why they do not.
use synod_abi::{Revision, SpaceId, TopicFilter};
use synod_machine::Caller;

use super::{exact, prefix};
use crate::failure::{CallFailure, Reason, Value};
use crate::member::{Args, QueryOptions};
use crate::testing::cluster::{Cluster, TIMEOUT, look};
use crate::testing::oracle::Oracle;
use crate::testing::watching::{self, TestStream, Told, watch};
use crate::watch::{EventForm, WatchId};
use crate::{NewWatch, WatchStart};

fn at(revision: u64) -> WatchStart {
    WatchStart::Revision(Revision(revision))
}

#[test]
fn from_now_is_behind_whatever_was_acknowledged_anywhere() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(2, true);
    let before = cluster.emit(1, "counter", &["a"], 0);
    let stream = TestStream::on(&cluster, 2);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    assert_eq!(stream.told(1), [], "it waits for what it must be behind");
    cluster.hold_apply(2, false);
    cluster.run();
    assert_eq!(stream.told(1), [Told::Created(before, SpaceId(1), None)]);
    let after = cluster.emit(1, "counter", &["a"], 0);
    cluster.run();
    assert_eq!(stream.events(1).iter().map(|seen| seen.revision).collect::<Vec<_>>(), [after.0]);
}

#[test]
fn from_a_revision_it_goes_on_there_on_another_member() {
    let mut cluster = Cluster::ready(2);
    let revisions: Vec<_> =
        (0..300).map(|number| cluster.emit(1 + number % 2, "counter", &["a", "b"], 100).0).collect();
    cluster.run();
    let oracle = Oracle::of(&cluster);
    for member in [1, 2] {
        let stream = TestStream::on(&cluster, member);
        for (id, from) in (1..).zip([1, revisions[0], revisions[150], revisions[299], revisions[299] + 1]) {
            stream.create(&mut cluster, watch(id, exact("b"), at(from)));
            let told = stream.told(id);
            assert_eq!(told[0], Told::Created(Revision(from - 1), SpaceId(1), None));
            assert_eq!(watching::events(told), oracle.matching(&exact("b"), Revision(from - 1)));
        }
    }
}

#[test]
fn the_future_is_waited_for_unless_the_cluster_is_behind_it() {
    let mut cluster = Cluster::ready(3);
    let last = cluster.emit(1, "counter", &["a"], 0).0;
    cluster.hold_apply(2, true);
    let next = cluster.emit(1, "counter", &["a"], 0).0;
    assert_eq!(next, last + 1);
    let stream = TestStream::on(&cluster, 2);
    for (id, from) in [(1, next + 1), (2, next + 2), (3, u64::MAX)] {
        stream.create(&mut cluster, watch(id, exact("a"), at(from)));
    }
    assert!(stream.drain().is_empty());
    cluster.hold_apply(2, false);
    cluster.run();
    let updates = stream.drain();
    let told =
        |id| updates.iter().cloned().filter_map(|update| watching::told(update, id)).collect::<Vec<_>>();
    assert_eq!(told(1), [Told::Created(Revision(next), SpaceId(1), None)]);
    for id in [2, 3] {
        assert_eq!(watching::cancelled(&told(id)).0.reason, Reason::RevisionNotReached);
    }
}

#[test]
fn a_query_comes_first_and_nothing_is_missed_behind_it() {
    let mut cluster = Cluster::ready(3);
    cluster.emit(1, "counter", &["k"], 0);
    for round in 0..30 {
        let member = 1 + round % 3;
        let mut writes = Vec::new();
        for write in 0..5 {
            writes.push(cluster.start_add(1 + (round + write) % 3, "k", 1));
            writes.push(cluster.start_emit(1 + (round + write) % 3, "counter", &["k", "l"], 0));
        }
        let stream = TestStream::on(&cluster, member);
        let (query, args) = ("get".to_owned(), Args::Json("{\"key\":\"k\"}".into()));
        let start = WatchStart::Query { query, args, options: QueryOptions::default() };
        let _created = stream.start(&cluster, watch(1, exact("k"), start));
        cluster.sim.settle();
        for write in 0..5 {
            writes.push(cluster.start_add(1 + (round + write) % 3, "k", 1));
            writes.push(cluster.start_emit(1 + (round + write) % 3, "counter", &["k", "l"], 0));
        }
        cluster.run();
        assert!(writes.iter_mut().all(|write| look(write).is_some_and(|answer| answer.is_ok())));
        let told = stream.told(1);
        let Told::Created(revision, _, Some(Value::Json(sum))) = &told[0] else { panic!("{told:?}") };
        let adds = cluster.revisions_of_adds();
        assert_eq!(
            *sum,
            format!("\"{}\"", adds.iter().filter(|add| *add <= revision).count()),
            "the state of that revision"
        );
        assert_eq!(watching::events(told.clone()), Oracle::of(&cluster).matching(&exact("k"), *revision));
    }
}

#[test]
fn a_query_that_fails_is_no_watch() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    for (id, query, args, reason) in
        [(1, "add", "{}", Reason::UnknownQuery), (2, "get", "{\"kay\":1}", Reason::InvalidArguments)]
    {
        let start = WatchStart::Query {
            query: query.into(),
            args: Args::Json(args.into()),
            options: QueryOptions::default(),
        };
        stream.create(&mut cluster, watch(id, exact("k"), start));
        assert_eq!(watching::cancelled(&stream.told(id)).0.reason, reason);
    }
    assert_eq!(cluster.member(1).status().expect("a status").watches, 0);
}

#[test]
fn what_is_forgotten_is_said_with_where_to_go_on() {
    let mut cluster = Cluster::ready(2);
    let revisions: Vec<_> = (0..10).map(|_| cluster.emit(1, "counter", &["a", "b"], 0)).collect();
    let member = cluster.member(2);
    let through = revisions[4];
    let done = cluster
        .wait(
            async move { member.compact_events("counter", Some(through), Caller::default(), TIMEOUT).await },
        )
        .expect("done");
    assert_eq!((done.through, done.events), (through, 10));
    let stream = TestStream::on(&cluster, 2);
    for (id, start) in [(1, at(1)), (2, at(through.0))] {
        stream.create(&mut cluster, watch(id, exact("a"), start));
        let (rejected, resume, compacted) = watching::cancelled(&stream.told(id));
        assert_eq!(
            (rejected.reason, resume, compacted),
            (Reason::Compacted, Some(Revision(through.0 + 1)), Some(through))
        );
    }
    let expected = Oracle::of(&cluster).matching(&exact("a"), through);
    for (id, start) in [(3, at(through.0 + 1)), (4, WatchStart::Oldest)] {
        stream.create(&mut cluster, watch(id, exact("a"), start));
        let told = stream.told(id);
        assert_eq!(told[0], Told::Created(through, SpaceId(1), None));
        assert_eq!(watching::events(told), expected);
    }
    let member = cluster.member(1);
    let all = cluster
        .wait(async move { member.compact_events("counter", None, Caller::default(), TIMEOUT).await })
        .expect("done");
    assert_eq!(all.events, 10);
    assert_eq!(cluster.head(1).events, 0);
}

#[test]
fn nonsense_is_refused_with_its_reason_and_other_watches_go_on() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    stream.create(&mut cluster, watch(1, TopicFilter::all(), WatchStart::Now));
    assert_eq!(stream.told(1).len(), 1);
    let now = |filter| watch(9, filter, WatchStart::Now);
    let long = "x".repeat(synod_abi::limits::EVENT_TOPIC_BYTES + 1);
    let cases = [
        (NewWatch { space: "No Name".into(), ..now(exact("a")) }, Reason::InvalidName),
        (NewWatch { space: "nowhere".into(), ..now(exact("a")) }, Reason::UnknownSpace),
        (
            NewWatch { space: "nowhere".into(), space_id: Some(SpaceId(1)), ..now(exact("a")) },
            Reason::SpaceDeleted,
        ),
        (NewWatch { space_id: Some(SpaceId(7)), ..now(exact("a")) }, Reason::SpaceDeleted),
        (now(exact("")), Reason::InvalidTopic),
        (now(exact(&long)), Reason::InvalidTopic),
        (now(prefix(&long)), Reason::InvalidTopic),
        (watch(9, exact("a"), at(0)), Reason::InvalidRevision),
        (NewWatch { form: EventForm::Postcard, signature: 77, ..now(exact("a")) }, Reason::SchemaMismatch),
    ];
    for (new, reason) in cases {
        stream.create(&mut cluster, new.clone());
        let told = stream.told(9);
        assert_eq!(watching::cancelled(&told).0.reason, reason, "{new:?}");
        assert_eq!(told.len(), 1);
    }
    stream.create(&mut cluster, watch(0, exact("a"), WatchStart::Now));
    assert_eq!(watching::cancelled(&stream.told(0)).0.reason, Reason::InvalidRequest);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    assert_eq!(watching::cancelled(&stream.told(1)).0.reason, Reason::WatchExists);
    stream.stream.cancel(WatchId(5));
    assert_eq!(watching::cancelled(&stream.told(5)).0.reason, Reason::UnknownWatch);
    let member = cluster.member(1);
    let described =
        cluster.wait(async move { member.describe_space("counter", TIMEOUT).await }).expect("a space");
    let signature = described.entry.schema.emits.as_ref().expect("it emits").signature;
    stream.create(
        &mut cluster,
        NewWatch { form: EventForm::Postcard, signature, ..watch(2, exact("a"), WatchStart::Now) },
    );
    assert!(matches!(stream.told(2)[..], [Told::Created(..)]));
    cluster.emit(1, "counter", &["a"], 0);
    assert_eq!(stream.events(1).len(), 1);
}

#[test]
fn a_cancelled_watch_says_where_it_was_and_its_number_is_free() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    let first = cluster.emit(1, "counter", &["a"], 0);
    cluster.run();
    stream.stream.cancel(WatchId(1));
    let told = stream.told(1);
    assert_eq!(
        told.last(),
        Some(&Told::Cancelled(None, Some(first), None)),
        "what was not taken comes again"
    );
    assert_eq!(watching::events(told), []);
    stream.create(&mut cluster, watch(1, exact("a"), at(first.0)));
    assert_eq!(stream.events(1).len(), 1);
    stream.stream.cancel(WatchId(1));
    assert_eq!(stream.told(1), [Told::Cancelled(None, Some(Revision(first.0 + 1)), None)]);
    cluster.hold_commits(true);
    let _pending = stream.start(&cluster, watch(2, exact("a"), WatchStart::Now));
    cluster.run();
    stream.stream.cancel(WatchId(2));
    assert_eq!(stream.told(2), []);
    cluster.hold_commits(false);
    cluster.run();
    assert!(matches!(stream.told(2)[..], [Told::Cancelled(None, Some(_), None)]));
    assert_eq!(cluster.member(1).status().expect("a status").watches, 0);
}

#[test]
fn a_watch_that_cannot_be_confirmed_in_time_is_unavailable() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    cluster.hold_commits(true);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    cluster.advance(TIMEOUT);
    assert!(matches!(
        stream.told(1)[..],
        [Told::Cancelled(Some(CallFailure::Unavailable { .. }), None, None)]
    ));
}
