//! What is known of a member's clocks from its answers, which take any time within bounds.
use proptest::prelude::*;

use super::*;

const WALL_MS: u64 = 1_700_000_000_000;

fn ms(ms: u64) -> Monotonic {
    Monotonic(Duration::from_millis(ms))
}

fn exchange(sent_ms: u64, received_ms: u64, wall_ms: u64, monotonic_ms: u64) -> Exchange {
    let reading = ClockReading { wall_ms, monotonic: ms(monotonic_ms), incarnation: 1 };
    Exchange { sent: ms(sent_ms), received: ms(received_ms), reading }
}

/// The history of a clock that shows `WALL_MS` at 0, read every second with these round trips.
fn read_every_second(round_trips_ms: &[u64], monotonic_percent: u64) -> History {
    let mut history = History::default();
    for (second, round_trip) in (0..).zip(round_trips_ms) {
        let (sent, read) = (1_000 * second, 1_000 * second + round_trip / 2);
        let monotonic = read * monotonic_percent / 100;
        history.add(exchange(sent, sent + round_trip, WALL_MS + read, monotonic));
    }
    history
}

#[test]
fn a_clock_is_known_while_its_reading_is_fresh() {
    let history = read_every_second(&[10], 100);
    assert_eq!(history.wall_ms(ms(5)), Some(WALL_MS + 5));
    assert_eq!(history.wall_ms(ms(10_005)), Some(WALL_MS + 10_005));
    assert_eq!(history.wall_ms(ms(10_006)), None);
    assert_eq!(History::default().wall_ms(ms(0)), None);
}

#[test]
fn an_answer_that_took_too_long_is_not_used() {
    let mut history = History::default();
    history.add(exchange(0, 1_001, WALL_MS, 0));
    assert_eq!(history.wall_ms(ms(1_001)), None);
    history.add(exchange(2_000, 3_000, WALL_MS, 0));
    assert_eq!(history.wall_ms(ms(3_000)), Some(WALL_MS + 500));
}

#[test]
fn a_clock_that_was_set_is_as_it_was_set_at_once() {
    let mut history = read_every_second(&[2, 2, 2], 100);
    history.add(exchange(3_000, 3_800, WALL_MS + 500_000_000, 3_400));
    assert_eq!(history.wall_ms(ms(3_800)), Some(WALL_MS + 500_000_400));
    history.add(exchange(4_000, 4_002, WALL_MS + 4_001, 4_001));
    assert_eq!(history.wall_ms(ms(4_002)), Some(WALL_MS + 4_002));
}

#[test]
fn the_pace_is_known_after_some_seconds_and_only_of_one_start() {
    let table = [(100, Pace::Same), (104, Pace::Same), (96, Pace::Same), (108, Pace::Faster)];
    let more = [(200, Pace::Faster), (92, Pace::Slower), (50, Pace::Slower), (0, Pace::Slower)];
    for (percent, pace) in table.into_iter().chain(more) {
        assert_eq!(read_every_second(&[2; 6], percent).pace(ms(5_002)), Some(pace), "{percent}");
    }
    assert_eq!(read_every_second(&[2; 4], 200).pace(ms(3_002)), None);
    assert_eq!(read_every_second(&[2; 6], 200).pace(ms(16_000)), None, "nothing is fresh");
    let mut restarted = read_every_second(&[2; 6], 200);
    let reading = ClockReading { wall_ms: WALL_MS, monotonic: ms(0), incarnation: 2 };
    restarted.add(Exchange { sent: ms(6_000), received: ms(6_002), reading });
    assert_eq!(restarted.pace(ms(6_002)), None);
}

#[test]
fn as_many_readings_are_kept_as_is_allowed() {
    assert_eq!(read_every_second(&[2; 100], 100).0.len(), KEPT);
}

proptest! {
    /// Wherever within its round trip each reading was taken.
    #[test]
    fn no_right_clock_is_found_wrong_by_more_than_half_of_a_round_trip(
        readings in proptest::collection::vec((0_u64..=1_000, 0_u64..=100), 1..40),
    ) {
        let mut history = History::default();
        let mut least_fresh_error = u64::MAX;
        let last = 1_100 * (readings.len() as u64 - 1);
        for (n, (round_trip, percent)) in (0..).zip(&readings) {
            let sent = 1_100 * n;
            let read = sent + round_trip * percent / 100;
            history.add(exchange(sent, sent + round_trip, WALL_MS + read, read));
            if last - sent <= 9_000 {
                least_fresh_error = least_fresh_error.min(round_trip / 2 + (last - sent) / 1_000);
            }
        }
        let now = last + 1_000;
        let known = history.wall_ms(ms(now)).expect("a fresh reading");
        let error = known.abs_diff(WALL_MS + now);
        prop_assert!(error <= 500 + 2, "{error}");
        prop_assert!(error <= least_fresh_error + 12, "{error} of {least_fresh_error}");
        prop_assert!(history.pace(ms(now)).is_none_or(|pace| pace == Pace::Same));
    }
}
