//! In which order deliveries run, what they share, and what becomes of those that fail.
use synod_abi::{EntryPoint, Fault, OperationId, Revision, SpaceId, TicketId, costs, limits};

use crate::rows::directory::{HookFailures, hook_failures};
use crate::testing::*;
use crate::*;

/// Spaces `a`, `b` and `c`, with ids from 1; `b` is bound to `a`, and told what to do at its
/// events.
fn bound(on_failure: OnFailure, at_event: &[Step]) -> Member {
    let mut member = Member::formed();
    for name in ["b", "c"] {
        member.one(create(name)).unwrap();
    }
    member.one(bind("b", "a", "", on_failure)).unwrap();
    member.one(call(2, &[when("at event", at_event)])).unwrap();
    member.vm.invoked.clear();
    member.vm.fuelled.clear();
    member.vm.discarded.clear();
    member
}

/// Where something ran, and whether it was a handler.
fn ran(member: &Member) -> Vec<(u32, bool)> {
    member
        .vm
        .invoked
        .iter()
        .map(|(space, entry_point, _)| (space.0, *entry_point == EntryPoint::Event))
        .collect()
}

fn failures(member: &Member, space: u32) -> Option<(u64, DeliveryFailure)> {
    let failures = hook_failures(&member.state, SpaceId(space)).unwrap();
    failures.map(|HookFailures { count, revision, why }| {
        assert!(revision <= member.machine.head().revision);
        (count, why)
    })
}

fn fault(fault: Fault) -> DeliveryFailure {
    DeliveryFailure::Fault(fault)
}

fn handler_failed(space: u32, why: DeliveryFailure) -> Rejection {
    Rejection::Handler { space: SpaceId(space), why }
}

fn send_failed(space: u32, why: DeliveryFailure) -> Rejection {
    Rejection::Send { space: Some(SpaceId(space)), why }
}

/// Sends what sends itself on: a circle by sends and a binding.
fn circle() -> [Step; 1] {
    [send("a", &[emit("again", "")])]
}

/// The rows of spaces, and what there is of events and failures.
fn rows(member: &Member) -> Vec<Row> {
    let tables = [Table::System, Table::State, Table::Events, Table::Timers].into_iter();
    let rows =
        tables.flat_map(|table| member.state.rows(table)).map(|(key, value)| (key.to_vec(), value.to_vec()));
    rows.filter(|(key, _)| key != b"h").collect()
}

#[test]
fn deliveries_run_behind_each_other_in_the_order_of_emits_and_sends() {
    let mut member = bound(OnFailure::Reject, &[send("c", &[put("from b", "1")]), emit("of b", "")]);
    member.one(bind("c", "b", "of", OnFailure::Reject)).unwrap();
    member.one(bind("c", "b", "of b", OnFailure::Reject)).unwrap();
    member.vm.invoked.clear();
    let steps =
        [emit("t", "1"), send("c", &[get("from b"), put("from a", "1")]), emit("t", "2"), put("k", "v")];
    let applied = member.apply(3, [call(1, &steps)]);
    assert!(applied.outcomes[0].outcome.result.is_ok());
    let (operation, handler) = (false, true);
    let first = [(1, operation), (2, handler), (3, operation), (2, handler)];
    let second = [(3, operation), (3, handler), (3, operation), (3, handler)];
    assert_eq!(ran(&member), [first, second].concat());
    let seeds: std::collections::BTreeSet<_> = member.vm.invoked.iter().map(|(_, _, seed)| *seed).collect();
    assert_eq!(seeds.len(), 8, "each has a seed of its own");
    assert_eq!(
        (member.heard(2).as_str(), member.heard(3).as_str()),
        ("event a t 1\nevent a t 2\n", "event b of b \nevent b of b \n")
    );
    let places: Vec<_> =
        applied.events.iter().map(|event| (event.space.0, event.revision.0, event.number)).collect();
    let revision = applied.outcomes[0].outcome.revision.0;
    assert_eq!(places, [(1, revision, 0), (1, revision, 1), (2, revision, 0), (2, revision, 1)]);
    assert_eq!(applied.outcomes.len(), 1);
    assert_eq!(member.machine.head().revision.0, revision, "handlers share their cause's revision");
}

