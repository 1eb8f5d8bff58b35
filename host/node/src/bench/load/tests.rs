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

#[test]
fn successes_are_counted_in_the_window_in_which_they_came() {
    let (mut all, mut other) = (Outcome::default(), Outcome::default());
    [0, 9_999, 25_000].into_iter().for_each(|ms| all.count_at(Duration::from_millis(ms)));
    [10_000, 30_000].into_iter().for_each(|ms| other.count_at(Duration::from_millis(ms)));
    all.merge(other);
    assert_eq!(all.windows, [2, 1, 1, 1]);
}
