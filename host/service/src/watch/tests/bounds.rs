//! Many watches, transports that take nothing, floods: everything is bounded, and nothing remains
//! in memory.
use std::time::Duration;

use synod_abi::{Revision, TopicFilter, limits};

use super::{exact, prefix};
use crate::WatchStart;
use crate::failure::Reason;
use crate::testing::cluster::{Cluster, look};
use crate::testing::oracle::Oracle;
use crate::testing::watching::{self, Pulled, TestStream, Told, watch};
use crate::watch::{WATCH_CREATES, WATCH_STUCK, WATCH_UNREAD_BYTES, WatchId, WatchUpdate};

/// Topics for one command that emits about half a megabyte.
const HALF_A_MEGABYTE: [&str; 2] = ["a", "a"];
const LARGE: usize = limits::EVENT_PAYLOAD_BYTES - 64;

#[test]
fn ten_thousand_watches_on_one_stream_get_what_is_theirs_and_leave_nothing() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    let mut created = 0;
    for first in (1..=10_000).step_by(WATCH_CREATES) {
        let last = (first + WATCH_CREATES as u64 - 1).min(10_000);
        let _pending: Vec<_> = (first..=last)
            .map(|id| stream.start(&cluster, watch(id, exact(&format!("topic-{id}")), WatchStart::Now)))
            .collect();
        cluster.run();
        created += stream.drain().len();
    }
    assert_eq!((created, cluster.member(1).status().watches), (10_000, 10_000));
    for id in [1, 77, 9_999, 10_000] {
        cluster.emit(1, "counter", &["other", &format!("topic-{id}"), "topic"], 0);
        cluster.run();
        match &stream.drain()[..] {
            [WatchUpdate::Events { id: told, events, partial: false }] => {
                assert_eq!((told.0, events.len()), (id, 1))
            }
            other => panic!("{other:?}"),
        }
    }
    let again = stream.clone();
    drop(stream);
    assert_eq!(cluster.member(1).status().watches, 10_000);
    drop(again);
    assert_eq!(cluster.member(1).status().watches, 0);
    assert!(cluster.member(1).watch_hub().is_empty());
    cluster.emit(1, "counter", &["topic-1"], 0);
}

#[test]
fn a_stream_that_takes_nothing_is_cancelled_and_freed_and_another_goes_on() {
    let mut cluster = Cluster::ready(2);
    let (stuck, healthy) = (TestStream::on(&cluster, 1), TestStream::on(&cluster, 1));
    for id in 1..=100 {
        stuck.create(&mut cluster, watch(id, exact("a"), WatchStart::Now));
        assert_eq!(stuck.drain().len(), 1);
    }
    stuck.create(&mut cluster, watch(101, exact("quiet"), WatchStart::Now));
    assert_eq!(stuck.drain().len(), 1);
    healthy.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    let mut got = healthy.events(1);
    let first = cluster.emit(1, "counter", &HALF_A_MEGABYTE, LARGE);
    let count = WATCH_UNREAD_BYTES / (2 * LARGE) - 1;
    for _ in 0..count {
        cluster.emit(1, "counter", &HALF_A_MEGABYTE, LARGE);
        got.extend(healthy.events(1));
    }
    cluster.advance(2 * WATCH_STUCK);
    assert_eq!(cluster.member(1).status().watches, 102, "not too much yet");
    for _ in 0..2 {
        cluster.emit(1, "counter", &HALF_A_MEGABYTE, LARGE);
        got.extend(healthy.events(1));
    }
    cluster.advance(2 * WATCH_STUCK);
    assert_eq!(cluster.member(1).status().watches, 2, "what has nothing to take stays");
    let updates = stuck.drain();
    assert_eq!(updates.len(), 100);
    for id in [1, 50, 100] {
        let told: Vec<_> = updates.iter().cloned().filter_map(|update| watching::told(update, id)).collect();
        let (rejected, resume, _) = watching::cancelled(&told);
        assert_eq!((rejected.reason, resume), (Reason::WatchTooSlow, Some(first)));
        assert_eq!(rejected.limit.map(|limit| limit.value), Some(WATCH_UNREAD_BYTES as u64));
    }
    assert_eq!(got, Oracle::of(&cluster).matching(&exact("a"), Revision(0)));
    let resumed = TestStream::on(&cluster, 2);
    resumed.create(&mut cluster, watch(1, exact("a"), WatchStart::Revision(first)));
    assert_eq!(resumed.events(1), got);
    drop((stuck, healthy));
    assert!(cluster.member(1).watch_hub().is_empty());
}

