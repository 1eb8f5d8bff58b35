//! What an event is, how many there may be, and what a rolled back one leaves.
use synod_abi::limits::*;
use synod_abi::{Direction, EntryPoint, Fault, HostCalls, OperationId, Revision, SpaceId, Time, encode};

use crate::draft::draft::Draft;
use crate::draft::numbers::Numbers;
use crate::rows::directory::Counts;
use crate::rows::events::{EventLog, EventPosition, event_log, events};
use crate::testing::*;
use crate::*;

/// Space, revision, number, topic and payload.
fn shown(applied: &Applied) -> Vec<(u32, u64, u32, String, String)> {
    let show = |emitted: &Emitted| {
        let payload = String::from_utf8_lossy(&emitted.event.payload).into_owned();
        (emitted.space.0, emitted.revision.0, emitted.number, emitted.event.topic.clone(), payload)
    };
    applied.events.iter().map(show).collect()
}

fn event(
    space: u32,
    revision: u64,
    number: u32,
    topic: &str,
    payload: &str,
) -> (u32, u64, u32, String, String) {
    (space, revision, number, topic.into(), payload.into())
}

fn host() -> Draft<MemoryState> {
    let counts = Counts { bindings: 1, ..Counts::ZERO };
    let numbers = Numbers { counts, ..Numbers::default() };
    let mut draft = Draft::for_entry(MemoryState::default(), numbers);
    draft.begin_command(Revision(1), Time(2));
    draft.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
    draft
}

#[test]
fn events_are_numbered_by_space_and_revision() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    let applied = member.apply(
        7,
        [
            call(1, &[emit("t", "1"), emit("u/v", "")]),
            call(2, &[emit("t", "2")]),
            call(1, &[]),
            call(1, &[emit("t", "3")]),
        ],
    );
    let expected = [
        event(1, 6, 0, "t", "1"),
        event(1, 6, 1, "u/v", ""),
        event(2, 7, 0, "t", "2"),
        event(1, 9, 0, "t", "3"),
    ];
    assert_eq!(shown(&applied), expected);
    assert!(applied.events.iter().all(|emitted| emitted.event.time == Time(7)));
    let page = |from: (u64, u32), rows| {
        let from = EventPosition { revision: Revision(from.0), number: from.1 };
        let page = events(&member.state, SpaceId(1), from, RangeLimit { rows, bytes: 1_000 }).unwrap();
        (
            page.events
                .iter()
                .map(|(at, event)| (at.revision.0, at.number, event.topic.clone()))
                .collect::<Vec<_>>(),
            page.more,
        )
    };
    let (first, second, third) = ((6, 0, "t".into()), (6, 1, "u/v".into()), (9, 0, "t".to_string()));
    assert_eq!(page((0, 0), 9), (vec![first.clone(), second.clone(), third.clone()], false));
    assert_eq!(page((6, 0), 2), (vec![first, second.clone()], true));
    assert_eq!(page((6, 1), 9), (vec![second, third.clone()], false));
    assert_eq!(page((7, 0), 9), (vec![third], false));
    assert_eq!(page((10, 0), 9), (vec![], false));
}

#[test]
fn what_a_space_keeps_is_told_once_an_entry_and_is_exact() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    assert_eq!(event_log(&member.state, SpaceId(1)).unwrap(), EventLog::default());
    let first =
        member.apply(7, [call(1, &[emit("t", "1")]), call(2, &[emit("t", "2")]), call(1, &[emit("t", "3")])]);
    let second = member.apply(9, [call(1, &[emit("topic", "payload")])]);
    let row = |topic: &str, payload: &str| 16 + 1 + topic.len() as u64 + 1 + payload.len() as u64 + 1;
    let log = |last, events, bytes, oldest_at| {
        Some(EventLog {
            last: Revision(last),
            events,
            bytes,
            oldest_at: Some(Time(oldest_at)),
            ..EventLog::default()
        })
    };
    let changes = |applied: &Applied| {
        applied.event_logs.iter().map(|change| (change.space.0, change.log)).collect::<Vec<_>>()
    };
    assert_eq!(changes(&first), [(1, log(8, 2, 2 * row("t", "1"), 7)), (2, log(7, 1, row("t", "2"), 7))]);
    assert_eq!(changes(&second), [(1, log(9, 3, 2 * row("t", "1") + row("topic", "payload"), 7))]);
    let counts = member.machine.head().counts;
    assert_eq!((counts.events, counts.event_bytes), (4, 3 * row("t", "1") + row("topic", "payload")));
    let silent = member.apply(9, [call(1, &[put("k", "v")])]);
    assert!(silent.events.is_empty() && silent.event_logs.is_empty());
    assert!(!silent.writes.iter().any(|write| matches!(write, Write::Put { key, .. } if key[0] == b'e')));
}

#[test]
fn a_rejected_command_emits_nothing() {
    let mut member = Member::formed();
    let before = *member.machine.head();
    for end in [Step::Refuse(1), Step::Fault(Fault::Trap), Step::Later, emit("", "no topic")] {
        let applied = member.apply(0, [call(1, &[emit("t", "1"), send("none", &[]), end])]);
        assert!(
            applied.outcomes[0].outcome.result.is_err()
                && applied.events.is_empty()
                && applied.event_logs.is_empty()
        );
    }
    let head = *member.machine.head();
    assert_eq!((head.rows, head.counts.events, head.counts.event_bytes), (before.rows, 0, 0));
    let applied = member.apply(
        0,
        [call(1, &[emit("t", "1")]), call(1, &[emit("t", "2"), Step::Refuse(1)]), call(1, &[emit("t", "3")])],
    );
    assert_eq!(shown(&applied), [event(1, 5, 0, "t", "1"), event(1, 6, 0, "t", "3")]);
}

