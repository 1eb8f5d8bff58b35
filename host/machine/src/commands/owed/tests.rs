//! Hooks that are owed: kept, tried again, settled, and never in the way of others.
use synod_abi::{Blob, Fault, RequestId, Revision, SessionId, SpaceId, Time, encode, limits};

use crate::owed::{OwedCall, OwedHook, OwedRecord};
use crate::rows::timers::{Lane, Line};
use crate::testing::*;
use crate::*;

const FAIL: Step = Step::Fault(Fault::Trap);

fn owed(member: &Member, space: u32) -> Vec<OwedRecord> {
    let page = owed::owed_hooks(&member.state, SpaceId(space), None, 1_000).unwrap();
    assert_eq!(owed::owed_count(&member.state, SpaceId(space)), Ok(page.items.len() as u32));
    page.items
}

fn next(member: &Member) -> Option<Time> {
    member.machine.next_due.first()
}

fn settle(space: &str, number: u64, how: Settling) -> Action {
    Action::SettleHook { name: self::space(space), number, how }
}

/// A session that called space 1.
fn joined(member: &mut Member, nonce: u8) -> SessionId {
    let session = member.open(nonce);
    member.request(session, id(1), &[]).unwrap();
    session
}

#[test]
fn a_session_end_that_fails_is_kept_and_tried_again() {
    let mut member = Member::formed();
    let session = joined(&mut member, 1);
    member.run(&[when("at end", &[put("k", "v"), FAIL])]).unwrap();
    let ended = member.apply(100, [end(session)]);
    let hook = OwedHook {
        call: OwedCall::SessionEnd { session },
        since: ended.outcomes[0].outcome.revision,
        fault: Some(Fault::Trap),
        tries: 1,
    };
    let record = OwedRecord { number: 1, next_try: Time(1_100), hook };
    assert_eq!((owed(&member, 1), ended.next_timer), (vec![record.clone()], Some(Time(1_100))));
    assert_eq!((member.machine.head().counts.owed, member.heard(1)), (1, String::new()));
    member.restart();
    member.run(&[when("at end", &[])]).unwrap();
    assert_eq!(member.tick(1_099).next_timer, Some(Time(1_100)));
    assert_eq!((owed(&member, 1), member.heard(1)), (vec![record], String::new()));
    assert_eq!(member.tick(1_100).next_timer, None);
    assert_eq!((owed(&member, 1), member.heard(1)), (vec![], format!("end {}\n", session.0[7])));
    assert_eq!(member.state.rows(Table::Timers).count(), 0);
}

#[test]
fn a_hook_that_always_fails_is_tried_less_and_less_often() {
    let mut member = Member::formed();
    let payload: Blob = encode(&vec![FAIL]).into();
    member.run(&[Step::SetTimer(5, payload.clone())]).unwrap();
    let mut waits = Vec::new();
    let mut now = 5;
    for tries in 1..16 {
        member.tick(now);
        let [record] = owed(&member, 1).try_into().unwrap();
        let OwedHook { call, tries: so_far, .. } = record.hook;
        assert_eq!(
            (call, so_far),
            (OwedCall::Timer { timer: synod_abi::TimerId(1), payload: payload.clone() }, tries)
        );
        waits.push((record.next_try.0 - now) / 1_000);
        now = record.next_try.0;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600, 3_600]);
    assert_eq!(directory::hook_failures(&member.state, SpaceId(1)).unwrap().unwrap().count, 15);
}

