//! Histories with known verdicts, told in time lines.
use super::*;
use crate::models::counter::{self, Counter};
use crate::models::kv::{Input, Kv, Output, Row};
use crate::violation::Property;

type Op = Operation<Input<u64>, Output<u64>>;

fn put(interval: (u64, u64), value: u64, written: (u64, u64)) -> Op {
    let (revision, version) = written;
    Operation::done(1, interval.0, interval.1, Input::Put(value), Output::Written { revision, version })
}

/// A read of a row that was written once.
fn get(interval: (u64, u64), value: u64, revision: u64) -> Op {
    let row = Row { value, created: revision, revision, version: 1 };
    Operation::done(2, interval.0, interval.1, Input::Get, Output::Row(Some(row)))
}

fn absent(interval: (u64, u64)) -> Op {
    Operation::done(3, interval.0, interval.1, Input::Get, Output::Row(None))
}

fn verdict(operations: &[Op]) -> Verdict {
    check(&Kv::default(), operations, Steps(10_000))
}

fn why(operations: &[Op]) -> String {
    let violation = verdict(operations).violation().expect("a violation");
    assert_eq!(violation.property, Property::Linearizable);
    violation.why
}

#[test]
fn nothing_is_linearizable() {
    assert_eq!(verdict(&[]), Verdict::Linearizable);
    assert_eq!(verdict(&[Operation::unknown(1, 5, Input::Put(1))]), Verdict::Linearizable);
}

#[test]
fn concurrent_operations_take_effect_in_any_order() {
    let write = put((10, 40), 7, (100, 1));
    assert_eq!(verdict(&[absent((20, 30)), write.clone()]), Verdict::Linearizable);
    assert_eq!(verdict(&[get((20, 30), 7, 100), write]), Verdict::Linearizable);
}

#[test]
fn a_read_after_a_write_sees_it() {
    let why = why(&[put((10, 20), 7, (100, 1)), absent((30, 40))]);
    assert!(why.starts_with("no order explains\n    client 3: Get → Row(None) [30, 40]"), "{why}");
    assert!(why.contains("client 1: Put(7) → Written { revision: 100, version: 1 } [10, 20]"), "{why}");
}

#[test]
fn equal_times_are_concurrent() {
    assert_eq!(verdict(&[put((10, 20), 7, (100, 1)), absent((20, 40))]), Verdict::Linearizable);
}

#[test]
fn two_reads_do_not_see_a_write_come_and_go() {
    let write = put((10, 90), 7, (100, 1));
    let why = why(&[write, get((20, 30), 7, 100), absent((40, 50))]);
    assert!(why.starts_with("no order explains\n    client 3: Get"), "{why}");
}

#[test]
fn an_unknown_write_takes_effect_at_any_time_after_its_call_or_never() {
    let lost = Operation::unknown(9, 10, Input::Put(7));
    assert_eq!(verdict(&[lost.clone(), absent((20, 30))]), Verdict::Linearizable);
    let late = [lost.clone(), absent((20, 30)), get((40, 50), 7, 100), get((60, 70), 7, 100)];
    assert_eq!(verdict(&late), Verdict::Linearizable);
    let gone = [lost.clone(), get((20, 30), 7, 100), absent((40, 50))];
    assert!(why(&gone).contains("client 3: Get → Row(None) [40, 50]"));
    let early = [get((1, 5), 7, 100), lost];
    assert!(why(&early).contains("[1, 5]"));
}

#[test]
fn an_unknown_write_takes_effect_once() {
    let lost = Operation::unknown(9, 10, Input::Put(7));
    let remove = Operation::done(1, 30, 40, Input::Delete, Output::Deleted(true));
    let twice = [lost, get((20, 25), 7, 100), remove, get((50, 60), 7, 102)];
    let why = why(&twice);
    assert!(why.contains("Delete → Deleted(true) [30, 40]\nafter which there could not be"), "{why}");
    assert!(why.contains("[50, 60]"), "{why}");
}