#[test]
fn events_are_numbered_through_all_that_a_command_runs() {
    let mut member = bound(OnFailure::Reject, &[]);
    let applied = member
        .apply(0, [call(1, &[emit("t", "0"), send("c", &[send("a", &[emit("t", "2")])]), emit("t", "1")])]);
    let payloads: Vec<_> =
        applied.events.iter().map(|event| (event.number, event.event.payload.to_vec())).collect();
    assert_eq!(payloads, [(0, b"0".to_vec()), (1, b"1".to_vec()), (2, b"2".to_vec())]);
    assert_eq!(member.heard(2), "event a t 0\nevent a t 1\nevent a t 2\n");
}

#[test]
fn a_handler_runs_once_an_event_and_its_first_filter_decides() {
    let fails = [Step::Fault(Fault::Trap)];
    for (exact, prefix, rejected) in
        [(OnFailure::Skip, OnFailure::Reject, false), (OnFailure::Reject, OnFailure::Skip, true)]
    {
        let mut member = bound(prefix, &fails);
        member.one(bind("b", "a", "t", exact)).unwrap();
        member.vm.invoked.clear();
        assert_eq!(member.run(&[emit("t", "")]).is_err(), rejected);
        assert_eq!(ran(&member), [(1, false), (2, true)]);
        assert_eq!(member.run(&[emit("other", "")]).is_err(), !rejected, "only the prefix matches");
    }
}

#[test]
fn an_event_without_handlers_and_a_rejected_call_run_nothing() {
    let mut member = bound(OnFailure::Reject, &[]);
    member.one(unbind("b", "a", "")).unwrap();
    member.one(bind("b", "a", "x/", OnFailure::Reject)).unwrap();
    member.vm.invoked.clear();
    member.run(&[emit("t", "")]).unwrap();
    member.run(&[emit("x/t", ""), send("c", &[]), Step::Refuse(1)]).unwrap_err();
    member.one(call(2, &[emit("x/t", "")])).unwrap();
    assert_eq!(ran(&member), [(1, false), (1, false), (2, false)]);
}

#[test]
fn a_failing_delivery_rejects_the_whole_command() {
    let (waits, refuses) = ([put("k", "x"), Step::Later], [put("k", "x"), Step::Refuse(300)]);
    let no_operation = || Step::Send("c".into(), "none".into(), Default::default());
    let malformed = || Step::Send("c".into(), "run".into(), b"\xff".into());
    let unknown = |space: &str| {
        (vec![send(space, &[])], Rejection::Send { space: None, why: DeliveryFailure::Unknown })
    };
    let kilobytes = "x".repeat(4_080);
    let cases = [
        (
            vec![],
            vec![send("c", &[put("k", "x"), Step::Fault(Fault::Panic)])],
            send_failed(3, fault(Fault::Panic)),
        ),
        (vec![], vec![send("c", &refuses)], send_failed(3, DeliveryFailure::Refused { code: 300 })),
        (vec![], vec![send("c", &waits)], send_failed(3, DeliveryFailure::WouldWait)),
        (vec![], vec![no_operation()], send_failed(3, DeliveryFailure::Unknown)),
        (vec![], vec![malformed()], send_failed(3, fault(Fault::BadArguments))),
        (vec![], unknown("none").0, unknown("none").1),
        (vec![], unknown("no such name").0, unknown("").1),
        (vec![Step::Fault(Fault::Trap)], vec![emit("t", "")], handler_failed(2, fault(Fault::Trap))),
        (vec![Step::Now], vec![emit("t", "")], handler_failed(2, fault(Fault::BadReply))),
        (vec![emit("", "")], vec![emit("t", "")], handler_failed(2, fault(Fault::BadTopic))),
        (refuses.to_vec(), vec![emit("t", "")], handler_failed(2, fault(Fault::BadReply))),
        (
            vec![send("c", &refuses)],
            vec![emit("t", "")],
            send_failed(3, DeliveryFailure::Refused { code: 300 }),
        ),
        (circle().to_vec(), vec![emit("t", "")], handler_failed(2, fault(Fault::TooDeepDelivery))),
        (
            vec![times(4, send("c", &[]))],
            vec![times(1_023, emit("t", ""))],
            send_failed(3, fault(Fault::TooManyDeliveries)),
        ),
        (
            vec![times(256, send("c", &[Step::Log(kilobytes)]))],
            vec![times(9, emit("t", ""))],
            send_failed(3, fault(Fault::TooManyDeliveries)),
        ),
        (
            vec![times(4, emit("u", ""))],
            vec![times(1_023, emit("t", ""))],
            handler_failed(2, fault(Fault::TooManyEvents)),
        ),
        (
            vec![Step::Burn(limits::CALL_FUEL / 4 * 3)],
            vec![Step::Burn(limits::CALL_FUEL / 4), emit("t", "")],
            handler_failed(2, fault(Fault::OutOfFuel)),
        ),
    ];
    for (at_event, cause, rejection) in cases {
        let mut member = bound(OnFailure::Reject, &at_event);
        let (before, head) = (rows(&member), *member.machine.head());
        let steps = [
            vec![put("k", "new"), Step::Token, Step::SetTimer(9, Default::default()), emit("first", "")],
            cause,
        ]
        .concat();
        let steps = if matches!(rejection, Rejection::Handler { .. }) || !at_event.is_empty() {
            steps
        } else {
            [&steps[..3], &steps[4..]].concat()
        };
        let applied = member.apply(0, [call(1, &steps)]);
        let outcome = &applied.outcomes[0].outcome;
        assert_eq!(outcome.result.as_ref(), Err(&rejection));
        assert!(applied.events.is_empty() && applied.event_logs.is_empty(), "{rejection:?}");
        assert_eq!(rows(&member), before, "{rejection:?}");
        let after = *member.machine.head();
        assert_eq!((after.revision, after.tokens), (head.revision, head.tokens));
        assert_eq!(after.counts, head.counts);
        let used: std::collections::BTreeSet<SpaceId> =
            member.vm.invoked.iter().map(|(space, ..)| *space).collect();
        assert!(
            used.iter().all(|space| member.vm.discarded.contains(space)),
            "every instance that it used is dropped: {rejection:?}"
        );
    }
}

