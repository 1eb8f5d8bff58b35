//! Timers, in order and never early.
use std::cell::RefCell;
use std::rc::Rc;

use synod_abi::{Blob, Direction, EntryPoint, Fault, SpaceId, Time, encode, limits};

use crate::testing::*;
use crate::*;

fn set(at: u64, steps: &[Step]) -> Step {
    Step::SetTimer(at, encode(steps).into())
}

fn row(member: &mut Member, key: &str) -> String {
    member.run(&[get(key)]).unwrap().remove(0)
}

#[test]
fn timers_fire_in_the_order_of_time_and_number_and_never_early() {
    let mut member = Member::formed();
    let set = member.run(&[set(30, &[]), set(10, &[]), set(20, &[]), set(10, &[])]).unwrap();
    assert_eq!(
        (set, member.machine.next_due.first()),
        (["1", "2", "3", "4"].map(String::from).to_vec(), Some(Time(10)))
    );
    assert_eq!(member.tick(9).next_timer, Some(Time(10)));
    assert_eq!(member.heard(1), "");
    assert_eq!(member.tick(20).next_timer, Some(Time(30)));
    assert_eq!(member.heard(1), "timer 2 at 20\ntimer 4 at 20\ntimer 3 at 20\n");
    member.restart();
    assert_eq!((member.machine.next_due.first(), member.counts().3), (Some(Time(30)), 1));
    assert_eq!(member.tick(35).next_timer, None);
    assert!(member.heard(1).ends_with("timer 1 at 35\n"));
    assert_eq!(member.counts().3, 0);
    assert_eq!(member.state.rows(Table::Timers).count(), 0);
}

#[test]
fn a_cancelled_timer_does_not_fire() {
    let mut member = Member::formed();
    member.run(&[set(10, &[]), set(20, &[])]).unwrap();
    assert_eq!(
        member.run(&[Step::CancelTimer(1), Step::CancelTimer(1), Step::CancelTimer(7)]).unwrap(),
        ["1", "0", "0"]
    );
    assert_eq!(member.machine.next_due.first(), Some(Time(20)));
    member.tick(50);
    assert_eq!(
        (member.heard(1), member.run(&[Step::CancelTimer(2)]).unwrap()),
        ("timer 2 at 50\n".into(), vec!["0".to_string()])
    );
}

#[test]
fn a_rejected_call_sets_and_cancels_nothing() {
    let mut member = Member::formed();
    member.run(&[set(10, &[])]).unwrap();
    for end in [Step::Refuse(1), Step::Fault(Fault::Trap)] {
        assert!(member.run(&[set(5, &[]), Step::CancelTimer(1), end]).is_err());
        assert_eq!((member.machine.next_due.first(), member.counts().3), (Some(Time(10)), 1));
    }
    assert_eq!(member.run(&[set(7, &[])]).unwrap(), ["2"]);
}

#[test]
fn what_a_hook_sets_for_a_time_that_has_passed_fires_in_a_later_tick() {
    let mut member = Member::formed();
    member
        .run(&[set(10, &[set(3, &[put("k", "v")]), Step::CancelTimer(2)]), set(11, &[put("never", "")])])
        .unwrap();
    let first = member.tick(20);
    assert_eq!(
        (member.heard(1), first.next_timer),
        ("timer 1 at 20\n".into(), Some(Time(21))),
        "and what it cancels does not fire"
    );
    assert_eq!(member.tick(20).next_timer, Some(Time(21)));
    assert_eq!(member.tick(21).next_timer, None);
    assert_eq!((row(&mut member, "k"), row(&mut member, "never")), ("v".into(), "absent".into()));
}

#[test]
fn a_tick_fires_so_many_and_the_rest_follow_in_the_next() {
    let mut member = Member::formed();
    let timers = limits::TICK_TIMERS + 10;
    member.apply(0, (0..timers / 2).map(|_| call(1, &[set(5, &[]), set(5, &[put("k", "v")])])));
    assert_eq!((member.tick(5).next_timer, member.counts().3), (Some(Time(5)), 10));
    let fired = |member: &Member| {
        member.vm.invoked.iter().filter(|(_, entry_point, _)| *entry_point == EntryPoint::Timer).count()
    };
    assert_eq!(fired(&member), limits::TICK_TIMERS);
    let applied = member.apply(5, [Action::Tick, call(1, &[get("k")]), Action::Tick]);
    assert_eq!((fired(&member), applied.next_timer), (timers, None));
}