#[test]
fn revisions_grow_and_versions_count() {
    assert_eq!(verdict(&[put((1, 2), 7, (5, 1)), put((3, 4), 8, (6, 2))]), Verdict::Linearizable);
    why(&[put((1, 2), 7, (5, 1)), put((3, 4), 8, (5, 2))]);
    why(&[put((1, 2), 7, (5, 1)), put((3, 4), 8, (6, 1))]);
}

#[test]
fn the_revision_of_an_unknown_write_is_what_a_read_tells() {
    let lost = Operation::unknown(9, 10, Input::Put(7));
    let swap = |expected| {
        let input = Input::CompareAndSet { expected, value: 8 };
        Operation::done(1, 40, 50, input, Output::Written { revision: 200, version: 2 })
    };
    assert_eq!(verdict(&[lost.clone(), get((20, 30), 7, 100), swap(100)]), Verdict::Linearizable);
    why(&[lost, get((20, 30), 7, 100), swap(99)]);
}

#[test]
fn only_one_of_two_that_compare_and_set_wins() {
    let swap = |client, value, output| {
        Operation::done(client, 10, 50, Input::CompareAndSet { expected: 0, value }, output)
    };
    let first = swap(1, 7, Output::Written { revision: 5, version: 1 });
    let refused = swap(2, 8, Output::Conflict { current: 5 });
    assert_eq!(verdict(&[first.clone(), refused]), Verdict::Linearizable);
    why(&[first, swap(2, 8, Output::Written { revision: 6, version: 1 })]);
}

#[test]
fn an_increment_is_not_lost() {
    let add = |client, interval: (u64, u64), sum| {
        let output = counter::Output::Value(sum);
        Operation::done(client, interval.0, interval.1, counter::Input::Add(1), output)
    };
    let good = [add(1, (10, 40), 2), add(2, (20, 30), 1)];
    assert_eq!(check(&Counter, &good, Steps(100)), Verdict::Linearizable);
    let bad = [add(1, (10, 40), 1), add(2, (20, 30), 1)];
    assert!(matches!(check(&Counter, &bad, Steps(100)), Verdict::Violation(_)));
}

/// Forty increments of which nobody knows, and a sum that some of them explain.
#[test]
fn many_unknown_operations_that_are_alike_are_no_burden() {
    let history = |sum| {
        let lost = (0..40).map(|client| Operation::unknown(client, 10, counter::Input::Add(1)));
        let get = Operation::done(99, 20, 30, counter::Input::Get, counter::Output::Value(sum));
        lost.chain([get]).collect::<Vec<_>>()
    };
    assert_eq!(check(&Counter, &history(37), Steps(1_000)), Verdict::Linearizable);
    assert!(matches!(check(&Counter, &history(41), Steps(1_000)), Verdict::Violation(_)));
}

#[test]
fn a_search_ends_when_its_steps_are_used_up() {
    let history = [put((10, 20), 7, (100, 1)), absent((30, 40))];
    assert_eq!(check(&Kv::default(), &history, Steps(1)), Verdict::Undecided);
}

#[test]
fn objects_are_independent_and_the_bad_one_is_named() {
    let keyed = |key: &'static str, operation: Op| {
        let Operation { client, invoked, returned, input, outcome } = operation;
        Operation { client, invoked, returned, input: Keyed { key, input }, outcome }
    };
    let good = [keyed("a", put((10, 20), 7, (100, 1))), keyed("b", absent((30, 40)))];
    assert_eq!(check_by_key(&Kv::default(), &good, Steps(100)), Verdict::Linearizable);
    let bad = [keyed("a", put((10, 20), 7, (100, 1))), keyed("b", get((30, 40), 7, 100))];
    let violation = check_by_key(&Kv::default(), &bad, Steps(100)).violation().expect("a violation");
    assert!(violation.why.starts_with("object \"b\": no order explains"), "{violation}");
}

#[test]
fn a_malformed_history_is_a_fault_of_the_record() {
    let bad = [put((20, 10), 7, (100, 1))];
    assert_eq!(verdict(&bad).violation().map(|found| found.property), Some(Property::WellFormed));
}
