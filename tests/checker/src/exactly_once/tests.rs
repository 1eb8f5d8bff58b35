//! Sums and queues that are right, and one change for each way to be wrong.
use super::*;

#[track_caller]
fn assert_wrong(verdict: Result<(), Violation>, property: Property, names: &str) {
    let violation = verdict.expect_err("a violation");
    assert_eq!(violation.property, property, "{violation}");
    assert!(violation.why.contains(names), "{names} is not named: {violation}");
}

fn increment(id: u64, by: i64, sum: Option<i64>) -> Increment {
    Increment { id, by, sum }
}

/// From 10: two acknowledged increments by 1 and one of which nothing is known.
fn increments() -> Vec<Increment> {
    vec![increment(1, 1, Some(11)), increment(2, 1, None), increment(3, 1, Some(13))]
}

#[test]
fn an_increment_counts_once_and_an_unknown_one_once_or_never() {
    assert_eq!(sum(&increments(), 10, 13), Ok(()));
    let second = vec![increment(1, 1, Some(11)), increment(2, 1, None), increment(3, 1, Some(12))];
    assert_eq!(sum(&second, 10, 12), Ok(()));
    assert_eq!(sum(&second, 10, 13), Ok(()));
    assert_eq!(sum(&[], 0, 0), Ok(()));
    let down = [increment(1, 5, Some(5)), increment(2, -3, None), increment(3, 4, None)];
    for value in [2, 5, 9] {
        assert_eq!(sum(&down, 0, value), Ok(()));
    }
}

#[test]
fn a_lost_increment_is_found() {
    assert_wrong(sum(&increments(), 10, 11), Property::Sum, "the value is 11, and increments allow 12 to 13");
}

#[test]
fn an_increment_that_counted_twice_is_found() {
    assert_wrong(sum(&increments(), 10, 14), Property::Sum, "2 were acknowledged, of 1 the outcome is");
}

#[test]
fn sums_that_the_counter_never_had_are_found() {
    let mut same = increments();
    same[2].sum = Some(11);
    assert_wrong(sum(&same, 10, 12), Property::Sum, "two increments were answered with one sum");
    let mut early = increments();
    early[0].sum = Some(10);
    assert_wrong(sum(&early, 10, 13), Property::Sum, "id: 1");
    let mut late = increments();
    late[2].sum = Some(14);
    assert_wrong(sum(&late, 10, 13), Property::Sum, "id: 3");
}

#[test]
fn an_increment_that_is_recorded_twice_is_the_fault_of_the_test() {
    let twice = [increment(1, 1, Some(1)), increment(1, 1, None)];
    assert_wrong(sum(&twice, 0, 1), Property::WellFormed, "id: 1");
}

/// Four acknowledged elements, two unknown ones, one pop whose answer was lost.
fn elements() -> Elements<&'static str> {
    Elements {
        acknowledged: vec!["a", "b", "c", "d"],
        unknown: vec!["x", "y"],
        delivered: vec!["b", "a", "x"],
        left: vec!["d"],
        unknown_pops: 1,
    }
}

fn check(change: impl FnOnce(&mut Elements<&'static str>)) -> Result<(), Violation> {
    let mut elements = elements();
    change(&mut elements);
    queue(&elements)
}

#[test]
fn a_queue_that_delivers_each_element_once_is_good() {
    assert_eq!(check(|_| ()), Ok(()));
    assert_eq!(check(|elements| elements.left.push("c")), Ok(()));
    assert_eq!(check(|elements| elements.unknown.push("a")), Ok(()));
}

#[test]
fn an_element_that_comes_twice_or_from_nowhere_is_found() {
    let twice = check(|elements| elements.delivered.push("a"));
    assert_wrong(twice, Property::DeliveredOnce, "\"a\" went in 1 times");
    let left = check(|elements| elements.left.push("x"));
    assert_wrong(left, Property::DeliveredOnce, "\"x\" went in 0 times, and 1 times perhaps");
    let nowhere = check(|elements| elements.delivered.push("z"));
    assert_wrong(nowhere, Property::DeliveredOnce, "\"z\"");
}

#[test]
fn a_lost_element_is_found() {
    let lost = check(|elements| elements.unknown_pops = 0);
    assert_wrong(lost, Property::NotLost, "1 acknowledged elements are missing");
    let lost = check(|elements| elements.left.clear());
    assert_wrong(lost, Property::NotLost, "[\"c\", \"d\"]");
}