#[test]
fn a_tick_stops_when_it_has_written_much() {
    let mut member = Member::formed();
    let timers = (limits::ENTRY_WRITE_BYTES / 3).div_ceil(15 * limits::VALUE_BYTES) + 2;
    member.apply(0, (0..timers).map(|_| call(1, &[set(5, &[Step::Fill(15)])])));
    assert_eq!(member.tick(5).next_timer, Some(Time(5)));
    assert_eq!(member.counts().3, 2);
    assert_eq!(member.tick(5).next_timer, None);
}

#[test]
fn a_failing_timer_is_rolled_back_counted_and_owed() {
    let mut member = Member::formed();
    member
        .run(&[
            set(1, &[put("k", "v"), Step::Fault(Fault::OutOfFuel)]),
            set(2, &[put("l", "v")]),
            Step::SetTimer(3, Blob(vec![])),
        ])
        .unwrap();
    let tick = member.tick(5).outcomes.remove(0).outcome;
    assert_eq!(tick.result, Ok(Reply::Done));
    let failures = directory::HookFailures {
        count: 2,
        revision: tick.revision,
        why: DeliveryFailure::Fault(Fault::BadArguments),
    };
    assert_eq!(directory::hook_failures(&member.state, SpaceId(1)), Ok(Some(failures)));
    assert_eq!(
        (row(&mut member, "k"), row(&mut member, "l"), member.counts().3),
        ("absent".into(), "v".into(), 0)
    );
    assert_eq!(owed::owed_count(&member.state, SpaceId(1)), Ok(2));
}

#[test]
fn timers_outlive_upgrades_and_replacements_of_their_recipe() {
    let mut member = Member::formed();
    member.run(&[set(5, &[put("k", "v")]), set(6, &[put("l", "v")])]).unwrap();
    member.one(install(SCRIPT_2)).unwrap();
    member.one(Action::UpgradeSpace { name: space("a"), to: 2 }).unwrap();
    member.tick(5);
    member.one(Action::InstallRecipe { module: SCRIPT_2_DOCS.into(), replace: true }).unwrap();
    member.tick(6);
    assert_eq!((row(&mut member, "k"), row(&mut member, "l")), ("v".into(), "v".into()));
}

#[test]
fn a_recipe_without_a_hook_lets_its_timers_pass() {
    let mut member = Member::formed();
    member.one(install(OTHER_1)).unwrap();
    let other = Action::CreateSpace {
        name: space("b"),
        recipe: synod_abi::RecipeName::new("other").unwrap(),
        version: None,
    };
    member.one(other).unwrap();
    member.one(call(2, &[set(5, &[put("k", "v")])])).unwrap();
    assert_eq!((member.tick(5).next_timer, member.heard(2)), (None, String::new()));
}

#[test]
fn deleting_a_space_removes_its_timers_in_bounded_steps() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    for _ in 0..10 {
        member.apply(
            0,
            [call(1, &vec![Step::SetTimer(1_000, Blob(vec![])); 1_000]), call(2, &[set(2_000, &[])])],
        );
    }
    assert_eq!(member.counts().3, 10_010);
    let deleted = member.apply(0, [Action::DeleteSpace { name: space("a") }]);
    assert_eq!(deleted.next_timer, Some(Time(0)), "what is left is removed as soon as a leader ticks");
    let mut ticks = 0;
    while member.machine.next_due.first() == Some(Time(0)) {
        member.tick(0);
        ticks += 1;
    }
    assert_eq!((ticks, member.counts().3, member.machine.next_due.first()), (2, 10, Some(Time(2_000))));
}

#[test]
fn timers_of_a_deleted_space_that_are_still_there_do_nothing() {
    let mut member = Member::formed();
    member.apply(0, (0..9).map(|_| call(1, &vec![Step::SetTimer(1, Blob(vec![])); 1_000])));
    member.one(Action::DeleteSpace { name: space("a") }).unwrap();
    member.vm.invoked.clear();
    member.apply(1, [Action::Tick, Action::Tick, Action::Tick]);
    assert_eq!((member.vm.invoked.len(), member.counts().3), (0, 0));
}

/// Steps that set a timer for time 0 that does the same, so many times.
fn again(times: u32) -> Vec<Step> {
    (0..times).fold(Vec::new(), |steps, _| vec![set(0, &steps)])
}

