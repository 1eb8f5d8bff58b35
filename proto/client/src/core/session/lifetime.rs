//! How long a session may be relied upon, and when its client must give the next sign of life.
//!
//! One rule keeps two clients from believing that they hold the same lock: the cluster counts a
//! session's time to live from when it *received* a touch, and the client counts nine tenths of it
//! from when it *sent* that touch. So the client stops first, however long request and answer took,
//! unless two clocks drift apart by a tenth.
//!
//! Times are milliseconds of one clock that counts the time that the machine sleeps.
use crate::core::Backoff;

/// An unanswered touch is given up after this part of the time to live ...
const ANSWER_PART: u64 = 6;
/// ... but not sooner than this ...
const ANSWER_MIN_MS: u64 = 100;
/// ... and not later.
const ANSWER_MAX_MS: u64 = 1_000;
/// Touches follow each other after this part of the time to live.
const TOUCH_PART: u64 = 3;

/// The state of a session, as its client knows it.
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
    /// Ended for good, and not by its owner: the cluster ended it, or its deadline has passed.
    Lost,
    /// Ended for good by its owner: closed, let go, or its last handle was dropped.
    Closed,
}

impl SessionState {
    /// Whether it is the last one.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Lost | Self::Closed)
    }
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
    /// Nothing ever: the session is over.
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
    /// The lifetime of a session that the cluster granted `ttl_ms`, in answer to a request sent at
    /// `sent_ms`.
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

    /// Its state, as of the last event that came in.
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// Its time to live.
    pub fn ttl_ms(&self) -> u64 {
        self.ttl_ms
    }

    /// For how long it may still be relied upon; 0: it is lost.
    pub fn remaining_ms(&self, now_ms: u64) -> u64 {
        if self.state.is_over() { 0 } else { self.deadline_ms.saturating_sub(now_ms) }
    }

    /// What to do at `now_ms`.
    pub fn next(&mut self, now_ms: u64) -> Touch {
        if self.remaining_ms(now_ms) == 0 {
            self.ended();
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
        let Some(sent_ms) = self.sent_ms.take().filter(|_| !self.state.is_over()) else { return };
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
        if !self.state.is_over() {
            self.state = SessionState::Suspended;
        }
    }

    /// The cluster ended the session.
    pub fn ended(&mut self) {
        if !self.state.is_over() {
            self.state = SessionState::Lost;
        }
    }

    /// The owner ended it.
    pub fn closed(&mut self) {
        if !self.state.is_over() {
            self.state = SessionState::Closed;
        }
    }
}
