//! How many requests of a session are sent at a time, and which of them wait, after one of them
//! could not run.
//!
//! Pipelined requests are a chain: when one is refused and leaves no record, all requests that were
//! sent after it come back as out of order. If they were all sent again at once, and the next one
//! were refused, too, `n` requests would cost the square of `n` sendings. So after such a break one
//! request is in flight at a time, and one more for every request that gets through. The next break
//! then returns no more requests than got through since the last one, and sendings stay in
//! proportion to requests; without another break, the window doubles with every round trip.
//!
//! It does not keep the requests: [`Requests`](super::Requests) does, and asks.
use std::collections::BTreeSet;

use crate::core::Backoff;

/// What a request that came back waits for, besides its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// This one has run or parked, or is settled.
    Ran(u64),
    /// This one is settled or parked.
    Settled(u64),
    /// Nothing else.
    Later,
}

/// Requests from this one on are not sent now: it could not run.
#[derive(Clone, Copy, Debug)]
struct Hold {
    from: u64,
    until: Until,
    /// Until then at most: the outcome may never come.
    until_ms: u64,
}

/// The pace of a session.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    /// How many may be in flight.
    window: usize,
    hold: Option<Hold>,
    /// Holds in a row without an answer in between.
    holds: u32,
}

impl Pace {
    /// With at most so many in flight.
    pub(super) fn new(most: usize) -> Self {
        Self { most, window: most, hold: None, holds: 0 }
    }

    /// A request came back, to be sent again.
    pub(super) fn came_back(&mut self) {
        self.window = 1;
    }

    /// A request that came back waits, and so do all later ones.
    pub(super) fn hold(&mut self, id: u64, until: Until, backoff: Backoff, now_ms: u64, jitter: u32) {
        if self.hold.is_none_or(|hold| id < hold.from) {
            self.holds = self.holds.saturating_add(1);
            self.hold = Some(Hold {
                from: id,
                until,
                until_ms: now_ms.saturating_add(backoff.delay_ms(self.holds, jitter)),
            });
        }
    }

    /// A request ran or parked, or was refused for good with that as its outcome.
    pub(super) fn got_through(&mut self) {
        self.window = self.window.saturating_add(1).min(self.most);
    }

    /// The cluster does something for the session.
    pub(super) fn answered(&mut self) {
        self.holds = 0;
    }

    /// Ends the hold.
    pub(super) fn release(&mut self) {
        self.hold = None;
    }

    /// When the hold ends at the latest, if there is one.
    pub(super) fn held_until(&self, now_ms: u64) -> Option<u64> {
        self.hold.map(|hold| hold.until_ms).filter(|until_ms| *until_ms > now_ms)
    }

    /// Whether `id` may be sent while `flying` are in flight. `came` tells whether what a hold
    /// waits for has happened. A request lower than all of `flying` may always be sent: they only
    /// come back without it.
    pub(super) fn allows(
        &mut self,
        id: u64,
        flying: &BTreeSet<u64>,
        now_ms: u64,
        came: impl Fn(Until) -> bool,
    ) -> bool {
        let mut tried = false;
        if let Some(hold) = self.hold.filter(|hold| hold.from <= id) {
            tried = now_ms >= hold.until_ms;
            if !tried && !came(hold.until) {
                return false;
            }
            self.hold = None;
        }
        tried || flying.len() < self.window || flying.first().is_none_or(|first| id < *first)
    }
}

#[cfg(test)]
mod tests;
