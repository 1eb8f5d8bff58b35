//! Unit tests of `histogram`.
use super::*;

#[test]
fn buckets_hold_their_values() {
    let values =
        (0..10_000).chain((0..36).map(|power| 1 << power)).chain((6..36).map(|power| (1 << power) - 1));
    for value in values {
        let top = upper(index(value));
        assert!(
            top >= value && (top - value) as f64 <= value as f64 / 64.0,
            "{value} is in a bucket up to {top}"
        );
    }
}

#[test]
fn quantiles_are_those_of_the_values() {
    let mut histogram = Histogram::default();
    (1..=1_000).for_each(|micros| histogram.add(micros));
    let mut other = Histogram::default();
    other.add(50_000);
    histogram.merge(&other);
    assert_eq!((histogram.total(), histogram.max()), (1_001, 50_000));
    let near = |got: u64, exact: u64| (got as f64 - exact as f64).abs() <= exact as f64 / 64.0;
    assert!(near(histogram.quantile(500), 501) && near(histogram.quantile(990), 991));
    assert_eq!(histogram.quantile(1_000), 50_000);
    assert_eq!(Histogram::default().quantile(500), 0);
}

#[test]
fn a_value_beyond_all_buckets_counts_in_the_last() {
    let mut histogram = Histogram::default();
    histogram.add(u64::MAX);
    assert_eq!(histogram.total(), 1);
    assert!(histogram.quantile(500) > 0);
}
