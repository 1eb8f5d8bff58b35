//! Where watches start, held against a replay of the log, and why they may not. The simple cases
//! are scripts.
use synod_abi::{Revision, SpaceId, TopicFilter};

use super::{exact, prefix};
use crate::failure::{Reason, Value};
use crate::member::{Args, QueryOptions};
use crate::testing::cluster::{Cluster, TIMEOUT, look};
use crate::testing::oracle::Oracle;
use crate::testing::watching::{self, TestStream, Told, watch};
use crate::watch::{EventForm, WatchId};
use crate::{Consistency, NewWatch, WatchStart};

fn at(revision: u64) -> WatchStart {
    WatchStart::Revision(Revision(revision))
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
    assert_eq!(cluster.member(1).status().watches, 0);
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
    let described = cluster
        .wait(async move { member.describe_space("counter", Consistency::Linearizable, TIMEOUT).await })
        .expect("a space");
    let signature = described.entry.schema.emits.as_ref().expect("it emits").signature;
    stream.create(
        &mut cluster,
        NewWatch { form: EventForm::Postcard, signature, ..watch(2, exact("a"), WatchStart::Now) },
    );
    assert!(matches!(stream.told(2)[..], [Told::Created(..)]));
    cluster.emit(1, "counter", &["a"], 0);
    assert_eq!(stream.events(1).len(), 1);
}
