//! Unit tests of `watch_load`.
use super::*;

fn phase(watched: bool, writes: u64) -> Phase {
    let mut outcome = Outcome { elapsed: Duration::from_secs(1), ..Outcome::default() };
    (0..writes).for_each(|_| outcome.latencies.add(1_000));
    Phase { watched, writes: outcome, puts: Outcome::default(), receipts: Histogram::default() }
}

#[test]
fn the_slowdown_is_against_the_mean_of_before_and_after() {
    let seconds = Duration::from_secs(1);
    let load = WatchLoad {
        watchers: 10,
        matching: 1,
        connections: 1,
        events_per_second: 1,
        warmup: seconds,
        length: seconds,
        rounds: 1,
    };
    let measured = load.report(&[phase(false, 90), phase(true, 95), phase(false, 110)]);
    assert!(
        measured.json["slowdown_percent"].as_f64().is_some_and(|percent| (percent - 5.0).abs() < 0.01),
        "{}",
        measured.json
    );
    assert!(measured.text.ends_with("writes slow by 5.0 %"), "{}", measured.text);
}
