//! What a call pays for, the same alone and among others, and what defers the commands of an entry.
use proptest::prelude::*;
use synod_abi::{Direction, Fault, SpaceId, costs, limits};

use crate::testing::*;
use crate::*;

/// How many commands of an entry were carried out; the rest are deferred.
fn carried_out(applied: &Applied) -> usize {
    let is_deferred = |outcome: &CommandOutcome| outcome.outcome.result == Err(Rejection::Deferred);
    let done = applied.outcomes.iter().take_while(|outcome| !is_deferred(outcome)).count();
    assert!(applied.outcomes[done..].iter().all(|outcome| is_deferred(outcome) && outcome.cost == 0));
    done
}

#[test]
fn what_commands_answer_counts_towards_their_entry() {
    let mut member = Member::formed();
    member.run(&[put("k", &"x".repeat(60_000))]).unwrap();
    let answer = 16 * 60_000;
    let applied = member.apply(0, (0..100).map(|_| call(1, &[times(16, get("k"))])));
    let done = carried_out(&applied);
    assert_eq!(done, limits::ENTRY_WRITE_BYTES / answer + 1);
}

#[test]
fn deletes_of_what_is_not_there_are_bounded_too() {
    let mut member = Member::formed();
    let deletes = 1_000;
    let applied = member.apply(0, (0..900).map(|_| call(1, &[times(deletes, delete("absent"))])));
    let done = carried_out(&applied);
    let cost: u64 = applied.outcomes.iter().map(|outcome| outcome.cost).sum();
    assert!(cost < limits::ENTRY_COST + limits::CALL_FUEL);
    assert!(done * deletes as usize * limits::ROW_BYTES < limits::ENTRY_WRITE_BYTES, "{done}");
    assert!(done < 100, "{done} of 900 calls that delete nothing");
}

#[test]
fn what_commands_cost_counts_towards_their_entry_and_the_first_is_never_deferred() {
    let mut member = Member::formed();
    let half = || call(1, &[Step::Burn(limits::CALL_FUEL / 2)]);
    let applied = member.apply(0, (0..20).map(|_| half()));
    assert_eq!(carried_out(&applied) as u64, limits::ENTRY_COST / (limits::CALL_FUEL / 2));
    let all = || call(1, &[times(16_000, put("k", "v")), Step::Burn(limits::CALL_FUEL)]);
    for _ in 0..2 {
        let applied = member.apply(0, (0..20).map(|_| all()));
        let done = carried_out(&applied);
        assert!((1..=4).contains(&done), "{done}");
    }
}

#[test]
fn a_scan_over_what_neighbours_deleted_costs_the_entry_and_not_the_call() {
    let first = || call(1, &[range("k", "l", Direction::Forward, 1)]);
    let run = |together: bool| {
        let mut member = Member::formed();
        let rows: Vec<Step> = (0..3_000).map(|n| put(&format!("k{n}"), "v")).collect();
        let gone: Vec<Step> = (0..2_999).map(|n| delete(&format!("k{n}"))).collect();
        member.run(&rows).unwrap();
        let delete = call(1, &gone);
        let entries = if together {
            vec![vec![delete, first(), first()]]
        } else {
            vec![vec![delete], vec![first()], vec![first()]]
        };
        let outcomes: Vec<CommandOutcome> =
            entries.into_iter().flat_map(|entry| member.apply(0, entry).outcomes).collect();
        let fuel: Vec<u64> = outcomes.iter().map(|outcome| outcome.fuel).collect();
        let cost: Vec<u64> = outcomes.iter().map(|outcome| outcome.cost).collect();
        (fuel, cost)
    };
    let ((alone, alone_cost), (fuel, cost)) = (run(false), run(true));
    assert_eq!(alone, fuel);
    assert_eq!(alone_cost[1], alone_cost[2]);
    assert_eq!(cost[1] - alone_cost[1], 2_999 * costs::HIDDEN_ROW);
    assert_eq!(cost[2], alone_cost[2], "what was learnt is not walked again");
}