#[test]
fn a_circle_ends_at_the_deepest_delivery() {
    let mut member = bound(OnFailure::Reject, &circle());
    assert_eq!(member.run(&[emit("t", "")]), Err(handler_failed(2, fault(Fault::TooDeepDelivery))));
    assert_eq!(member.vm.invoked.len(), 1 + limits::DELIVERY_DEPTH as usize);
    let deepest =
        (1..limits::DELIVERY_DEPTH).fold(send("c", &[put("deep", "x")]), |inner, _| send("c", &[inner]));
    member.run(std::slice::from_ref(&deepest)).unwrap();
    assert_eq!(member.run(&[send("c", &[deepest])]), Err(send_failed(3, fault(Fault::TooDeepDelivery))));
}

#[test]
fn a_call_and_all_that_it_sets_off_share_one_fuel() {
    let endless = limits::CALL_FUEL;
    let mut member = bound(OnFailure::Skip, &[Step::Burn(2_000_000)]);
    member
        .run(&[Step::Burn(999_999), emit("t", ""), send("c", &[Step::Burn(endless)]), emit("t", "")])
        .unwrap_err();
    let [all, handler, sent] = member.vm.fuelled[..] else { panic!("{:?}", member.vm.fuelled) };
    assert_eq!(all, limits::CALL_FUEL);
    assert!((1_000_000..1_100_000).contains(&(all - handler)), "the call: {}", all - handler);
    assert!((2_000_000..2_100_000).contains(&(handler - sent)), "the first delivery: {}", handler - sent);
    member.vm.fuelled.clear();
    member.one(call(2, &[when("at event", &[Step::Burn(endless)])])).unwrap();
    member.vm.fuelled.clear();
    member.run(&[emit("t", ""), emit("t", ""), emit("t", "")]).unwrap();
    assert_eq!(member.vm.fuelled.len(), 2, "without fuel none begins");
    assert_eq!(failures(&member, 2), Some((3, fault(Fault::OutOfFuel))));
    let applied = member.apply(0, [call(1, &[]), call(1, &[emit("t", "")])]);
    let fuel: Vec<u64> = applied.outcomes.iter().map(|outcome| outcome.fuel).collect();
    assert!(fuel[0] < 2 * costs::ENTER && fuel[1] == limits::CALL_FUEL, "{fuel:?}");
}

