//! Unit tests of `handler`.
use super::*;

#[test]
fn the_cost_is_the_time_that_a_call_takes_longer() {
    let phase = |calls: u64| {
        let mut outcome = Outcome { elapsed: Duration::from_secs(1), ..Outcome::default() };
        (0..calls).for_each(|_| outcome.latencies.add(1_000));
        outcome
    };
    let measured = report(8, &[(false, phase(900)), (true, phase(500)), (false, phase(1_100))]);
    assert_eq!(measured.json["cost_us_per_call"], 1_000.0);
    assert!(measured.text.contains("costs 1000.0 us a call"), "{}", measured.text);
}
