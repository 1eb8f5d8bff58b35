//! A good watch, resumed and with a revision in parts, and one change for each way to be wrong.
use super::*;

/// What a topic is set to; `None`: it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    to: Option<u32>,
    is_create: bool,
    previous: Option<u32>,
}

fn claims(change: &Change) -> Claims<u32> {
    let Change { to, is_create, previous } = change.clone();
    Claims { value: to, is_create: Some(is_create), previous: Some(previous) }
}

fn event(revision: u64, number: u32, topic: &str, to: Option<u32>, previous: Option<u32>) -> Event<Change> {
    let payload = Change { to, is_create: previous.is_none(), previous };
    Event { revision, number, space: "kv".into(), topic: topic.into(), payload }
}

fn truth() -> Truth<Change> {
    let mut events = vec![
        event(2, 0, "a/1", Some(1), None),
        event(4, 0, "a/1", Some(2), Some(1)),
        event(5, 0, "b/1", Some(1), None),
        event(7, 0, "a/2", Some(1), None),
        event(7, 1, "a/3", Some(1), None),
        event(7, 2, "b/2", Some(1), None),
        event(7, 3, "a/4", Some(1), None),
        event(9, 0, "a/1", None, Some(2)),
        event(12, 0, "a/2", Some(5), Some(1)),
    ];
    events.push(Event { space: "other".into(), ..event(12, 0, "a/9", Some(1), None) });
    Truth { events, compacted: BTreeMap::from([("kv".into(), 3)]) }
}

/// The true event at a position.
fn at(revision: u64, number: u32) -> Event<Change> {
    let found = truth().events.into_iter().find(|event| event.position() == (revision, number));
    found.expect("it is in the truth")
}

fn update(positions: &[(u64, u32)], partial: bool) -> Seen<Change> {
    let events = positions.iter().map(|(revision, number)| at(*revision, *number)).collect();
    Seen::Events { events, partial }
}

/// A watch on `a/` that begins after revision 3, gets revision 7 in parts, is cancelled, and is
/// resumed.
fn good() -> Watch<Change> {
    let first = vec![
        Seen::Created { revision: 3 },
        update(&[(4, 0)], false),
        Seen::Progress { revision: 6 },
        update(&[(7, 0)], true),
        update(&[(7, 1), (7, 3)], false),
        Seen::Cancelled { resume: Some(8), compacted: None },
    ];
    let second = vec![
        Seen::Created { revision: 7 },
        update(&[(9, 0), (12, 0)], false),
        Seen::Progress { revision: 20 },
        Seen::Progress { revision: 20 },
    ];
    let streams = vec![
        Stream { start: Start::Now { acknowledged: 3 }, seen: first },
        Stream { start: Start::Revision(8), seen: second },
    ];
    Watch { name: "w".into(), space: "kv".into(), topic: Topic::Prefix("a/".into()), streams, must_reach: 12 }
}

fn verdict(change: impl FnOnce(&mut Truth<Change>, &mut Watch<Change>)) -> Result<(), Violation> {
    let (mut truth, mut watch) = (truth(), good());
    change(&mut truth, &mut watch);
    check(&truth, &[watch], claims)
}

#[track_caller]
fn assert_wrong(property: Property, names: &str, change: impl FnOnce(&mut Watch<Change>)) {
    let violation = verdict(|_, watch| change(watch)).expect_err("a violation");
    assert_eq!(violation.property, property, "{violation}");
    assert!(violation.why.contains(names), "{names} is not named: {violation}");
    assert!(violation.why.contains("watch w"), "{violation}");
}

fn first(watch: &mut Watch<Change>) -> &mut Vec<Seen<Change>> {
    &mut watch.streams[0].seen
}

fn second(watch: &mut Watch<Change>) -> &mut Vec<Seen<Change>> {
    &mut watch.streams[1].seen
}

#[test]
fn a_watch_that_got_everything_is_good() {
    assert_eq!(verdict(|_, _| ()), Ok(()));
    assert_eq!(check(&truth(), &[good()], no_claims), Ok(()));
    assert_eq!(check(&truth(), &[], no_claims), Ok(()));
}

