//! Unit tests of `load`.
use super::*;

#[test]
fn errors_are_counted_by_kind_and_a_few_are_kept() {
    let mut outcome = Outcome::default();
    for number in 0..20 {
        outcome.count(&RawError::Unavailable(format!("{}", number % 7)));
    }
    outcome.count(&RawError::OutcomeUnknown("x".into()));
    let mut all = Outcome::default();
    all.merge(outcome);
    assert_eq!((all.rejected, all.unavailable, all.unknown, all.errors.len()), (0, 20, 1, KEPT_ERRORS));
}
