//! Unit tests of `pace`.
use super::*;

const BACKOFF: Backoff = Backoff { base_ms: 10, max_ms: 40 };

fn flying(count: u64) -> BTreeSet<u64> {
    (1..=count).collect()
}

#[test]
fn after_one_came_back_the_window_grows_with_what_gets_through() {
    let mut pace = Pace::new(4);
    let width =
        |pace: &mut Pace| (0..9).take_while(|count| pace.allows(99, &flying(*count), 0, |_| true)).count();
    assert_eq!(width(&mut pace), 4);
    pace.came_back();
    let widths: Vec<usize> = (0..5)
        .map(|_| {
            let wide = width(&mut pace);
            pace.got_through();
            wide
        })
        .collect();
    assert_eq!(widths, [1, 2, 3, 4, 4]);
}

#[test]
fn the_lowest_one_does_not_wait_for_those_in_flight_behind_it() {
    let mut pace = Pace::new(4);
    pace.came_back();
    let behind = BTreeSet::from([6, 7, 8]);
    assert!(pace.allows(5, &behind, 0, |_| true));
    assert!(!pace.allows(9, &behind, 0, |_| true));
}

#[test]
fn what_is_held_waits_for_the_word_or_its_time_which_grows_until_there_is_one() {
    let mut pace = Pace::new(4);
    pace.hold(5, Until::Ran(4), BACKOFF, 0, u32::MAX);
    pace.hold(6, Until::Ran(5), BACKOFF, 0, u32::MAX);
    assert_eq!(pace.held_until(0), Some(10), "the lowest one counts");
    assert!(pace.allows(4, &flying(1), 0, |_| false));
    assert!(!pace.allows(7, &flying(1), 9, |_| false));
    assert!(pace.allows(5, &flying(1), 9, |until| until == Until::Ran(4)));
    assert!(pace.allows(6, &flying(1), 9, |_| false), "nothing is held any more");
    pace.hold(5, Until::Later, BACKOFF, 0, u32::MAX);
    assert_eq!((pace.held_until(0), pace.held_until(20)), (Some(20), None));
    assert!(pace.allows(5, &flying(9), 20, |_| false), "tried, however many are in flight");
    pace.answered();
    pace.hold(5, Until::Later, BACKOFF, 0, u32::MAX);
    assert_eq!(pace.held_until(0), Some(10));
    pace.release();
    assert_eq!(pace.held_until(0), None);
}