#[test]
fn a_stream_that_breaks_within_a_revision_is_resumed_before_it() {
    let verdict = verdict(|_, watch| {
        first(watch).truncate(4);
        watch.streams[1].start = Start::Revision(7);
        *second(watch) =
            vec![Seen::Created { revision: 6 }, update(&[(7, 0), (7, 1), (7, 3), (9, 0), (12, 0)], false)];
    });
    assert_eq!(verdict, Ok(()));
}

#[test]
fn an_update_without_events_ends_a_revision_of_which_no_more_is_wanted() {
    let verdict = verdict(|_, watch| {
        watch.topic = Topic::Exact("a/2".into());
        let empty = Seen::Events { events: Vec::new(), partial: false };
        *first(watch) = vec![Seen::Created { revision: 3 }, update(&[(7, 0)], true), empty];
        *second(watch) = vec![Seen::Created { revision: 7 }, update(&[(12, 0)], false)];
    });
    assert_eq!(verdict, Ok(()));
}

#[test]
fn ordered() {
    assert_wrong(Property::Ordered, "revision: 9", |watch| {
        second(watch)[1] = update(&[(12, 0), (9, 0)], false);
    });
    assert_wrong(Property::Ordered, "number: 1", |watch| {
        first(watch)[4] = update(&[(7, 3), (7, 1)], false);
    });
    assert_wrong(Property::Ordered, "revision: 9", |watch| {
        second(watch).splice(1..2, [update(&[(12, 0)], false), update(&[(9, 0)], false)]);
    });
}

#[test]
fn unique() {
    assert_wrong(Property::Unique, "revision: 9", |watch| second(watch)[2] = update(&[(9, 0)], false));
}

#[test]
fn atomic() {
    assert_wrong(Property::Atomic, "ended revision 7", |watch| first(watch)[3] = update(&[(7, 0)], false));
    assert_wrong(Property::Atomic, "revision 4 goes on", |watch| {
        first(watch)[1] = update(&[(4, 0)], true);
        first(watch).remove(2);
    });
    assert_wrong(Property::Atomic, "no events", |watch| first(watch)[2] = update(&[], false));
    assert_wrong(Property::Atomic, "revision 7 goes on", |watch| first(watch)[4] = update(&[], true));
}

#[test]
fn reliable() {
    assert_wrong(Property::Reliable, "revision: 7, number: 1", |watch| {
        first(watch)[4] = update(&[(7, 3)], false);
    });
    assert_wrong(Property::Reliable, "revision: 7, number: 3", |watch| {
        first(watch)[4] = update(&[(7, 1)], false);
        first(watch).truncate(5);
    });
    assert_wrong(Property::Reliable, "lacks", |watch| second(watch)[1] = update(&[(9, 0)], false));
    assert_wrong(Property::Reliable, "was to reach 12", |watch| {
        *second(watch) = vec![Seen::Created { revision: 7 }, update(&[(9, 0)], false)];
    });
    assert_wrong(Property::Reliable, "never began", |watch| watch.streams.clear());
    assert_wrong(Property::Reliable, "never happened", |watch| {
        second(watch)[1] = Seen::Events { events: vec![Event { revision: 8, ..at(9, 0) }], partial: false };
    });
    assert_wrong(Property::Reliable, "happened otherwise", |watch| {
        let payload = Change { to: Some(3), ..at(9, 0).payload };
        second(watch)[1] = Seen::Events { events: vec![Event { payload, ..at(9, 0) }], partial: false };
    });
}

#[test]
fn resumable() {
    assert_wrong(Property::Resumable, "after revision 2", |watch| {
        first(watch)[0] = Seen::Created { revision: 2 };
    });
    assert_wrong(Property::Resumable, "revision: 9", |watch| second(watch)[1] = update(&[(12, 0)], false));
    assert_wrong(Property::Resumable, "after revision 8", |watch| {
        second(watch)[0] = Seen::Created { revision: 8 };
    });
    assert_wrong(Property::Resumable, "is skipped", |watch| {
        watch.streams[1].start = Start::Revision(10);
        second(watch)[0] = Seen::Created { revision: 9 };
    });
    assert_wrong(Property::Resumable, "and not", |watch| second(watch)[1] = update(&[(7, 0)], false));
    assert_wrong(Property::Resumable, "3 is compacted", |watch| watch.streams[1].start = Start::Oldest);
    assert_wrong(Property::Resumable, "created twice", |watch| {
        second(watch)[2] = Seen::Created { revision: 7 };
    });
    assert_wrong(Property::Resumable, "before it was created", |watch| drop(second(watch).remove(0)));
}