#[test]
fn arguments_and_answers_are_paid_for() {
    let mut member = Member::formed();
    let mut fuel = |steps: &[Step]| member.apply(0, [call(1, steps)]).outcomes[0].fuel;
    let empty = fuel(&[]);
    let logs = Step::Log("x".repeat(1_000));
    let logged = 64 * (costs::HOST_CALL + costs::LOG + 1_000 * costs::LOGGED_BYTE);
    let args = synod_abi::encode(&vec![logs.clone(); 64]).len() - synod_abi::encode::<[Step]>(&[]).len();
    assert_eq!(fuel(&vec![logs; 64]) - empty, logged + args as u64 * costs::ARGUMENT_BYTE);
    fuel(&[put("k", &"x".repeat(60_000))]);
    let (one, two) = (fuel(&[get("k")]), fuel(&[times(2, get("k"))]));
    let answer = 60_000 * (costs::READ_BYTE + costs::RESULT_BYTE);
    assert!((answer..answer + 5_000).contains(&(one - empty)), "{}", one - empty);
    assert!((answer..answer + 5_000).contains(&(two - one)), "{}", two - one);
}

#[test]
fn a_call_that_cannot_pay_for_its_answer_is_out_of_fuel_and_leaves_nothing() {
    let mut member = Member::formed();
    member.run(&[put("k", &"x".repeat(60_000))]).unwrap();
    let steps = |burnt| [put("new", "v"), times(16, get("k")), Step::Burn(burnt)];
    let left = limits::CALL_FUEL - member.apply(0, [call(1, &steps(0))]).outcomes[0].fuel;
    assert!(member.run(&steps(left - 1_000)).is_ok());
    member.run(&[delete("new")]).unwrap();
    let outcome = member.apply(0, [call(1, &steps(left + 1_000))]).outcomes.remove(0);
    assert_eq!(outcome.outcome.result, Err(Rejection::Fault(Fault::OutOfFuel)));
    assert_eq!(outcome.fuel, limits::CALL_FUEL);
    assert_eq!(member.run(&[get("new")]).unwrap(), ["absent"]);
    assert!(member.vm.discarded.contains(&SpaceId(1)), "the instance remembers what was discarded");
}

#[test]
fn each_delivery_is_paid_by_its_cause() {
    let fuel = |filters: &[&str], events: u32| {
        let mut member = Member::formed();
        for name in ["b", "c"] {
            member.one(create(name)).unwrap();
        }
        member.one(bind("b", "a", "t", OnFailure::Reject)).unwrap();
        for filter in filters {
            member.one(bind("c", "a", filter, OnFailure::Reject)).unwrap();
        }
        member.apply(0, [call(1, &[times(events, emit("t", ""))])]).outcomes[0].fuel
    };
    let delivered = costs::BINDING + costs::DELIVERY + costs::ENTER;
    let (none, one, two) = (fuel(&[], 0), fuel(&[], 1), fuel(&[], 2));
    assert!(one > none + costs::EMIT + delivered && two > one + costs::EMIT + delivered);
    assert_eq!(fuel(&["other"], 1), one + costs::BINDING, "a filter that does not match is compared with");
    assert!(fuel(&["t"], 1) > one + delivered);
}

fn step() -> impl Strategy<Value = Step> {
    let key = || (0..30_u8).prop_map(|n| format!("k{n:02}"));
    prop_oneof![
        6 => (key(), 0..40_usize).prop_map(|(key, len)| put(&key, &"v".repeat(len))),
        12 => key().prop_map(|key| delete(&key)),
        2 => key().prop_map(|key| get(&key)),
        6 => (key(), key(), any::<bool>(), 1..6_u32).prop_map(|(from, to, backward, rows)| {
            range(&from, &to, if backward { Direction::Backward } else { Direction::Forward }, rows)
        }),
        4 => Just(range("k", "l", Direction::Forward, 1)),
        1 => Just(Step::Refuse(1)),
    ]
}

fn outcomes_and_fuel(calls: &[Vec<Step>], of: usize) -> Vec<(Outcome, u64)> {
    let mut member = Member::formed();
    let rows: Vec<Step> = (0..30).map(|n| put(&format!("k{n:02}"), "first")).collect();
    member.run(&rows).unwrap();
    let mut all = Vec::new();
    for batch in calls.chunks(of) {
        let applied = member.apply(1, batch.iter().map(|steps| call(1, steps)));
        all.extend(applied.outcomes.into_iter().map(|outcome| (outcome.outcome, outcome.fuel)));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn outcomes_and_fuel_do_not_depend_on_neighbours(
        calls in prop::collection::vec(prop::collection::vec(step(), 0..30), 1..40),
    ) {
        let alone = outcomes_and_fuel(&calls, 1);
        for of in [7, 32] {
            prop_assert_eq!(&outcomes_and_fuel(&calls, of), &alone);
        }
    }
}
