//! Cluster time by the clock of a leader.
//!
//! A leader reads the wall clock once in its term, and follows its monotonic clock from there, so
//! that a wall clock that is set back or forth moves nothing. Its stamps begin at the time of the
//! state at least, so they never go back across leaders.
use synod_abi::Time;

use crate::ports::Monotonic;

#[derive(Clone, Copy, Debug)]
struct Base {
    term: u64,
    stamp: Time,
    at: Monotonic,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct TimeBase(Option<Base>);

impl TimeBase {
    /// Cluster time at `now` in `term`. The first call in a term fixes its base, not before
    /// `earliest`.
    pub(super) fn stamp(
        &mut self,
        term: u64,
        earliest: Time,
        now: Monotonic,
        wall_ms: impl FnOnce() -> u64,
    ) -> Time {
        let base = match self.0 {
            Some(base) if base.term == term => base,
            _ => Base { term, stamp: earliest.max(Time(wall_ms())), at: now },
        };
        self.0 = Some(base);
        base.stamp.plus_ms(u64::try_from(now.since(base.at).as_millis()).unwrap_or(u64::MAX))
    }
}