#[test]
fn a_burst_is_no_reason_to_cancel_a_stream_that_takes() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    let kept = stream.follow(&cluster);
    let mut pending: Vec<_> =
        (0..40).map(|_| cluster.start_emit(1, "counter", &HALF_A_MEGABYTE, LARGE)).collect();
    cluster.run();
    cluster.advance(Duration::from_secs(1));
    assert!(pending.iter_mut().all(|one| look(one).is_some_and(|answer| answer.is_ok())));
    let told =
        crate::progress::lock(&kept).iter().cloned().filter_map(|update| watching::told(update, 1)).collect();
    assert_eq!(watching::events(told).len(), 80);
}

#[test]
fn what_the_hub_has_no_room_for_is_read_in_the_store() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    for (id, filter) in [(1, exact("a")), (2, prefix("b")), (3, exact("quiet"))] {
        stream.create(&mut cluster, watch(id, filter, WatchStart::Now));
    }
    assert_eq!(stream.drain().len(), 3);
    cluster.stop_tasks(1, true);
    let commands: Vec<_> =
        (0..100).map(|number| (["a", "b", "c"], if number % 2 == 0 { LARGE } else { 10 })).collect();
    cluster.append_emits(&commands);
    cluster.run();
    cluster.stop_tasks(1, false);
    cluster.run();
    let (updates, oracle) = (stream.drain(), Oracle::of(&cluster));
    assert_eq!(oracle.emitted.len(), 300);
    for (id, filter) in [(1, exact("a")), (2, prefix("b")), (3, exact("quiet"))] {
        let told = updates.iter().cloned().filter_map(|update| watching::told(update, id)).collect();
        assert_eq!(watching::events(told), oracle.matching(&filter, Revision(0)), "{filter}");
    }
    cluster.emit(1, "counter", &["a"], 0);
    cluster.run();
    assert_eq!(stream.events(1).len(), 1, "and goes on in memory");
}

#[test]
fn creating_waits_for_a_transport_that_does_not_take() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    let mut pending: Vec<_> = (1..=3 * WATCH_CREATES as u64)
        .map(|id| stream.start(&cluster, watch(id, exact("a"), WatchStart::Now)))
        .collect();
    cluster.run();
    assert_eq!(pending.iter_mut().filter_map(look).count(), WATCH_CREATES);
    assert_eq!(cluster.member(1).status().watches, WATCH_CREATES as u64);
    for round in 2..=3 {
        assert_eq!(stream.drain().len(), WATCH_CREATES);
        cluster.run();
        assert_eq!(cluster.member(1).status().watches, round * WATCH_CREATES as u64);
    }
}

#[test]
fn a_create_that_is_dropped_leaves_nothing() {
    let mut cluster = Cluster::ready(1);
    cluster.hold_commits(true);
    let stream = TestStream::on(&cluster, 1);
    let mut create =
        Box::pin(stream.stream.create(watch(1, exact("a"), WatchStart::Now), Duration::from_secs(5)));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(create.as_mut().poll(&mut cx).is_pending());
    drop(create);
    cluster.hold_commits(false);
    cluster.run();
    assert_eq!(stream.pull(), Pulled::Nothing);
    stream.create(&mut cluster, watch(1, exact("a"), WatchStart::Now));
    assert!(matches!(stream.told(1)[..], [Told::Created(..)]));
}

#[test]
fn floods_of_cancels_are_not_kept() {
    let cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    for id in 1..100_000 {
        stream.stream.cancel(WatchId(id));
    }
    assert_eq!(stream.drain().len(), crate::watch::WATCHES_PER_STREAM);
}

#[test]
fn more_watches_than_a_stream_may_have_are_refused() {
    let mut cluster = Cluster::ready(1);
    let stream = TestStream::on(&cluster, 1);
    let most = crate::watch::WATCHES_PER_STREAM as u64;
    let mut told = Vec::new();
    let _pending: Vec<_> = (1..=most + 1)
        .map(|id| stream.start(&cluster, watch(id, TopicFilter::all(), WatchStart::Now)))
        .collect();
    while told.len() < most as usize + 1 {
        cluster.run();
        told.extend(stream.drain());
    }
    let refused = told.iter().filter(|update| matches!(update, WatchUpdate::Cancelled { .. })).count();
    assert_eq!((refused, cluster.member(1).status().watches), (1, most));
}
