//! How cluster time begins in a term and goes on: tables, and what holds of every course.
use proptest::prelude::*;

use super::*;

const TERM: u64 = 3;
const NOON_MS: u64 = 1_700_000_000_000;

fn at(ms: u64) -> Monotonic {
    Monotonic(Duration::from_millis(ms))
}

/// A state whose last stamp is `time_ms`, of a moment ago.
fn last(time_ms: u64) -> LastStamp {
    LastStamp { time: Time(time_ms), at: at(0) }
}

/// The stamps at some moments, by the median of the clocks at each.
fn stamps(last_ms: u64, course: &[(u64, Option<u64>)]) -> Vec<Option<u64>> {
    let mut base = TimeBase::default();
    let stamp = |(now, median): &(u64, Option<u64>)| base.stamp(TERM, last(last_ms), at(*now), *median);
    course.iter().map(stamp).map(|stamp| stamp.map(|time| time.0)).collect()
}

#[test]
fn a_term_begins_at_the_larger_of_the_last_stamp_and_the_median() {
    assert_eq!(stamps(5_000, &[(0, Some(9_000))]), [Some(9_000)]);
    assert_eq!(stamps(9_000, &[(0, Some(5_000))]), [Some(9_000)]);
}

#[test]
fn time_that_is_behind_runs_at_twice_its_rate_until_it_is_right() {
    let course = [(0, Some(1_000)), (100, Some(1_600)), (400, Some(1_900)), (600, Some(2_100))];
    assert_eq!(stamps(0, &course), [1_000, 1_200, 1_800, 2_100].map(Some));
}

#[test]
fn time_that_is_ahead_runs_at_half_of_its_rate_until_it_is_right() {
    let course = [(0, Some(1_000)), (100, Some(1_100)), (500, Some(1_500)), (1_400, Some(2_400))];
    assert_eq!(stamps(1_400, &course), [1_400, 1_450, 1_650, 2_400].map(Some));
}

#[test]
fn without_a_majority_time_goes_on_by_the_monotonic_clock() {
    let course = [(0, Some(7_000)), (100, None), (250, None), (300, Some(7_300))];
    assert_eq!(stamps(5_000, &course), [7_000, 7_100, 7_250, 7_300].map(Some));
}

#[test]
fn a_new_leader_waits_a_moment_for_a_majority_and_goes_on_from_the_last_stamp_then() {
    let timeout = 1_000;
    let course = [(400, None), (900, None), (400 + timeout, None), (500 + timeout, None)];
    assert_eq!(stamps(5_000, &course), [None, None, Some(6_400), Some(6_500)]);
    let course = [(400, None), (900, Some(50_000)), (1_000, Some(50_100))];
    assert_eq!(stamps(5_000, &course), [None, Some(50_000), Some(50_100)]);
}

#[test]
fn what_is_learnt_late_is_taken_as_at_the_beginning_once() {
    let course = [(0, None), (1_000, None), (1_100, Some(90_000)), (1_200, Some(190_000))];
    assert_eq!(stamps(5_000, &course), [None, Some(6_000), Some(90_000), Some(90_200)]);
    let course = [(0, None), (1_000, None), (1_100, Some(10)), (1_200, Some(110))];
    assert_eq!(stamps(5_000, &course), [None, Some(6_000), Some(6_100), Some(6_150)]);
}

#[test]
fn a_cluster_without_any_time_waits_for_its_first_clocks() {
    assert_eq!(stamps(0, &[(0, None), (60_000, None), (60_100, Some(NOON_MS))])[1..], [None, Some(NOON_MS)]);
}

#[test]
fn another_term_begins_anew() {
    let mut base = TimeBase::default();
    assert_eq!(base.stamp(3, last(0), at(0), Some(1_000)), Some(Time(1_000)));
    assert_eq!(base.stamp(4, last(1_000), at(10), Some(900_000)), Some(Time(900_000)));
}

#[derive(Clone, Debug)]
enum Happening {
    Pass(u64),
    Set(i64),
    Lose,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0_u64..5_000_000).prop_map(Happening::Pass),
        1 => (-1_000_000_000_000_i64..1_000_000_000_000).prop_map(Happening::Set),
        1 => Just(Happening::Lose),
    ]
}

proptest! {
    #[test]
    fn time_runs_between_half_and_twice_of_its_rate_whatever_the_clocks_do(
        happenings in proptest::collection::vec(happening(), 1..60),
    ) {
        let mut base = TimeBase::default();
        let now_at = |us| Monotonic(Duration::from_micros(us));
        let (mut now_us, mut offset_ms) = (0, Some(0_i64));
        let median = |now_us: u64, offset: i64| (NOON_MS + now_us / 1_000).saturating_add_signed(offset);
        let first = base.stamp(TERM, last(0), now_at(0), Some(NOON_MS));
        let mut before = first.expect("a majority is known").0;
        for happening in happenings {
            match happening {
                Happening::Set(offset) => offset_ms = Some(offset),
                Happening::Lose => offset_ms = None,
                Happening::Pass(us) => {
                    now_us += us;
                    let median = offset_ms.map(|offset| median(now_us, offset));
                    let stamp = base.stamp(TERM, last(0), now_at(now_us), median).expect("it runs").0;
                    let (least, most) = (us / 2 / 1_000, 2 * us / 1_000);
                    prop_assert!(stamp + 1 >= before + least && stamp <= before + most + 1,
                        "{before} to {stamp} in {us} us");
                    before = stamp;
                }
            }
        }
    }
}