#[test]
fn none_begins_when_its_command_has_written_enough() {
    let mut member = bound(OnFailure::Reject, &[]);
    let fit = limits::ENTRY_WRITE_BYTES.div_ceil(15 * limits::VALUE_BYTES) as u64;
    let session = member.open(1);
    for (space, others) in [(1, ["b", "c"]), (2, ["c", "a"])] {
        let sends = (0..9).map(|n| send(others[n % 2], &[Step::Fill(15)]));
        let steps: Vec<Step> = core::iter::once(Step::Fill(15)).chain(sends).collect();
        let call = in_session(session, space, id(u64::from(space)), &[when("at end", &steps)]);
        member.command(call).result.unwrap();
    }
    member.one(end(session)).unwrap();
    assert_eq!(failures(&member, 1), None);
    assert_eq!(failures(&member, 2), Some((2 * (1 + 9) - fit, fault(Fault::TooManyWrites))));
}

#[test]
fn a_skipped_handler_leaves_nothing_but_its_count() {
    let at_event = [
        put("k", "new"),
        Step::Token,
        emit("of b", ""),
        send("none", &[]),
        Step::SetTimer(9, Default::default()),
        Step::Fault(Fault::Trap),
    ];
    let mut member = bound(OnFailure::Skip, &at_event);
    member.one(bind("c", "a", "", OnFailure::Reject)).unwrap();
    let tokens = member.machine.head().tokens;
    let applied = member.apply(0, [call(1, &[put("k", "v"), emit("t", "1"), send("b", &[emit("u", "")])])]);
    assert!(applied.outcomes[0].outcome.result.is_ok());
    assert_eq!((member.heard(2), member.heard(3).as_str()), (String::new(), "event a t 1\n"));
    let events: Vec<_> = applied
        .events
        .iter()
        .map(|event| (event.space.0, event.number, event.event.topic.as_str()))
        .collect();
    assert_eq!(events, [(1, 0, "t"), (2, 0, "u")], "its numbers are free again");
    assert_eq!((member.machine.head().tokens, member.machine.head().counts.timers), (tokens, 0));
    assert_eq!(failures(&member, 2), Some((1, fault(Fault::Trap))));
    assert!(member.vm.discarded.contains(&SpaceId(2)) && !member.vm.discarded.contains(&SpaceId(1)));
    member.one(call(2, &[when("at event", &[send("none", &[])])])).unwrap();
    assert!(member.run(&[emit("t", "2")]).is_ok(), "what it sends is skipped alike");
    assert_eq!(failures(&member, 2), Some((2, DeliveryFailure::Unknown)));
}

#[test]
fn skipped_handlers_beyond_the_bounds_are_counted_once_a_cause() {
    let mut member = bound(OnFailure::Skip, &[]);
    for (n, name) in ["d", "e", "f"].into_iter().enumerate() {
        member.one(create(name)).unwrap();
        member.one(bind(name, "a", "", OnFailure::Skip)).unwrap();
        assert_eq!(n + 4, member.machine.head().counts.spaces as usize);
    }
    member.one(bind("c", "a", "", OnFailure::Skip)).unwrap();
    member.vm.invoked.clear();
    assert!(member.run(&[times(1_024, emit("t", ""))]).is_ok());
    assert_eq!(member.vm.invoked.len(), 1 + limits::CAUSE_DELIVERIES);
    let counted: Vec<_> = (1..7).filter_map(|space| failures(&member, space)).collect();
    assert_eq!(counted, [(1, fault(Fault::TooManyDeliveries))]);
    member.one(bind("c", "a", "", OnFailure::Reject)).unwrap();
    assert!(matches!(
        member.run(&[times(1_024, emit("t", ""))]),
        Err(Rejection::Handler { space: SpaceId(3), .. })
    ));
}

#[test]
fn a_space_that_is_deleted_or_made_in_the_entry_is_found_as_it_is() {
    let mut member = bound(OnFailure::Reject, &[]);
    let sending = || call(1, &[send("c", &[put("k", "v")])]);
    let applied = member
        .apply(0, [sending(), Action::DeleteSpace { name: space("c") }, sending(), create("c"), sending()]);
    let results: Vec<_> = applied.outcomes.iter().map(|outcome| outcome.outcome.result.is_ok()).collect();
    assert_eq!(results, [true, true, false, true, true]);
    assert_eq!(
        applied.outcomes[2].outcome.result,
        Err(Rejection::Send { space: None, why: DeliveryFailure::Unknown })
    );
    assert_eq!(seen(&member.one(call(4, &[get("k")])).unwrap()), ["v"]);
}