#[test]
fn bookmarkable() {
    assert_wrong(Property::Bookmarkable, "mark at 12 came", |watch| {
        let late = [Seen::Progress { revision: 12 }, update(&[(9, 0)], false)];
        second(watch).splice(1..2, late);
    });
    assert_wrong(Property::Bookmarkable, "a mark at 11", |watch| {
        second(watch)[2] = Seen::Progress { revision: 11 };
    });
    assert_wrong(Property::Bookmarkable, "a mark at 19", |watch| {
        second(watch)[3] = Seen::Progress { revision: 19 };
    });
    assert_wrong(Property::Bookmarkable, "revision 7 is not whole", |watch| {
        first(watch).insert(4, Seen::Progress { revision: 7 });
    });
}

#[test]
fn filtered() {
    assert_wrong(Property::Filtered, "b/1", |watch| first(watch)[1] = update(&[(4, 0), (5, 0)], false));
    assert_wrong(Property::Filtered, "other", |watch| {
        let stray = Event { space: "other".into(), ..at(12, 0) };
        second(watch)[1] = Seen::Events { events: vec![stray], partial: false };
    });
    assert_wrong(Property::Filtered, "a/1", |watch| watch.topic = Topic::Exact("a".into()));
}

/// The log itself holds the wrong claim, and the watch delivers it faithfully.
#[test]
fn claims_of_an_event_are_those_of_the_replayed_topic() {
    let wrong = |change: fn(&mut Change)| {
        let change_both = |truth: &mut Truth<Change>, watch: &mut Watch<Change>| {
            change(&mut truth.events[1].payload);
            let Seen::Events { events, .. } = &mut first(watch)[1] else { panic!("an update") };
            change(&mut events[0].payload);
        };
        verdict(change_both).expect_err("a violation")
    };
    let violation = wrong(|change| change.is_create = true);
    assert_eq!(violation.property, Property::IsCreate, "{violation}");
    assert!(violation.why.contains("Some(1)") && violation.why.contains("revision: 4"), "{violation}");
    let violation = wrong(|change| change.previous = Some(9));
    assert_eq!(violation.property, Property::PreviousValue, "{violation}");
    assert!(violation.why.contains("Some(9)"), "{violation}");
}

#[test]
fn a_watch_that_ends_tells_rightly_where_to_come_back() {
    let end = |resume| Seen::Cancelled { resume, compacted: None };
    assert_wrong(Property::Ended, "would lack", |watch| first(watch)[5] = end(Some(10)));
    assert_wrong(Property::Ended, "come back at 7", |watch| first(watch)[5] = end(Some(7)));
    assert_wrong(Property::Ended, "after its end", |watch| {
        first(watch).push(Seen::Progress { revision: 9 });
    });
}

#[test]
fn a_watch_ends_by_compaction_only_if_it_wanted_what_is_forgotten() {
    let compacted = |through, resume| Seen::Cancelled { resume: Some(resume), compacted: Some(through) };
    let refused = |seen| {
        move |truth: &mut Truth<Change>, watch: &mut Watch<Change>| {
            truth.compacted.insert("kv".into(), 9);
            watch.streams[1] = Stream { start: Start::Revision(8), seen: vec![seen] };
            let seen = vec![Seen::Created { revision: 9 }, update(&[(12, 0)], false)];
            watch.streams.push(Stream { start: Start::Revision(10), seen });
        }
    };
    assert_eq!(verdict(refused(compacted(9, 10))), Ok(()));
    for wrong in [compacted(10, 11), compacted(9, 11), compacted(7, 8)] {
        let violation = verdict(refused(wrong)).expect_err("a violation");
        assert_eq!(violation.property, Property::Ended, "{violation}");
    }
    let skips = |truth: &mut Truth<Change>, watch: &mut Watch<Change>| {
        refused(compacted(8, 9))(truth, watch);
    };
    let violation = verdict(skips).expect_err("a violation");
    assert_eq!(violation.property, Property::Resumable, "{violation}");
}

#[test]
fn a_truth_out_of_order_is_the_fault_of_the_test() {
    let violation = verdict(|truth, _| truth.events.swap(0, 1)).expect_err("a violation");
    assert_eq!(violation.property, Property::WellFormed);
}
