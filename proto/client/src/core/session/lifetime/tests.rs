//! Unit tests of `lifetime`.
use super::*;

const BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 400 };

fn opened_at(sent_ms: u64) -> Lifetime {
    Lifetime::new(6_000, sent_ms, BACKOFF)
}

#[test]
fn a_touch_goes_out_every_third_of_the_time_to_live_counted_from_the_last_that_was_answered() {
    let mut life = opened_at(1_000);
    assert_eq!(life.next(1_200), Touch::WaitUntil(3_000));
    assert_eq!(life.next(3_050), Touch::Send);
    assert_eq!(life.next(3_060), Touch::WaitUntil(4_050));
    life.answered(6_000);
    assert_eq!(life.next(3_900), Touch::WaitUntil(5_050));
    assert_eq!((life.state(), life.remaining_ms(3_900)), (SessionState::Connected, 3_050 + 5_400 - 3_900));
}

#[test]
fn the_deadline_is_nine_tenths_after_the_answered_touch_was_sent_not_after_its_answer() {
    let mut life = opened_at(0);
    assert_eq!(life.remaining_ms(0), 5_400);
    assert_eq!(life.next(2_000), Touch::Send);
    assert_eq!(life.remaining_ms(2_900), 2_500, "an unanswered touch prolongs nothing");
    life.answered(6_000);
    assert_eq!(life.remaining_ms(2_900), 2_000 + 5_400 - 2_900);
    assert_eq!(Lifetime::new(1_001, 0, BACKOFF).remaining_ms(0), 900, "rounded to the safe side");
}

#[test]
fn a_failed_touch_suspends_and_the_next_follows_soon_until_one_is_answered() {
    let mut life = opened_at(0);
    assert_eq!(life.next(2_000), Touch::Send);
    life.failed(2_010, 0, u32::MAX);
    assert_eq!(life.state(), SessionState::Suspended);
    assert_eq!(life.next(2_010), Touch::WaitUntil(2_110));
    assert_eq!(life.next(2_110), Touch::Send);
    life.failed(2_120, 900, u32::MAX);
    assert_eq!(life.next(2_120), Touch::WaitUntil(3_020), "the member asked for patience");
    assert_eq!(life.next(3_020), Touch::Send);
    life.answered(6_000);
    assert_eq!(life.state(), SessionState::Reconnected);
    assert_eq!(life.next(3_030), Touch::WaitUntil(5_020), "the usual pace again");
}

#[test]
fn a_touch_without_an_answer_is_given_up_in_time_for_more() {
    let mut life = opened_at(0);
    let (mut sent, mut now) = (0, 0);
    loop {
        match life.next(now) {
            Touch::Send => sent += 1,
            Touch::GiveUp => assert_eq!(life.state(), SessionState::Suspended),
            Touch::WaitUntil(until) => now = until,
            Touch::Lost => break,
        }
    }
    assert_eq!((now, life.state()), (5_400, SessionState::Lost));
    assert!(sent >= 3, "{sent} touches");
}

#[test]
fn at_the_deadline_it_is_lost_for_good_even_if_the_machine_slept_past_it() {
    let mut life = opened_at(0);
    assert_eq!(life.next(2_000), Touch::Send);
    assert_eq!(life.remaining_ms(3_600_000), 0);
    assert_eq!(life.next(3_600_000), Touch::Lost);
    life.answered(6_000);
    assert_eq!((life.state(), life.next(3_600_001)), (SessionState::Lost, Touch::Lost));
}

#[test]
fn what_the_cluster_ended_is_lost_at_once() {
    let mut life = opened_at(0);
    life.ended();
    life.failed(1, 0, 0);
    assert_eq!((life.state(), life.remaining_ms(1), life.next(1)), (SessionState::Lost, 0, Touch::Lost));
}

#[test]
fn waits_for_answers_are_bounded_on_both_sides() {
    let wait = |ttl_ms: u64| {
        let mut life = Lifetime::new(ttl_ms, 0, BACKOFF);
        let Touch::WaitUntil(at) = life.next(0) else { panic!("nothing is due") };
        assert_eq!(life.next(at), Touch::Send);
        let Touch::WaitUntil(until) = life.next(at) else { panic!("it is under way") };
        until - at
    };
    assert_eq!((wait(300), wait(6_000), wait(3_600_000)), (100, 1_000, 2_000));
}