#[test]
fn a_rejected_call_that_only_sent_loses_its_instance() {
    let mut member = Member::formed();
    let calls = [
        call(1, &[Step::Remember]),
        call(1, &[send("none", &[]), Step::Refuse(1)]),
        call(1, &[Step::Remember]),
    ];
    let applied = member.apply(0, calls);
    assert_eq!(seen(applied.outcomes[2].outcome.result.as_ref().unwrap()), ["1"]);
}

#[test]
fn topics_are_text_of_a_length() {
    let longest = vec![b'x'; EVENT_TOPIC_BYTES];
    assert_eq!(host().emit(&longest, b""), Ok(()));
    for topic in [&b""[..], &[&longest[..], b"x"].concat(), b"\xff"] {
        assert_eq!(host().emit(topic, b""), Err(Fault::BadTopic));
    }
}

#[test]
fn a_call_emits_so_many_events_and_bytes() {
    let mut emitting = host();
    (0..CALL_EVENTS).for_each(|_| emitting.emit(b"t", b"").unwrap());
    assert_eq!(emitting.emit(b"t", b""), Err(Fault::TooManyEvents));
    let payload = vec![0; EVENT_PAYLOAD_BYTES];
    assert_eq!(host().emit(b"t", &payload), Ok(()));
    assert_eq!(host().emit(b"t", &[&payload[..], &[0]].concat()), Err(Fault::TooManyEvents));
    let mut emitting = host();
    (0..CALL_EVENT_BYTES / payload.len() - 1).for_each(|_| emitting.emit(b"t", &payload).unwrap());
    let rest = CALL_EVENT_BYTES - (CALL_EVENT_BYTES / payload.len() - 1) * (payload.len() + 1);
    assert_eq!(emitting.emit(b"t", &payload[..rest.min(payload.len()) - 1]), Ok(()));
    assert_eq!(emitting.emit(b"t", b""), Err(Fault::TooManyEvents));
}

#[test]
fn a_call_sends_so_many_operations_and_bytes() {
    let operation = OperationId::of("run").0;
    let mut sending = host();
    (0..CALL_SENDS).for_each(|_| sending.send(b"b", operation, b"").unwrap());
    assert_eq!(sending.send(b"b", operation, b""), Err(Fault::TooManySends));
    let args = vec![0; ARGS_BYTES];
    assert_eq!(host().send(b"b", operation, &[&args[..], &[0]].concat()), Err(Fault::TooManySends));
    let mut sending = host();
    (0..CALL_SEND_BYTES / ARGS_BYTES).for_each(|_| sending.send(b"b", operation, &args).unwrap());
    assert_eq!(sending.send(b"b", operation, b"x"), Err(Fault::TooManySends));
}

#[test]
fn calls_of_one_cause_share_its_events() {
    let mut emitting = host();
    let emit_all = |host: &mut Draft<MemoryState>, payload: &[u8]| {
        host.begin_call(SpaceId(1), EntryPoint::Timer, u64::MAX);
        core::iter::repeat_with(|| host.emit(b"t", payload))
            .take(CALL_EVENTS)
            .filter(|emitted| emitted.is_ok())
            .count()
    };
    let all: usize = (0..CAUSE_EVENTS / CALL_EVENTS + 1).map(|_| emit_all(&mut emitting, b"")).sum();
    assert_eq!(all, CAUSE_EVENTS);
    emitting.emissions().begin_cause();
    let payload = vec![0; EVENT_PAYLOAD_BYTES - 1];
    let all: usize =
        (0..CAUSE_EVENT_BYTES / CALL_EVENT_BYTES + 1).map(|_| emit_all(&mut emitting, &payload)).sum();
    assert_eq!(all, CAUSE_EVENT_BYTES / EVENT_PAYLOAD_BYTES);
}

#[test]
fn events_are_no_rows_that_a_call_writes() {
    let mut host = host();
    (0..CALL_WRITE_ROWS as u32).for_each(|n| host.put(&n.to_be_bytes(), &[]).unwrap());
    assert_eq!(host.emit(b"t", b""), Ok(()));
    assert_eq!(host.put(b"x", b""), Err(Fault::TooManyWrites));
}

#[test]
fn queries_neither_emit_nor_send() {
    let mut member = Member::formed();
    let space = directory::space(&member.state, &space("a")).unwrap().unwrap();
    for step in [emit("t", ""), send("a", &[])] {
        let query = Query {
            space: space.id,
            module: space.module,
            query: OperationId::of("look"),
            args: encode(&vec![step]),
            session: None,
        };
        let answer = crate::query(member.state.clone(), &mut member.vm, &query).unwrap();
        assert_eq!(answer.result, Err(Rejection::Fault(Fault::BadHostCall)));
    }
}

#[test]
fn damaged_events_are_found_by_the_digest() {
    let mut member = Member::formed();
    member.run(&[emit("t", "1")]).unwrap();
    verify(&member.state).unwrap();
    let (key, value) = member
        .state
        .rows(Table::Events)
        .next()
        .map(|(key, value)| (key.to_vec(), [value, b"x"].concat()))
        .unwrap();
    member.state.commit(&[Write::Put { table: Table::Events, key, value }]);
    assert!(verify(&member.state).unwrap_err().0.contains("damaged"));
}

#[test]
fn events_are_no_rows_that_a_recipe_reads() {
    let mut member = Member::formed();
    member.run(&[emit("t", "1"), put("k", "v")]).unwrap();
    assert_eq!(member.run(&[range("", "", Direction::Forward, 9)]).unwrap(), ["k=v", "end"]);
}