#[test]
fn a_granted_call_that_is_cancelled_is_owed_and_one_that_waited_is_not() {
    let mut member = Member::formed();
    let session = member.open(1);
    member.request(session, id(1), &[Step::Now]).unwrap();
    member.request(session, id(2), &[Step::Wait]).unwrap();
    member.run(&[when("at cancel", &[FAIL])]).unwrap();
    let was = |request| Ok(Reply::Cancelled { was: request });
    assert_eq!(member.command(cancel(session, 2)).result, was(Cancelled::Waiting));
    assert_eq!(owed(&member, 1), []);
    assert_eq!(member.command(cancel(session, 1)).result, was(Cancelled::Granted));
    let [record] = owed(&member, 1).try_into().unwrap();
    assert!(matches!(record.hook.call, OwedCall::Cancel { granted: true, .. }));
    member.one(end(session)).unwrap();
    member.run(&[when("at cancel", &[])]).unwrap();
    member.tick(1_000);
    assert!(member.heard(1).ends_with("true\n"), "it runs though its session has ended");
}

/// Owes so many ends of sessions in space 1, whose hook is repaired then; tried every 64 s or
/// less often.
fn owing(member: &mut Member, sessions: u8) {
    let sessions: Vec<_> = (0..sessions).map(|nonce| joined(member, nonce)).collect();
    member.run(&[when("at end", &[FAIL])]).unwrap();
    member.apply(0, sessions.into_iter().map(end));
    while owed(member, 1).iter().any(|record| record.hook.tries < 7) {
        member.tick(next(member).unwrap().0);
    }
    member.run(&[when("at end", &[])]).unwrap();
}

#[test]
fn an_upgrade_has_what_is_owed_tried_soon_and_in_order() {
    let mut member = Member::formed();
    owing(&mut member, 40);
    let now = member.machine.head().time.0;
    assert!(next(&member).unwrap().0 > now + 200);
    member.one(install(SCRIPT_2)).unwrap();
    member.one(Action::UpgradeSpace { name: space("a"), to: 2 }).unwrap();
    member.tick(now);
    member.restart();
    let last = member.tick(now + 1);
    assert_eq!((last.next_timer, owed(&member, 1)), (None, vec![]));
    let heard = member.heard(1);
    let ends: Vec<u32> =
        heard.lines().map(|line| line.strip_prefix("end ").unwrap().parse().unwrap()).collect();
    assert_eq!((ends.len(), ends.is_sorted()), (40, true));
}

#[test]
fn replacing_a_module_has_what_its_spaces_are_owed_tried_soon() {
    let mut member = Member::formed();
    owing(&mut member, 2);
    let now = member.machine.head().time.0;
    member.one(Action::InstallRecipe { module: SCRIPT_1_DOCS.into(), replace: true }).unwrap();
    for later in 0..3 {
        member.tick(now + later);
    }
    assert_eq!((next(&member), owed(&member, 1)), (None, vec![]));
}

#[test]
fn an_upgrade_hastens_so_many_at_once() {
    let mut member = Member::formed();
    let payload: Blob = encode(&vec![FAIL]).into();
    for _ in 0..3 {
        member.run(&[times(200, Step::SetTimer(5, payload.clone()))]).unwrap();
    }
    while member.counts().3 > 0 {
        member.tick(5);
    }
    assert_eq!(owed(&member, 1).len(), 600);
    member.one(install(SCRIPT_2)).unwrap();
    member.one(Action::UpgradeSpace { name: space("a"), to: 2 }).unwrap();
    let soon =
        |member: &Member, at: u64| owed(member, 1).iter().filter(|record| record.next_try.0 <= at).count();
    member.tick(5);
    assert_eq!(soon(&member, 6), 256);
    member.tick(6);
    assert_eq!(soon(&member, 7), 511, "one failed again, and the next tries of the space wait for a while");
}

