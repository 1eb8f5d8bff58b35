//! The median of the members' clocks, and who is wrong.
use std::time::Duration;

use super::*;
use crate::ports::ClockReading;

const WALL_MS: u64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
const YEAR_MS: i64 = 365 * DAY_MS;
const SECONDS: u64 = 6;

fn ms(ms: u64) -> Monotonic {
    Monotonic(Duration::from_millis(ms))
}

/// What member 1 knows after six seconds of members 2, 3 ..., which are so far ahead and whose
/// monotonic clocks run at so many percent; of those that are none it hears nothing.
fn known(others: &[Option<(i64, u64)>]) -> Table {
    let mut table = Table::new(MemberId(1));
    table.set_voters((1..=others.len() as u64 + 1).map(MemberId).collect());
    for (number, other) in (2..).zip(others) {
        let Some((offset, percent)) = *other else { continue };
        for second in 0..=SECONDS {
            let (sent, received) = (ms(1_000 * second), ms(1_000 * second + 2));
            let wall_ms = (WALL_MS + 1_000 * second + 1).saturating_add_signed(offset);
            let monotonic = ms((1_000 * second + 1) * percent / 100);
            let reading = ClockReading { wall_ms, monotonic, incarnation: 1 };
            table.heard(MemberId(number), Exchange { sent, received, reading });
        }
    }
    table
}

const NOW_MS: u64 = 1_000 * SECONDS + 2;

/// How far the median is ahead, if member 1 is so far ahead.
fn median(own: i64, others: &[Option<(i64, u64)>]) -> Option<i64> {
    let own_ms = (WALL_MS + NOW_MS).saturating_add_signed(own);
    let median = known(others).median_ms(ms(NOW_MS), own_ms)?;
    Some(i64::try_from(median).expect("a time") - i64::try_from(WALL_MS + NOW_MS).expect("a time"))
}

fn at(offset: i64) -> Option<(i64, u64)> {
    Some((offset, 100))
}

#[test]
fn one_wrong_clock_of_three_moves_nothing_and_two_of_three_do() {
    assert_eq!(median(0, &[at(0), at(2 * DAY_MS)]), Some(0));
    assert_eq!(median(0, &[at(-30 * YEAR_MS), at(0)]), Some(0));
    assert_eq!(median(2 * DAY_MS, &[at(0), at(0)]), Some(0));
    assert_eq!(median(-30 * YEAR_MS, &[at(0), at(40)]), Some(0));
    assert_eq!(median(0, &[at(2 * DAY_MS), at(2 * DAY_MS)]), Some(2 * DAY_MS));
    assert_eq!(median(2 * DAY_MS, &[at(2 * DAY_MS), at(0)]), Some(2 * DAY_MS));
}

#[test]
fn of_two_that_disagree_the_one_behind_decides() {
    assert_eq!(median(0, &[at(2 * DAY_MS), None]), Some(0));
    assert_eq!(median(2 * DAY_MS, &[None, at(0)]), Some(0));
    assert_eq!(median(0, &[at(2 * DAY_MS)]), Some(0));
}

#[test]
fn nothing_is_known_without_a_majority() {
    assert_eq!(median(0, &[None, None]), None);
    assert_eq!(median(0, &[None]), None);
    assert_eq!(median(0, &[at(0), at(0), None, None]), Some(0));
    assert_eq!(median(0, &[at(0), None, None, None]), None);
    assert_eq!(median(7, &[]), Some(7), "one member is a majority of one");
    assert_eq!(Table::new(MemberId(1)).median_ms(ms(0), WALL_MS), None, "nobody votes yet");
}

#[test]
fn readings_of_others_than_voters_do_not_count() {
    let mut table = known(&[at(0), at(0)]);
    table.set_voters([4, 5, 6].map(MemberId).into());
    assert_eq!(table.median_ms(ms(NOW_MS), WALL_MS), None);
    table.set_voters([1, 2, 3].map(MemberId).into());
    assert_eq!(table.median_ms(ms(NOW_MS), WALL_MS), None, "what was known is forgotten");
}

fn own(own: i64, others: &[Option<(i64, u64)>]) -> OwnClocks {
    known(others).own(ms(NOW_MS), (WALL_MS + NOW_MS).saturating_add_signed(own))
}

#[test]
fn a_member_learns_how_wrong_its_own_wall_clock_is() {
    let ahead = own(2 * DAY_MS, &[at(0), at(0)]);
    assert_eq!((ahead.offset_ms, ahead.is_off(), ahead.runs_wrong), (Some(2 * DAY_MS), true, false));
    assert_eq!(ahead.to_string(), "2 d ahead of the other members' clocks");
    let behind = own(-90_000, &[at(0), at(3)]);
    assert_eq!(behind.to_string(), "90 s behind the other members' clocks");
    assert!(!own(999, &[at(0), at(0)]).is_off());
    assert!(!own(0, &[at(2 * DAY_MS), at(0)]).is_off(), "another one is");
    assert_eq!(own(0, &[None, None]), OwnClocks::default());
    assert_eq!(OwnClocks::default().to_string(), "not compared with others");
}

#[test]
fn a_monotonic_clock_runs_wrong_if_a_majority_says_so() {
    let runs_wrong = |percents: &[Option<u64>]| {
        let others: Vec<_> = percents.iter().map(|percent| percent.map(|percent| (0, percent))).collect();
        own(0, &others).runs_wrong
    };
    assert!(runs_wrong(&[Some(50), Some(50)]), "this one is twice as fast");
    assert!(runs_wrong(&[Some(200), Some(200)]), "this one is half as fast");
    assert!(!runs_wrong(&[Some(200), Some(100)]), "another one is wrong");
    assert!(!runs_wrong(&[Some(200), Some(50)]), "nobody agrees");
    assert!(!runs_wrong(&[Some(50), None]));
    assert!(!runs_wrong(&[Some(50)]), "one of two is wrong, and none knows which");
    assert!(runs_wrong(&[Some(50), Some(50), Some(50), None]));
}
