//! Cluster time by the clocks of a leader.
//!
//! A leader's stamps begin at the larger of the last stamp and the lower median of the members'
//! wall clocks, and follow its monotonic clock from there, so that a wall clock that is set moves
//! nothing. As long as it leads it approaches the median, which the members measure all the time,
//! by running slower or faster, never by a step and never back. Time runs at half of its rate at
//! least and at twice at most: half, so that nothing that waits is held up for long, though time
//! that is ahead may take years to be right; twice, so that time that is behind by an hour is right
//! after one.
//!
//! Without a majority of clocks time goes on from the last stamp, by the monotonic clock alone. A
//! leader that knows no majority yet, as after a start, waits for one for a moment: otherwise it
//! would begin at the last stamp, which may be as old as the cluster was down. If it has to, it
//! takes the first majority that it learns of as it would have at the beginning.
use std::time::Duration;

use synod_abi::Time;

use crate::ports::Monotonic;

/// How long a new leader waits to know a majority's clocks.
pub(super) const FIRST_CLOCKS_TIMEOUT: Duration = Duration::from_secs(1);
/// Share of the time that passes by which stamps fall short of it at most.
const SLOWER_PART: u64 = 2;
/// Share by which they exceed it at most.
const FASTER_PART: u64 = 1;
const US_OF_MS: u64 = 1_000;

/// The last stamp that this member applied, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastStamp {
    pub(super) time: Time,
    pub(super) at: Monotonic,
}

/// Time in microseconds at a moment, and whether it was compared with a majority's clocks once.
#[derive(Clone, Copy, Debug)]
struct Base {
    time_us: u64,
    at: Monotonic,
    is_compared: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    New,
    Waiting {
        since: Monotonic,
    },
    Running(Base),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct TimeBase {
    term: u64,
    stage: Stage,
}

impl TimeBase {
    /// Cluster time at `now` in `term`, not before `last`; `median_ms` is that of a majority's
    /// clocks. None while it is not known where to begin.
    pub(super) fn stamp(
        &mut self,
        term: u64,
        last: LastStamp,
        now: Monotonic,
        median_ms: Option<u64>,
    ) -> Option<Time> {
        if self.term != term {
            *self = Self { term, stage: Stage::New };
        }
        let median_us = median_ms.map(|ms| ms.saturating_mul(US_OF_MS));
        let last_us = last.time.0.saturating_mul(US_OF_MS);
        let goes_on = last_us.saturating_add(micros(now.since(last.at)));
        let begin = |time_us| Base { time_us, at: now, is_compared: median_us.is_some() };
        let base = match (self.stage, median_us) {
            (Stage::Running(base), _) => base.at(now, median_us),
            (_, Some(median)) => begin(median),
            (Stage::New, None) => {
                self.stage = Stage::Waiting { since: now };
                return None;
            }
            (Stage::Waiting { since }, None) => {
                let knows_time = last.time != Time::default();
                if !knows_time || now.since(since) < FIRST_CLOCKS_TIMEOUT {
                    return None;
                }
                begin(goes_on)
            }
        };
        let base = Base { time_us: base.time_us.max(last_us), ..base };
        self.stage = Stage::Running(base);
        Some(Time(base.time_us / US_OF_MS))
    }
}

impl Base {
    fn at(self, now: Monotonic, median_us: Option<u64>) -> Self {
        let passed = micros(now.since(self.at));
        let at = self.at.after(Duration::from_micros(passed));
        let straight = self.time_us.saturating_add(passed);
        let (slowest, fastest) =
            (straight - passed / SLOWER_PART, straight.saturating_add(passed / FASTER_PART));
        let (time_us, is_compared) = match median_us {
            None => (straight, self.is_compared),
            Some(median) if self.is_compared => (median.clamp(slowest, fastest), true),
            Some(median) => (median.max(straight), true),
        };
        Self { time_us, at, is_compared }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