#[test]
fn an_operator_runs_or_drops_what_is_owed() {
    let mut member = Member::formed();
    owing(&mut member, 3);
    member.run(&[when("at end", &[FAIL])]).unwrap();
    assert_eq!(member.one(settle("a", 2, Settling::Run)), Ok(Reply::Settled(Settled::Failed(Fault::Trap))));
    assert_eq!(owed(&member, 1)[1].hook.tries, 8);
    member.run(&[when("at end", &[])]).unwrap();
    assert_eq!(member.one(settle("a", 2, Settling::Run)), Ok(Reply::Settled(Settled::Done)));
    assert_eq!(member.one(settle("a", 2, Settling::Run)), Err(Rejection::UnknownOwed));
    assert_eq!(member.one(settle("a", 1, Settling::Drop)), Ok(Reply::Settled(Settled::Dropped)));
    assert_eq!(member.one(settle("b", 3, Settling::Drop)), Err(Rejection::UnknownSpace));
    assert_eq!((owed(&member, 1).len(), member.heard(1).lines().count()), (1, 1));
    assert_eq!(member.one(settle("a", 3, Settling::Drop)), Ok(Reply::Settled(Settled::Dropped)));
    assert_eq!((next(&member), member.state.rows(Table::Timers).count()), (None, 0));
}

#[test]
fn deleting_a_space_drops_what_it_is_owed() {
    let mut member = Member::formed();
    owing(&mut member, 5);
    member.one(Action::DeleteSpace { name: space("a") }).unwrap();
    assert_eq!((next(&member), member.machine.head().counts.owed), (None, 0));
    assert_eq!(member.state.rows(Table::Timers).count(), 0);
}

#[test]
fn a_space_whose_hooks_always_fail_pauses_and_delays_no_other() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    let fails: Blob = encode(&vec![FAIL]).into();
    member.run(&[times(100, Step::SetTimer(5, fails))]).unwrap();
    let once = vec![put("n", "1"), Step::SetTimer(0, encode(&vec![put("late", "1")]).into())];
    member.one(call(2, &[Step::SetTimer(5, encode(&[once, vec![FAIL]].concat()).into())])).unwrap();
    member.tick(5);
    assert_eq!((owed(&member, 1).len(), owed(&member, 2).len()), (100, 1));
    member.vm.invoked.clear();
    for stamp in 1_005..1_505 {
        member.tick(stamp);
    }
    let tried = |space| member.vm.invoked.iter().filter(|(of, ..)| *of == SpaceId(space)).count();
    assert_eq!((tried(1), tried(2)), (2, 1));
}

#[test]
fn sessions_are_refused_where_too_much_is_owed() {
    let mut member = Member::formed();
    let (inside, outside) = (joined(&mut member, 1), member.open(2));
    member.request(inside, id(2), &[Step::Now]).unwrap();
    let line = Line { items: limits::SPACE_OWED, first: (Time(9), 1), place: (Time(9), 1) };
    let key = Lane::Owed.line_key(SpaceId(1));
    member.state.commit(&[Write::Put { table: Table::Timers, key, value: encode(&line) }]);
    member.machine.head.counts.owed = u64::from(limits::SPACE_OWED);
    let mut call = |session, request, steps: &[Step]| {
        member.command_unchecked(in_session(session, 1, id(request), steps)).result
    };
    assert_eq!(call(outside, 1, &[]), Err(Rejection::TooManyOwed));
    assert_eq!(call(outside, 1, &[]), Err(Rejection::TooManyOwed), "it is the request's outcome");
    assert!(call(inside, 3, &[]).is_ok());
    assert_eq!(member.command_unchecked(cancel(inside, 2)).result, Err(Rejection::TooManyOwed));
    let late = member.command_unchecked(command(self::call(1, &[Step::SetTimer(5, Blob(vec![]))])));
    assert_eq!(late.result, Err(Rejection::Fault(Fault::TooManySpaceTimers)));
}

