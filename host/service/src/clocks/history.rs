//! The last readings of one member's clocks: what its wall clock shows now, and how fast its
//! monotonic clock runs.
//!
//! A reading was taken between sending the question and receiving the answer. It counts as that of
//! the middle, and is wrong by half of the round trip at most. Of fresh readings the one with the
//! least error decides; but a clock that was set meanwhile is as it was set, so older readings
//! that contradict the newest one do not count.
use std::collections::VecDeque;
use std::time::Duration;

use crate::ports::{ClockReading, Monotonic};

/// Readings that are kept of one member.
pub(super) const KEPT: usize = 16;
/// How long a reading says what a clock shows: several times longer than an election.
pub(super) const FRESH: Duration = Duration::from_secs(10);
/// Longest round trip of a reading that is used. A longer one is wrong by too much.
pub(super) const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);
/// Least time between two readings that tell how fast a clock runs.
pub(super) const PACE_WINDOW: Duration = Duration::from_secs(4);
/// Share of a time by which a healthy clock gets it wrong at most: twice what NTP slews by.
const DRIFT_PART: u32 = 1_000;
/// Share of a time by which two monotonic clocks may differ. A client relies on nine tenths of its
/// session's time to live, so half of that margin is left to the client's own clock.
pub(super) const PACE_PART: u32 = 20;

/// A question about a member's clocks, and its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// When it was asked, on this member's monotonic clock.
    pub(crate) sent: Monotonic,
    /// When the answer was there.
    pub(crate) received: Monotonic,
    /// The answer.
    pub(crate) reading: ClockReading,
}

/// A reading, at a time of this member's monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Monotonic,
    error: Duration,
    reading: ClockReading,
}

impl Sample {
    fn wall_ms_at(&self, now: Monotonic) -> u64 {
        let since = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.reading.wall_ms.saturating_add(since)
    }

    /// By how much [`wall_ms_at`](Self::wall_ms_at) is wrong at most, if the clock was not set.
    fn error_at(&self, now: Monotonic) -> Duration {
        self.error + now.since(self.at) / DRIFT_PART
    }

    fn agrees_with(&self, later: &Self) -> bool {
        let error = self.error_at(later.at) + later.error;
        let rounding = 2;
        let error_ms = u64::try_from(error.as_millis()).unwrap_or(u64::MAX).saturating_add(rounding);
        self.wall_ms_at(later.at).abs_diff(later.reading.wall_ms) <= error_ms
    }
}

/// How fast a member's monotonic clock runs, compared with this member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Slower than two right clocks could differ.
    Slower,
    /// The same, as far as can be told.
    Same,
    /// Faster than that.
    Faster,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Sample>);

impl History {
    /// Notes a reading. A member that was started again begins a new history, since its monotonic
    /// clock does.
    pub(super) fn add(&mut self, Exchange { sent, received, reading }: Exchange) {
        let round_trip = received.since(sent);
        if round_trip > LONGEST_ROUND_TRIP {
            return;
        }
        let sample = Sample { at: sent.after(round_trip / 2), error: round_trip / 2, reading };
        let goes_on = |last: &Sample| {
            last.reading.incarnation == reading.incarnation && last.reading.monotonic <= reading.monotonic
        };
        if !self.0.back().is_some_and(goes_on) {
            self.0.clear();
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    fn fresh(&self, now: Monotonic) -> impl DoubleEndedIterator<Item = &Sample> {
        self.0.iter().filter(move |sample| now.since(sample.at) <= FRESH)
    }

    /// What the member's wall clock shows at `now`, if that is known.
    pub(super) fn wall_ms(&self, now: Monotonic) -> Option<u64> {
        let newest = self.fresh(now).next_back()?;
        let usable = self.fresh(now).rev().take_while(|sample| sample.agrees_with(newest));
        usable.min_by_key(|sample| sample.error_at(now)).map(|sample| sample.wall_ms_at(now))
    }

    /// How fast the member's monotonic clock has run lately, if that is known.
    pub(super) fn pace(&self, now: Monotonic) -> Option<Pace> {
        let newest = self.fresh(now).next_back()?;
        let oldest = self.0.front().filter(|oldest| newest.at.since(oldest.at) >= PACE_WINDOW)?;
        let own = newest.at.since(oldest.at);
        let theirs = newest.reading.monotonic.since(oldest.reading.monotonic);
        let tolerance = oldest.error + newest.error + own / PACE_PART;
        Some(if theirs > own + tolerance {
            Pace::Faster
        } else if theirs + tolerance < own {
            Pace::Slower
        } else {
            Pace::Same
        })
    }
}

#[cfg(test)]
mod tests;
