//! How long a session may be relied upon, and when its client must give the next sign of life.
//!
//! The rule that keeps two clients from believing that they hold the same lock: the cluster counts
//! a session's time to live from when it *heard* of its client, the client counts nine tenths of it
//! from when it *sent* what was answered. So the client stops first, whatever the network did to
//! request and answer, as long as no two clocks drift apart by a tenth.
//!
//! Times are milliseconds of one clock that counts the time that the machine sleeps.
use crate::core::Backoff;

/// An unanswered touch is given up after this part of the time to live ...
const ANSWER_PART: u64 = 6;
/// ... but not sooner than this ...
const ANSWER_MIN_MS: u64 = 100;
/// ... and not later.
const ANSWER_MAX_MS: u64 = 2_000;
/// Touches follow each other after this part of the time to live.
const TOUCH_PART: u64 = 3;

/// How a session stands, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Open, and in contact with the cluster.
    Connected,
    /// Out of contact: it may live or have ended. What is bound to it, such as a lock, must not be
    /// relied upon for anything new; [`Session::deadline`](crate::Session::deadline) says until
    /// when the cluster surely has not given it away.
    Suspended,
    /// In contact again; it never ended.
    Reconnected,
    /// Over: it was closed, the cluster said that it ended, or its deadline has passed. For good.
    Lost,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Send a touch; it counts as sent now.
    Send,
    /// The answer did not come in time: forget the touch, and ask another member with the next one.
    GiveUp,
    /// Nothing until this time, or an answer.
    WaitUntil(u64),
    /// Nothing ever: the session is lost.
    Lost,
}

/// The lifetime of one session.
#[derive(Clone, Debug)]
pub struct Lifetime {
    ttl_ms: u64,
    deadline_ms: u64,
    next_ms: u64,
    sent_ms: Option<u64>,
    failures: u32,
    backoff: Backoff,
    state: SessionState,
}

impl Lifetime {
    /// Of a session of which the cluster said that it lives for `ttl_ms`, in answer to something
    /// sent at `sent_ms`.
    pub fn new(ttl_ms: u64, sent_ms: u64, backoff: Backoff) -> Self {
        let mut new = Self {
            ttl_ms,
            deadline_ms: 0,
            next_ms: 0,
            sent_ms: None,
            failures: 0,
            backoff,
            state: SessionState::Connected,
        };
        new.count_from(sent_ms);
        new
    }

    fn count_from(&mut self, sent_ms: u64) {
        self.deadline_ms = sent_ms.saturating_add(self.ttl_ms - self.ttl_ms.div_ceil(10));
        self.next_ms = sent_ms.saturating_add(self.ttl_ms / TOUCH_PART);
    }

    /// How it stands, as far as it was told.
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// Its time to live.
    pub fn ttl_ms(&self) -> u64 {
        self.ttl_ms
    }

    /// For how long it may still be relied upon; 0: it is lost.
    pub fn remaining_ms(&self, now_ms: u64) -> u64 {
        match self.state {
            SessionState::Lost => 0,
            _ => self.deadline_ms.saturating_sub(now_ms),
        }
    }

    /// What to do at `now_ms`.
    pub fn next(&mut self, now_ms: u64) -> Touch {
        if self.remaining_ms(now_ms) == 0 {
            self.state = SessionState::Lost;
            return Touch::Lost;
        }
        match self.sent_ms {
            Some(sent_ms) => {
                let until_ms =
                    sent_ms.saturating_add((self.ttl_ms / ANSWER_PART).clamp(ANSWER_MIN_MS, ANSWER_MAX_MS));
                if now_ms < until_ms {
                    return Touch::WaitUntil(until_ms.min(self.deadline_ms));
                }
                self.failed(now_ms, 0, 0);
                Touch::GiveUp
            }
            None if now_ms < self.next_ms => Touch::WaitUntil(self.next_ms.min(self.deadline_ms)),
            None => {
                self.sent_ms = Some(now_ms);
                Touch::Send
            }
        }
    }

    /// The touch was answered: the session lives, for `ttl_ms`.
    pub fn answered(&mut self, ttl_ms: u64) {
        let Some(sent_ms) = self.sent_ms.take().filter(|_| self.state != SessionState::Lost) else { return };
        self.ttl_ms = ttl_ms;
        self.failures = 0;
        self.count_from(sent_ms);
        if self.state == SessionState::Suspended {
            self.state = SessionState::Reconnected;
        }
    }

    /// The touch failed: nothing is known. The next one follows soon, after `least_ms` at the
    /// earliest.
    pub fn failed(&mut self, now_ms: u64, least_ms: u64, jitter: u32) {
        self.sent_ms = None;
        self.failures = self.failures.saturating_add(1);
        self.next_ms = now_ms.saturating_add(self.backoff.delay_ms(self.failures, jitter).max(least_ms));
        if self.state != SessionState::Lost {
            self.state = SessionState::Suspended;
        }
    }

    /// The session is over, as the cluster or its owner said.
    pub fn ended(&mut self) {
        self.state = SessionState::Lost;
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            (life.state(), life.remaining_ms(3_900)),
            (SessionState::Connected, 3_050 + 5_400 - 3_900)
        );
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
}