#[test]
fn timers_that_are_set_for_the_past_again_and_again_keep_no_other_from_firing() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    let session = member.open(1);
    member.commands(10, (0..64).map(|_| command(call(1, &again(40)))).collect());
    let by = Request { wait_ms: Some(5), ..id(1) };
    let waits = in_session(session, 1, by, &[Step::Wait]);
    member.commands(10, vec![waits, command(call(2, &[set(15, &[put("k", "v")])]))]);
    for stamp in 16..20 {
        let ended = member.tick(stamp).completions.len();
        let fired = member.state.get(Table::State, &[&[0, 0, 0, 2], b"k".as_slice()].concat()).unwrap();
        if ended > 0 && fired.is_some() {
            return;
        }
    }
    panic!("the timer of another space and the deadline of a wait are still due");
}

#[test]
fn one_space_leaves_timers_to_the_others() {
    let mut member = Member::formed();
    let set = vec![Step::SetTimer(1_000, Blob(vec![])); 10_000];
    let refused =
        (0..11).find_map(|_| member.apply(0, [call(1, &set)]).outcomes.remove(0).outcome.result.err());
    assert!(matches!(refused, Some(Rejection::Fault(_))), "{refused:?}");
    member.one(create("b")).unwrap();
    assert!(member.one(call(2, &set)).is_ok());
}

#[test]
fn a_timer_in_the_past_fires_a_millisecond_later_and_one_at_the_end_of_time_stays() {
    let mut member = Member::formed();
    let applied = member.apply(10, [call(1, &[set(0, &[put("k", "v")]), set(u64::MAX, &[])])]);
    assert_eq!(applied.next_timer, Some(Time(11)));
    assert_eq!(member.tick(10).next_timer, Some(Time(11)));
    assert_eq!(member.tick(11).next_timer, Some(Time(u64::MAX)));
    assert_eq!((row(&mut member, "k"), member.counts().3), ("v".into(), 1));
}

/// Counts reads of the table of timers.
#[derive(Clone)]
struct Counting(MemoryState, Rc<RefCell<u64>>);

impl StateView for Counting {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        *self.1.borrow_mut() += u64::from(table == Table::Timers);
        self.0.get(table, key)
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        *self.1.borrow_mut() += u64::from(table == Table::Timers);
        self.0.range(table, from, to, direction, limit)
    }
}

#[test]
fn a_tick_reads_little_for_each_timer() {
    let mut member = Member::formed();
    for at in 0..4 {
        member.apply(0, [call(1, &vec![Step::SetTimer(5 + at % 2, Blob(vec![])); 1_024])]);
    }
    let Member { mut machine, mut state, mut vm, mut index, .. } = member;
    let (set, reads) = (index, Rc::new(RefCell::new(0)));
    let tick = encode(&Entry { stamp: Time(10), commands: vec![command(Action::Tick)] });
    while machine.head().counts.timers > 0 {
        index += 1;
        let applied = machine.apply(Counting(state.clone(), reads.clone()), &mut vm, index, &tick).unwrap();
        state.commit(&applied.writes);
    }
    assert_eq!(index, set + 4, "each tick fires its whole number");
    assert!(*reads.borrow() <= 4_096 / 3, "{} reads for 4,096 timers", reads.borrow());
}

#[test]
fn a_hundred_thousand_pending_timers_cost_nothing_while_idle() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    for n in 0..10 {
        let timers: Vec<Step> =
            (0..1_000).map(|at| Step::SetTimer(1_000_000 + n * 1_000 + at, Blob(vec![]))).collect();
        member.apply(0, (0..10).map(|space| call(1 + space % 2, &timers)));
    }
    assert_eq!(member.counts().3, 100_000);
    let Member { mut machine, state, mut vm, index, .. } = member;
    let reads = Rc::new(RefCell::new(0));
    let entry = |commands: Vec<Action>| {
        encode(&Entry { stamp: Time(10), commands: commands.into_iter().map(command).collect() })
    };
    let apply = |machine: &mut Machine, vm: &mut ScriptVm, index: u64, commands: Vec<Action>| {
        let before = *reads.borrow();
        let applied =
            machine.apply(Counting(state.clone(), reads.clone()), vm, index, &entry(commands)).unwrap();
        assert!(applied.outcomes.iter().all(|outcome| outcome.outcome.result.is_ok()));
        (applied.next_timer, *reads.borrow() - before)
    };
    let untouched = vec![call(1, &[put("k", "v"), get("k")]), open(1)];
    assert_eq!(apply(&mut machine, &mut vm, index + 1, untouched), (Some(Time(1_000_000)), 0));
    let (next, setting) = apply(&mut machine, &mut vm, index + 2, vec![call(1, &[set(500, &[])])]);
    assert_eq!((next, setting), (Some(Time(500)), 1), "setting one reads how many its space has");
}