#[test]
fn a_session_s_call_keeps_the_rejection_of_its_delivery_as_its_outcome() {
    for cause in [[emit("t", ""), put("k", "v")], [emit("t", ""), Step::Wait], [emit("t", ""), Step::Now]] {
        let mut member = bound(OnFailure::Reject, &[Step::Fault(Fault::Trap)]);
        let session = member.open(1);
        let rejection = Err(handler_failed(2, fault(Fault::Trap)));
        let request = Request { wait_ms: Some(5), ..id(1) };
        assert_eq!(member.request(session, request.clone(), &cause), rejection);
        assert_eq!(member.counts(), (1, 1, 0, 0), "nothing waits, no timer is set");
        member.one(call(2, &[when("at event", &[])])).unwrap();
        member.vm.invoked.clear();
        let first = member.command(in_session(session, 1, request.clone(), &cause));
        assert_eq!(first.result, rejection, "a retry gets the same, whatever the handler would do now");
        assert_eq!(member.command(in_session(session, 1, request, &cause)), first);
        assert_eq!(ran(&member), []);
        assert_eq!(member.command(cancel(session, 1)).result, Ok(Reply::Cancelled { was: Cancelled::Final }));
        assert!(member.request(session, acknowledging(2, 2), &cause).is_ok());
        assert_eq!(member.heard(2), "event a t \n");
        let spaces = sessions::session(&member.state, session).unwrap().unwrap().spaces;
        assert_eq!(
            spaces,
            [SpaceId(1)],
            "a session hears in the spaces that it called, not in those that they reached"
        );
    }
}

#[test]
fn a_session_joins_no_space_through_a_call_that_a_delivery_rejects() {
    let mut member = bound(OnFailure::Reject, &[Step::Fault(Fault::Trap)]);
    let session = member.open(1);
    member.request(session, id(1), &[emit("t", "")]).unwrap_err();
    assert_eq!(sessions::session(&member.state, session).unwrap().unwrap().spaces, []);
}

#[test]
fn a_delivery_may_complete_calls_of_the_session_that_caused_it_even_the_one_that_parks() {
    let mut member = bound(OnFailure::Reject, &[send("a", &[Step::Grant(9)])]);
    let session = member.open(1);
    let parked = member.command(in_session(session, 1, id(1), &[Step::Wait]));
    assert!(matches!(parked.result, Ok(Reply::Parked { .. })));
    let applied = member.commands(0, vec![in_session(session, 1, id(2), &[Step::Wait, emit("t", "")])]);
    let revision = applied.outcomes[0].outcome.revision;
    assert_eq!(applied.outcomes[0].outcome.result, Ok(Reply::Parked { ticket: TicketId(revision.0) }));
    let completed: Vec<_> =
        applied.completions.iter().map(|done| (done.request.0, done.outcome.revision)).collect();
    assert_eq!(completed, [(1, revision), (2, revision)]);
    assert_eq!(member.counts(), (1, 2, 0, 0));
    let again = member.request(session, id(2), &[Step::Wait, emit("t", "")]).unwrap();
    assert_eq!(seen(&again), ["granted"]);
}

#[test]
fn completions_of_a_rejected_command_are_taken_back() {
    let mut member = bound(OnFailure::Reject, &[Step::Fault(Fault::Trap)]);
    let session = member.open(1);
    member.request(session, id(1), &[Step::Wait]).unwrap();
    let applied = member.apply(0, [call(1, &[Step::Grant(1), emit("t", "")])]);
    assert!(applied.outcomes[0].outcome.result.is_err() && applied.completions.is_empty());
    assert_eq!(member.counts(), (1, 1, 1, 0));
}

/// What a handler does, what a hook does, and what is then counted in which space.
type FailingCause = (Vec<Step>, Vec<Step>, u32, (u64, DeliveryFailure));

fn failing_causes() -> Vec<FailingCause> {
    vec![
        (
            vec![put("at b", "x"), Step::Fault(Fault::Trap)],
            vec![emit("t", ""), emit("t", "")],
            2,
            (2, fault(Fault::Trap)),
        ),
        (vec![], vec![send("none", &[]), emit("t", "")], 1, (1, DeliveryFailure::Unknown)),
        (
            vec![],
            vec![send("c", &[put("k", "x"), Step::Refuse(7)])],
            1,
            (1, DeliveryFailure::Refused { code: 7 }),
        ),
        (vec![send("c", &[Step::Later])], vec![emit("t", "")], 2, (1, DeliveryFailure::WouldWait)),
        (vec![Step::Burn(limits::CALL_FUEL)], vec![times(3, emit("t", ""))], 2, (3, fault(Fault::OutOfFuel))),
        (circle().to_vec(), vec![emit("t", "")], 2, (1, fault(Fault::TooDeepDelivery))),
        (
            vec![times(4, send("c", &[]))],
            vec![times(1_024, emit("t", ""))],
            2,
            (1, fault(Fault::TooManyDeliveries)),
        ),
    ]
}

