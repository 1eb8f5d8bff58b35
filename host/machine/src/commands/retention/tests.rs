//! What compactions take away and leave, and how much a space may be told to keep.
use synod_abi::{Revision, SpaceId, Time, limits};

use super::COMPACTION_BYTES;
use crate::rows::events::{EventLog, EventPosition, event_log, events};
use crate::testing::*;
use crate::*;

fn compacted(through: u64, events: u64, more: bool) -> Result<Reply, Rejection> {
    Ok(Reply::Compacted { through: Revision(through), events, more })
}

fn log(member: &Member) -> EventLog {
    event_log(&member.state, SpaceId(1)).unwrap()
}

/// Revisions and numbers of what is kept.
fn kept(member: &Member) -> Vec<(u64, u32)> {
    let limit = RangeLimit { rows: usize::MAX, bytes: usize::MAX };
    let page = events(&member.state, SpaceId(1), EventPosition::default(), limit).unwrap();
    page.events.iter().map(|(at, _)| (at.revision.0, at.number)).collect()
}

/// With events in revisions 5, 6 (two), 8 and 9, of times 5 to 9.
fn member() -> Member {
    let mut member = Member::formed();
    member.apply(5, [call(1, &[emit("t", "1")])]);
    member.apply(6, [call(1, &[emit("t", "2"), emit("t", "3")])]);
    member.apply(7, [call(1, &[])]);
    member.apply(8, [call(1, &[emit("t", "4")])]);
    member.apply(9, [call(1, &[emit("t", "5")])]);
    assert_eq!(kept(&member), [(5, 0), (6, 0), (6, 1), (8, 0), (9, 0)]);
    member
}

#[test]
fn whole_revisions_are_forgotten_up_to_the_wanted_one() {
    let mut member = member();
    assert_eq!(
        member.one(compact(1, 4)),
        compacted(0, 0, false),
        "nothing lies there, so nobody misses anything"
    );
    assert_eq!((log(&member).compacted, log(&member).events), (Revision(0), 5));
    assert_eq!(member.one(compact(1, 6)), compacted(6, 3, false));
    assert_eq!(kept(&member), [(8, 0), (9, 0)]);
    let EventLog { compacted: through, last, events, oldest_at, .. } = log(&member);
    assert_eq!((through, last, events, oldest_at), (Revision(6), Revision(9), 2, Some(Time(8))));
    for again in [0, 4, 6] {
        assert_eq!(member.one(compact(1, again)), compacted(6, 0, false), "they are forgotten already");
    }
    assert_eq!(member.one(compact(1, 7)), compacted(6, 0, false), "who wants what follows 6 gets it");
    assert_eq!(log(&member).oldest_at, Some(Time(8)));
}

#[test]
fn the_last_revision_to_forget_is_the_one_before_the_command() {
    let mut member = member();
    let revision = member.machine.head().revision.0;
    assert_eq!(member.one(compact(1, u64::MAX)), compacted(revision, 5, false));
    let left = EventLog { compacted: Revision(revision), last: Revision(9), ..EventLog::default() };
    assert_eq!((log(&member), kept(&member)), (left, vec![]));
    assert_eq!((member.machine.head().counts.events, member.machine.head().counts.event_bytes), (0, 0));
    member.apply(20, [call(1, &[emit("t", "6")])]);
    assert_eq!((log(&member).oldest_at, log(&member).events), (Some(Time(20)), 1));
}

#[test]
fn what_the_same_entry_emitted_is_forgotten_too() {
    let mut member = member();
    let revision = member.machine.head().revision.0;
    let emitting = || call(1, &[emit("t", "x"), emit("t", "y")]);
    let applied = member
        .apply(10, [emitting(), compact(1, u64::MAX), emitting(), compact(1, revision + 1), emitting()]);
    assert_eq!(applied.outcomes[1].outcome.result, compacted(revision + 1, 7, false));
    assert_eq!(applied.outcomes[3].outcome.result, compacted(revision + 1, 0, false));
    assert_eq!(applied.events.len(), 6, "they were emitted, and forgotten");
    assert_eq!(kept(&member), [(revision + 3, 0), (revision + 3, 1), (revision + 5, 0), (revision + 5, 1)]);
    assert_eq!((log(&member).oldest_at, applied.event_logs.len()), (Some(Time(10)), 1));
}

#[test]
fn a_compaction_takes_so_many_events_rounded_up_to_a_revision() {
    let mut member = Member::formed();
    let each = 1_000;
    member.apply(1, (0..10).map(|_| call(1, &[times(each, emit("t", ""))])));
    let per_command = limits::COMPACTION_EVENTS.div_ceil(each as usize) as u64;
    assert_eq!(member.one(compact(1, 14)), compacted(4 + per_command, per_command * u64::from(each), true));
    assert_eq!(member.one(compact(1, 14)), compacted(14, (10 - per_command) * u64::from(each), false));
    assert_eq!(kept(&member), []);
}

