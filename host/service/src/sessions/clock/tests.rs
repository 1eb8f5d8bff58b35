//! Transcripts of the clock.
use super::*;

const TTL: Duration = Duration::from_secs(10);
const MANY: usize = 1_000;

fn at(ms: u64) -> Monotonic {
    Monotonic(Duration::from_millis(ms))
}

fn id(number: u8) -> SessionId {
    SessionId([number; 16])
}

fn clock(sessions: u8) -> SessionClock {
    SessionClock::granting((1..=sessions).map(|number| (id(number), TTL)), at(0))
}

#[test]
fn a_session_is_due_at_its_deadline_and_once() {
    let mut clock = clock(2);
    assert_eq!(clock.next_check(), Some(at(10_000)));
    clock.touch(id(2), at(4_000));
    assert_eq!(clock.due(at(9_999), MANY), []);
    assert_eq!(clock.due(at(10_000), MANY), [id(1)]);
    assert_eq!(clock.due(at(10_001), MANY), []);
    assert_eq!(clock.next_check(), Some(at(14_000)));
    assert_eq!(clock.due(at(14_000), MANY), [id(2)]);
    assert_eq!(clock.next_check(), None);
}

#[test]
fn an_ending_session_is_not_prolonged_and_goes_when_it_has_ended() {
    let mut clock = clock(1);
    assert_eq!(clock.due(at(10_000), MANY), [id(1)]);
    clock.touch(id(1), at(10_001));
    assert_eq!(clock.life(id(1)), Life::Ending);
    assert_eq!(clock.due(at(60_000), MANY), []);
    clock.ended(id(1));
    assert_eq!(clock.life(id(1)), Life::Unknown);
    assert!(clock.is_empty());
}

#[test]
fn at_most_the_limit_is_due_and_a_touch_saves_the_rest() {
    let mut clock = clock(3);
    assert_eq!(clock.due(at(10_000), 1), [id(1)]);
    clock.touch(id(2), at(10_000));
    assert_eq!(clock.due(at(10_000), 0), []);
    assert_eq!(clock.due(at(10_000), MANY), [id(3)]);
    assert_eq!(clock.life(id(2)), Life::Alive { ttl: TTL });
    assert_eq!(clock.due(at(20_000), MANY), [id(2)]);
}

#[test]
fn a_check_that_comes_much_later_than_planned_grants_the_whole_time() {
    let mut clock = clock(2);
    assert_eq!(clock.due(at(0), MANY), []);
    clock.plan(at(1_000));
    assert_eq!(clock.due(at(30_000), MANY), []);
    clock.plan(at(31_000));
    assert_eq!(clock.due(at(31_000), MANY), []);
    clock.plan(at(40_000));
    assert_eq!(clock.due(at(40_000), MANY), [id(1), id(2)]);
}

#[test]
fn a_check_that_is_a_little_late_grants_nothing() {
    let mut clock = clock(1);
    clock.plan(at(10_000));
    assert_eq!(clock.due(at(10_000).after(GAP), MANY), [id(1)]);
}

#[test]
fn a_gap_prolongs_no_ending_session_and_shortens_none() {
    let mut clock = clock(1);
    clock.opened(id(7), Duration::from_secs(100), at(0));
    assert_eq!(clock.due(at(10_000), MANY), [id(1)]);
    clock.plan(at(11_000));
    assert_eq!(clock.due(at(12_000), MANY), []);
    assert_eq!(clock.life(id(1)), Life::Ending);
    assert_eq!(clock.due(at(111_999), MANY), []);
    assert_eq!(clock.due(at(112_000), MANY), [id(7)]);
}

#[test]
fn touches_of_unknown_sessions_leave_nothing() {
    let mut clock = clock(0);
    clock.touch(id(1), at(5));
    assert_eq!(clock.life(id(1)), Life::Unknown);
    assert!(clock.is_empty() && clock.next_check().is_none());
}

#[test]
fn a_session_that_is_opened_again_has_one_place() {
    let mut clock = clock(1);
    clock.opened(id(1), TTL, at(5_000));
    assert_eq!(clock.due(at(10_000), MANY), []);
    assert_eq!(clock.due(at(15_000), MANY), [id(1)]);
    clock.ended(id(1));
    assert_eq!(clock.next_check(), None);
}