#[test]
fn commands_of_the_system_are_never_rejected_by_deliveries() {
    for (at_event, cause, space, counted) in failing_causes() {
        for trigger in 0..3 {
            let mut member = bound(OnFailure::Reject, &at_event);
            let session = member.open(1);
            let cause: Vec<Step> = [vec![put("hook", "ran")], cause.clone()].concat();
            let timer = Step::SetTimer(5, synod_abi::encode(&cause).into());
            let steps = [when("at end", &cause), when("at cancel", &cause), timer, Step::Wait];
            member.request(session, id(1), &steps).unwrap();
            let applied = match trigger {
                0 => member.apply(5, [end(session)]),
                1 => member.tick(5),
                _ => member.commands(5, vec![cancel(session, 1)]),
            };
            assert!(applied.outcomes[0].outcome.result.is_ok());
            assert_eq!(failures(&member, space), Some(counted), "{trigger} {cause:?}");
            assert_eq!(member.run(&[get("hook")]).unwrap(), ["ran"], "the hook itself stays");
            assert_eq!(seen(&member.one(call(2, &[get("at b")])).unwrap()), ["absent"]);
            assert_eq!(seen(&member.one(call(3, &[get("k")])).unwrap()), ["absent"]);
        }
    }
}

#[test]
fn deliveries_of_a_hook_have_the_fuel_of_one_further_call() {
    let mut member = bound(OnFailure::Reject, &[Step::Burn(1_000_000)]);
    let burn = limits::CALL_FUEL / 2;
    let payload = |steps: &[Step]| synod_abi::encode(steps).into();
    member.run(&[Step::SetTimer(5, payload(&[Step::Burn(burn), emit("t", ""), emit("t", "")]))]).unwrap();
    member.vm.fuelled.clear();
    member.tick(5);
    let [hook, first, second] = member.vm.fuelled[..] else { panic!("{:?}", member.vm.fuelled) };
    assert_eq!(hook, limits::CALL_FUEL);
    let queued = 2 * (costs::BINDING + costs::DELIVERY);
    assert_eq!(first, limits::CALL_FUEL - queued, "nothing of what the hook used");
    assert!((1_000_000..1_100_000).contains(&(first - second)), "{}", first - second);
}

#[test]
fn a_hook_that_fails_delivers_nothing() {
    let mut member = bound(OnFailure::Reject, &[]);
    let payload = synod_abi::encode(&vec![emit("t", ""), send("c", &[]), Step::Fault(Fault::Trap)]);
    member.run(&[Step::SetTimer(5, payload.into())]).unwrap();
    member.vm.invoked.clear();
    let applied = member.tick(5);
    assert!(applied.events.is_empty());
    assert_eq!((ran(&member), failures(&member, 1)), (vec![(1, false)], Some((1, fault(Fault::Trap)))));
}

#[test]
fn a_tick_ends_early_when_it_has_run_enough() {
    for (at_event, timers) in [(vec![Step::Burn(limits::CALL_FUEL)], 1), (vec![], 2)] {
        let mut member = bound(OnFailure::Reject, &at_event);
        let busy: Vec<Step> = vec![times(1_024, emit("t", ""))];
        let payload: synod_abi::Blob = synod_abi::encode(&busy).into();
        member.run(&[times(20, Step::SetTimer(5, payload))]).unwrap();
        member.tick(5);
        assert_eq!(20 - member.machine.head().counts.timers, timers, "{at_event:?}");
        while member.machine.head().counts.timers > 0 {
            member.tick(5);
        }
        assert_eq!(member.machine.next_due.first(), None);
    }
}

#[test]
fn the_event_that_a_handler_gets_is_the_abi_s() {
    let mut member = bound(OnFailure::Reject, &[]);
    member.run(&[emit("config/db", "value")]).unwrap();
    assert_eq!(member.heard(2), "event a config/db value\n");
    assert_eq!(member.vm.invoked[1].1, EntryPoint::Event);
    assert_eq!(member.vm.invoked[0].1, EntryPoint::Operation(OperationId::of("run")));
    assert!(member.machine.head().revision > Revision(0));
}