#[test]
fn a_compaction_takes_so_many_bytes_rounded_up_to_a_revision() {
    let mut member = Member::formed();
    let large = "x".repeat(limits::EVENT_PAYLOAD_BYTES);
    let revisions = 2 * COMPACTION_BYTES / (3 * limits::EVENT_PAYLOAD_BYTES);
    for _ in 0..revisions {
        member.apply(1, [call(1, &[times(3, emit("t", &large))])]);
    }
    let (mut left, mut commands) = (3 * revisions as u64, 0);
    loop {
        let Ok(Reply::Compacted { events, more, .. }) = member.one(compact(1, u64::MAX)) else {
            panic!("it is compacted")
        };
        (left, commands) = (left - events, commands + 1);
        assert!(
            events * limits::EVENT_PAYLOAD_BYTES as u64
                <= (COMPACTION_BYTES + 3 * limits::EVENT_PAYLOAD_BYTES) as u64
        );
        if !more {
            break;
        }
    }
    assert_eq!((left, commands), (0, 2));
}

#[test]
fn events_that_compactions_read_count_as_written() {
    let mut member = Member::formed();
    let large = "x".repeat(limits::EVENT_PAYLOAD_BYTES);
    for _ in 0..100 {
        member.apply(1, [call(1, &[times(3, emit("t", &large))])]);
    }
    let applied = member.apply(2, (0..6).map(|_| compact(1, 104)));
    let deferred =
        applied.outcomes.iter().filter(|outcome| outcome.outcome.result == Err(Rejection::Deferred)).count();
    assert_eq!(deferred, 2, "four of them read 64 MiB");
    assert_eq!(member.one(compact(1, 104)), compacted(104, 300 - 4 * 66, false));
}

#[test]
fn a_deleted_space_forgets_its_events_and_says_so() {
    let mut member = member();
    let emitting = |space| call(space, &[emit("t", "6")]);
    let applied = member.apply(
        10,
        [emitting(1), Action::DeleteSpace { name: space("a") }, create("a"), emitting(2), emitting(1)],
    );
    assert_eq!(applied.outcomes[4].outcome.result, Err(Rejection::UnknownSpace));
    let told: Vec<_> =
        applied.event_logs.iter().map(|change| (change.space.0, change.log.map(|log| log.events))).collect();
    assert_eq!(told, [(1, None), (2, Some(1))]);
    assert_eq!(applied.events.len(), 2, "what it emitted before is told");
    assert_eq!((member.machine.head().counts.events, kept(&member)), (1, vec![]));
    assert_eq!(log(&member), EventLog::default());
    assert_eq!(member.one(compact(1, 5)), Err(Rejection::UnknownSpace));
    let silent = member.apply(11, [create("b"), Action::DeleteSpace { name: space("b") }]);
    assert_eq!(
        silent.event_logs,
        [EventLogChange { space: SpaceId(3), log: None }],
        "that it never emitted is no exception"
    );
}

#[test]
fn retention_is_set_within_bounds_and_kept() {
    let mut member = member();
    let set = |name: &str, retention| Action::SetEventRetention { name: space(name), retention };
    let most = EventRetention {
        events: limits::EVENTS_CEILING,
        bytes: limits::EVENT_BYTES_CEILING,
        age_ms: u64::MAX,
    };
    let least = EventRetention { events: 0, bytes: 0, age_ms: limits::EVENT_AGE_FLOOR_MS };
    for retention in [most, least] {
        let applied = member.apply(10, [call(1, &[emit("t", "6")]), set("a", retention)]);
        assert_eq!(applied.outcomes[1].outcome.result, Ok(Reply::Done));
        assert_eq!(applied.event_logs[0].log.map(|log| log.retention), Some(retention));
    }
    for retention in [
        EventRetention { events: limits::EVENTS_CEILING + 1, ..most },
        EventRetention { bytes: limits::EVENT_BYTES_CEILING + 1, ..most },
        EventRetention { age_ms: limits::EVENT_AGE_FLOOR_MS - 1, ..most },
    ] {
        assert_eq!(member.one(set("a", retention)), Err(Rejection::RetentionOutOfBounds));
    }
    assert_eq!(member.one(set("none", most)), Err(Rejection::UnknownSpace));
    member.one(compact(1, 8)).unwrap();
    member.one(call(1, &[emit("t", "7")])).unwrap();
    assert_eq!((log(&member).retention, log(&member).events), (least, 4));
    member.one(create("b")).unwrap();
    let silent = member.apply(10, [set("b", least)]);
    assert_eq!(silent.event_logs[0].log, Some(EventLog { retention: least, ..EventLog::default() }));
}
