//! What watches get: every event they want, once, in order, those of a revision together, in the
//! form that they asked for.
use synod_abi::{Revision, TopicFilter, limits};
use synod_machine::{Binding, Caller, Emitted, OnFailure};

use super::{exact, prefix};
use crate::failure::Reason;
use crate::progress::lock;
use crate::testing::cluster::{Cluster, TIMEOUT, look};
use crate::testing::oracle::Oracle;
use crate::testing::watching::{self, TestStream, Told, read, told, watch};
use crate::testing::{recipe, watching::encoded};
use crate::watch::{EventForm, PROGRESS_INTERVAL, UPDATE_BYTES, WatchId, WatchUpdate};
use crate::{CallFailure, Consistency, NewWatch, WatchStart};

#[test]
fn every_watch_gets_what_it_wants_once_and_in_order_on_every_member() {
    let mut cluster = Cluster::ready(3);
    let filters = [exact("a"), exact("b/c"), prefix("b/"), prefix("b"), TopicFilter::all(), exact("nothing")];
    let streams: Vec<_> = (1..=3).map(|member| TestStream::on(&cluster, member)).collect();
    for stream in &streams {
        for (id, filter) in (1..).zip(&filters) {
            stream.create(&mut cluster, watch(id, filter.clone(), WatchStart::Now));
        }
        assert_eq!(stream.drain().len(), filters.len());
    }
    let from = cluster.head(1).revision;
    cluster.emit(1, "counter", &["a", "b", "b/c", "a", "b/d"], 0);
    cluster.emit(2, "counter", &["b/c"], 0);
    cluster.emit(3, "counter", &["c", "a"], 0);
    cluster.run();
    let oracle = Oracle::of(&cluster);
    for stream in &streams {
        let updates = stream.drain();
        for (id, filter) in (1..).zip(&filters) {
            let seen = watching::events(
                updates.iter().cloned().filter_map(|update| watching::told(update, id)).collect(),
            );
            assert_eq!(seen, oracle.matching(filter, from), "{filter}");
        }
    }
    assert_eq!(oracle.matching(&TopicFilter::all(), from).len(), 8);
}

#[test]
fn a_client_that_reads_at_once_is_woken_for_all_of_it() {
    let mut cluster = Cluster::ready(2);
    let stream = TestStream::on(&cluster, 2);
    stream.create(&mut cluster, watch(1, prefix("x/"), WatchStart::Now));
    let all = stream.follow(&cluster);
    for number in 0..200 {
        cluster.emit(1 + number % 2, "counter", &["x/a", "y", "x/b"], 10);
    }
    cluster.run();
    let told = lock(&all).iter().cloned().filter_map(|update| told(update, 1)).collect();
    assert_eq!(watching::events(told), Oracle::of(&cluster).matching(&prefix("x/"), Revision(0)));
}

#[test]
fn an_event_is_encoded_once_for_each_form_however_many_watch_it() {
    let mut cluster = Cluster::ready(1);
    let streams: Vec<_> = (0..20).map(|_| TestStream::on(&cluster, 1)).collect();
    for stream in &streams {
        for id in 1..=50 {
            let form = if id % 2 == 0 { EventForm::Json } else { EventForm::Postcard };
            stream.create(&mut cluster, NewWatch { form, ..watch(id, exact("a"), WatchStart::Now) });
        }
    }
    let from = cluster.emit(1, "counter", &["a", "a", "b"], 4);
    cluster.run();
    let before = encoded();
    for stream in &streams {
        let updates = stream.drain();
        assert!((1..=50).all(|id| {
            watching::events(updates.iter().cloned().filter_map(|update| told(update, id)).collect()).len()
                == 2
        }));
    }
    assert_eq!(encoded() - before, 4);
    let late: Vec<_> = (0..20).map(|_| TestStream::on(&cluster, 1)).collect();
    cluster.restart(1);
    drop((streams, late));
    let late: Vec<_> = (0..20).map(|_| TestStream::on(&cluster, 1)).collect();
    let before = encoded();
    for stream in &late {
        stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Revision(from)));
        assert_eq!(stream.events(1).len(), 2);
    }
    assert_eq!(encoded() - before, 2, "from the store, too");
}