#[test]
fn the_end_of_a_session_puts_hooks_off_when_it_has_run_enough() {
    let mut member = Member::formed();
    let session = joined(&mut member, 1);
    let spaces: Vec<u32> = (1..=8).collect();
    for space in &spaces[1..] {
        member.one(create(&format!("s{space}"))).unwrap();
        let request = Request { id: RequestId(u64::from(*space)), ..Request::default() };
        member.command(in_session(session, *space, request, &[])).result.unwrap();
    }
    let burnt = limits::CALL_FUEL - limits::CALL_FUEL / 20;
    for space in &spaces {
        member.one(call(*space, &[when("at end", &[Step::Burn(burnt)])])).unwrap();
    }
    let enough = limits::ENTRY_FUEL.div_ceil(burnt) as usize;
    let ended = member.apply(0, [end(session)]);
    let heard = |member: &Member| spaces.iter().filter(|space| !member.heard(**space).is_empty()).count();
    assert_eq!((heard(&member), ended.next_timer), (enough, Some(Time(1))));
    let [late] = owed(&member, 8).try_into().unwrap();
    let Revision(since) = late.hook.since;
    assert_eq!((late.hook.fault, late.hook.tries, since), (None, 0, ended.outcomes[0].outcome.revision.0));
    for done in enough + 1..=spaces.len() {
        assert!(member.tick(1).next_timer.is_none() == (done == spaces.len()) && heard(&member) == done);
    }
}

#[test]
fn a_hook_does_its_work_in_parts_in_order_and_others_come_between() {
    let mut member = Member::formed();
    let session = joined(&mut member, 1);
    for row in 0..10 {
        member.run(&[put(&format!("held {row}"), "1")]).unwrap();
    }
    member.run(&[when("at end", &[Step::Sweep("held ".into(), 4)])]).unwrap();
    let ended = member.apply(0, [end(session)]);
    let [going_on] = owed(&member, 1).try_into().unwrap();
    assert_eq!((going_on.hook.fault, going_on.hook.tries, ended.next_timer), (None, 0, Some(Time(1))));
    let left = |member: &mut Member| {
        member.run(&[range("held ", "held :", synod_abi::Direction::Forward, 10)]).unwrap()
    };
    assert_eq!(left(&mut member).len(), 6 + 1);
    let again = member.apply(1, [Action::Tick, Action::Tick]);
    assert_eq!((left(&mut member).len(), again.next_timer), (2 + 1, Some(Time(2))), "one part a millisecond");
    member.restart();
    assert_eq!(member.tick(2).next_timer, None);
    assert_eq!((left(&mut member), owed(&member, 1)), (vec!["end".to_owned()], vec![]));
    assert_eq!(directory::hook_failures(&member.state, SpaceId(1)), Ok(None));
}

#[test]
fn a_part_that_fails_is_tried_again_and_what_was_done_before_stays() {
    let mut member = Member::formed();
    member.run(&[Step::SetTimer(5, encode(&vec![Step::Count("n".into()), Step::More]).into())]).unwrap();
    member.tick(5);
    assert_eq!(owed(&member, 1)[0].next_try, Time(6));
    member.tick(6);
    assert_eq!(member.one(settle("a", 1, Settling::Run)), Ok(Reply::Settled(Settled::More)));
    assert_eq!(member.run(&[get("n")]).unwrap(), ["\u{3}"]);
    assert_eq!(member.one(settle("a", 1, Settling::Drop)), Ok(Reply::Settled(Settled::Dropped)));
}

#[test]
fn a_million_rows_of_a_session_go_in_parts_that_other_calls_do_not_wait_for() {
    let mut member = Member::formed();
    let session = joined(&mut member, 1);
    let rows = 1_000_000;
    for part in 0..rows / 10_000 {
        let row = |row: u32| Step::Put(format!("held {part} {row:04}").as_str().into(), Blob(vec![]));
        member.run(&(0..10_000).map(row).collect::<Vec<_>>()).unwrap();
    }
    member.run(&[when("at end", &[Step::Sweep("held ".into(), 1_000)])]).unwrap();
    member.one(end(session)).unwrap();
    let mut ticks = 0;
    while let Some(due) = next(&member) {
        ticks += 1;
        let applied = member.apply(due.0, [Action::Tick, call(1, &[put("k", "v")])]);
        assert!(applied.writes.len() < 1_100 && applied.outcomes[1].outcome.result.is_ok());
    }
    assert_eq!((ticks, owed(&member, 1)), (rows / 1_000 - 1, vec![]));
}
