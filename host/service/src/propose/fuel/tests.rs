//! Unit tests of `fuel`.
use super::*;

const KEY: FuelKey = (SpaceId(1), OperationId(2));

#[test]
fn an_unknown_operation_is_taken_to_be_expensive() {
    assert_eq!(FuelEstimates::default().estimate(Some(KEY)), UNKNOWN_FUEL);
}

#[test]
fn an_estimate_rises_quickly_and_falls_slowly() {
    let mut estimates = FuelEstimates::default();
    estimates.learn(KEY, 1_000);
    estimates.learn(KEY, 9_000);
    assert_eq!(estimates.estimate(Some(KEY)), 5_000);
    estimates.learn(KEY, 1_000);
    assert_eq!(estimates.estimate(Some(KEY)), 4_750);
}

#[test]
fn memory_is_bounded_and_what_is_in_use_stays() {
    let mut estimates = FuelEstimates::default();
    for operation in 0..3 * REMEMBERED as u32 {
        estimates.learn((SpaceId(9), OperationId(operation)), 7);
        estimates.learn(KEY, 42);
    }
    assert!(estimates.recent.len() <= REMEMBERED && estimates.older.len() <= REMEMBERED);
    assert_eq!(estimates.estimate(Some(KEY)), 42);
}

#[test]
fn an_operation_that_is_new_in_a_space_is_taken_to_cost_what_it_does_in_others() {
    let mut estimates = FuelEstimates::default();
    estimates.learn(KEY, 1_000);
    assert_eq!(estimates.estimate(Some((SpaceId(7), OperationId(2)))), 1_000);
    assert_eq!(estimates.estimate(Some((SpaceId(1), OperationId(3)))), UNKNOWN_FUEL);
}