#[test]
fn what_comes_while_a_watch_is_in_hand_is_not_lost() {
    let mut cluster = Cluster::ready(1);
    let (stream, hub) = (TestStream::on(&cluster, 1), cluster.member(1).watch_hub().clone());
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    assert_eq!(stream.drain().len(), 1);
    let first = cluster.emit(1, "counter", &["a"], 0);
    cluster.run();
    let event = Oracle::of(&cluster).emitted.remove(0);
    let next = Revision(first.0 + 1);
    let now = cluster.member(1).deadline(std::time::Duration::ZERO);
    watching::while_encoding(move || {
        hub.applied(next, event.event.time, vec![Emitted { revision: next, ..event }], &[]);
        assert!(!hub.step(now));
    });
    assert_eq!(stream.events(1).iter().map(|seen| seen.revision).collect::<Vec<_>>(), [first.0, next.0]);
}

#[test]
fn a_watch_that_is_cancelled_in_hand_says_where_it_was() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    assert_eq!(stream.drain().len(), 1);
    let revision = cluster.emit(1, "counter", &["a"], 0);
    cluster.run();
    let cancel = stream.stream.clone();
    watching::while_encoding(move || cancel.cancel(WatchId(1)));
    assert_eq!(stream.told(1), [Told::Cancelled(None, Some(revision), None)]);
}

#[test]
fn payloads_are_json_by_the_schema_or_postcard_as_they_are() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    stream.create(
        &mut cluster,
        NewWatch { form: EventForm::Postcard, ..watch(2, exact("a"), WatchStart::Now) },
    );
    cluster.emit(1, "counter", &["b", "a"], 3);
    cluster.run();
    let events: Vec<_> = stream
        .drain()
        .into_iter()
        .filter_map(|update| match update {
            WatchUpdate::Events { events, .. } => Some(read(&events[0])),
            _ => None,
        })
        .collect();
    assert_eq!(events[0].json.as_deref(), Some("{\"number\":1,\"pad\":\"BwcH\"}"));
    assert_eq!(events[1].postcard.as_deref(), Some([1, 3, 7, 7, 7].as_slice()));
}

#[test]
fn a_revision_that_is_too_large_for_an_update_comes_in_parts_that_nothing_interrupts() {
    let mut cluster = Cluster::ready(2);
    let (live, late) = (TestStream::on(&cluster, 1), TestStream::on(&cluster, 2));
    live.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    live.create(&mut cluster, watch(2, TopicFilter::all(), WatchStart::Now));
    let small = cluster.emit(1, "counter", &["a"], 1);
    for _ in 0..3 {
        let topics: Vec<_> = (0..4).flat_map(|_| ["a", "b"]).collect();
        cluster.emit(1, "counter", &topics, limits::EVENT_PAYLOAD_BYTES / 2 - 100);
    }
    cluster.emit(1, "counter", &["a", "a"], 1);
    late.create(&mut cluster, watch(1, exact("a"), WatchStart::Revision(small)));
    late.create(&mut cluster, watch(2, TopicFilter::all(), WatchStart::Oldest));
    let oracle = Oracle::of(&cluster);
    for (name, stream) in [("live", &live), ("late", &late)] {
        let updates = stream.drain();
        for (id, filter) in [(1, exact("a")), (2, TopicFilter::all())] {
            let told: Vec<_> =
                updates.iter().cloned().filter_map(|update| watching::told(update, id)).collect();
            assert_eq!(watching::events(told.clone()), oracle.matching(&filter, Revision(0)), "{name} {id}");
            let mut open = None;
            for told in told {
                let Told::Events(events, partial) = told else { continue };
                let (first, last) = (events.first().expect("events"), events.last().expect("events"));
                assert!(open.is_none_or(|open| open == first.revision), "{name} {id}");
                open = partial.then_some(last.revision);
            }
            assert_eq!(open, None);
        }
        for update in updates {
            if let WatchUpdate::Events { id, events, partial } = update {
                assert!(events.iter().map(bytes::Bytes::len).sum::<usize>() <= UPDATE_BYTES);
                assert!(id.0 == 2 || !partial, "four large events fit into one update");
            }
        }
    }
}

#[test]
fn the_hub_does_nothing_while_there_are_no_watches() {
    let mut cluster = Cluster::ready(2);
    let stream = TestStream::on(&cluster, 2);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    cluster.advance(PROGRESS_INTERVAL);
    assert!(matches!(stream.drain()[..], [_, WatchUpdate::Progress { .. }]));
    drop(stream);
    let polls = cluster.sim.polls();
    cluster.advance(std::time::Duration::from_secs(3_600));
    assert!(cluster.sim.polls() - polls < 20);
}

#[test]
fn a_failing_handler_rejects_the_call_and_is_named() {
    let mut cluster = Cluster::ready(1);
    let member = cluster.member(1);
    let bound = |on_failure| {
        let binding = Binding {
            handler: synod_abi::SpaceName::new("audit/main").expect("a name"),
            source: synod_abi::SpaceName::new("counter").expect("a name"),
            filter: TopicFilter::all(),
        };
        (binding, on_failure)
    };
    let ((binding, reject), (_, skip)) = (bound(OnFailure::Reject), bound(OnFailure::Skip));
    let again = binding.clone();
    let described = cluster
        .wait(async move {
            member.create_space("audit/main", "counter", None, Caller::default(), TIMEOUT).await?;
            assert!(!member.bind_space(binding.clone(), reject, Caller::default(), TIMEOUT).await?.already);
            member.describe_space("audit/main", Consistency::Linearizable, TIMEOUT).await
        })
        .expect("bound");
    assert_eq!(
        described.bindings.iter().map(|named| (&named.binding, named.on_failure)).collect::<Vec<_>>(),
        [(&again, reject)]
    );
    let stream = TestStream::on(&cluster, 1);
    stream.create(&mut cluster, watch(1, TopicFilter::all(), WatchStart::Now));
    stream.create(
        &mut cluster,
        NewWatch { space: "audit/main".into(), ..watch(2, TopicFilter::all(), WatchStart::Now) },
    );
    let mut failing = cluster.start_emit(1, "counter", &["good", "bad/one"], 0);
    cluster.run();
    let Some(Err(CallFailure::Rejected(rejected))) = look(&mut failing) else { panic!("not rejected") };
    assert_eq!((rejected.reason, rejected.fault), (Reason::HandlerFailed, Some(synod_abi::Fault::Trap)));
    assert!(rejected.message.contains("`audit/main`"), "{}", rejected.message);
    cluster.emit(1, "counter", &["good"], 0);
    let member = cluster.member(1);
    cluster
        .wait(async move { member.bind_space(again, skip, Caller::default(), TIMEOUT).await })
        .expect("bound again");
    cluster.emit(1, "counter", &["bad/two", "fine"], 0);
    let updates = stream.drain();
    let topics = |id| {
        let told = updates.iter().cloned().filter_map(|update| told(update, id)).collect();
        watching::events(told).into_iter().map(|seen| seen.topic).collect::<Vec<_>>()
    };
    assert_eq!(topics(1), ["good", "bad/two", "fine"]);
    assert_eq!(topics(2), ["heard/good", "heard/fine"]);
    let member = cluster.member(1);
    let described = cluster
        .wait(async move { member.describe_space("audit/main", Consistency::Linearizable, TIMEOUT).await })
        .expect("described");
    assert_eq!((described.log.events, described.failures.map(|failures| failures.count)), (2, Some(1)));
}

#[test]
fn a_send_that_fails_rejects_the_call_and_names_where_it_went() {
    let mut cluster = Cluster::ready(1);
    let member = cluster.member(1);
    let send = |space: &str, n: u64| {
        let (member, args) =
            (member.clone(), crate::Args::Json(format!("{{\"space\":{space:?},\"key\":\"k\",\"n\":{n}}}")));
        cluster
            .sim
            .start(async move { member.call("counter", "send", args, Caller::default(), TIMEOUT).await })
    };
    let (mut nowhere, mut refused) = (send("nowhere", 1), send("counter", recipe::MOST + 1));
    let mut sent = send("counter", 5);
    cluster.run();
    for (pending, name) in [(&mut nowhere, "no such space"), (&mut refused, "`counter`")] {
        let Some(Err(CallFailure::Rejected(rejected))) = look(pending) else { panic!("not rejected") };
        assert_eq!(rejected.reason, Reason::SendFailed);
        assert!(rejected.message.contains(name), "{}", rejected.message);
    }
    assert!(matches!(look(&mut sent), Some(Ok(_))));
    assert_eq!(cluster.number(1, "k"), 5);
}
