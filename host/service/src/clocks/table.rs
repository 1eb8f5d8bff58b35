//! What follows from the clocks of all members with a vote.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use synod_abi::MemberId;

use super::history::{Exchange, History, Pace};
use crate::ports::Monotonic;

/// Offset from which on a wall clock is reported as wrong, in milliseconds: ten times what NTP
/// leaves, and more than the largest error of a measurement.
pub const WRONG_OFFSET_MS: u64 = 1_000;

/// How a member's own clocks compare with those of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnClocks {
    /// Its wall clock, less the lower median of the members' wall clocks, in milliseconds. Unknown
    /// while it hears no majority.
    pub offset_ms: Option<i64>,
    /// Whether a majority of the members says that its monotonic clock runs at a wrong rate.
    pub runs_wrong: bool,
}

impl OwnClocks {
    /// Whether its wall clock is wrong by more than [`WRONG_OFFSET_MS`].
    pub fn is_off(self) -> bool {
        self.offset_ms.is_some_and(|offset| offset.unsigned_abs() > WRONG_OFFSET_MS)
    }
}

impl fmt::Display for OwnClocks {
    /// The offset, for people: `2 d ahead of the other members' clocks`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
        let Some(offset) = self.offset_ms else { return f.write_str("not compared with others") };
        let ms = offset.unsigned_abs();
        let (length, unit) = UNITS.into_iter().find(|(length, _)| ms >= 2 * length).unwrap_or((1, "ms"));
        let side = if offset < 0 { "behind" } else { "ahead of" };
        write!(f, "{} {unit} {side} the other members' clocks", ms / length)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    me: MemberId,
    voters: BTreeSet<MemberId>,
    others: BTreeMap<MemberId, History>,
}

impl Table {
    pub(super) fn new(me: MemberId) -> Self {
        Self { me, voters: BTreeSet::new(), others: BTreeMap::new() }
    }

    /// Sets whose clocks count. What is known of others is forgotten.
    pub(super) fn set_voters(&mut self, voters: BTreeSet<MemberId>) {
        self.others.retain(|member, _| voters.contains(member));
        self.voters = voters;
    }

    pub(super) fn heard(&mut self, member: MemberId, exchange: Exchange) {
        if member != self.me && self.voters.contains(&member) {
            self.others.entry(member).or_default().add(exchange);
        }
    }

    /// The lower median of the wall clocks that are known at `now`, in milliseconds since the Unix
    /// epoch; none unless they are a majority's. `own_ms` is what this member's shows.
    ///
    /// Lower, so that of two clocks that disagree none moves time forth.
    pub(super) fn median_ms(&self, now: Monotonic, own_ms: u64) -> Option<u64> {
        let own = self.voters.contains(&self.me).then_some(own_ms);
        let mut known: Vec<_> = self.others.values().filter_map(|other| other.wall_ms(now)).collect();
        known.extend(own);
        if known.len() < self.majority() {
            return None;
        }
        known.sort_unstable();
        known.get((known.len() - 1) / 2).copied()
    }

    pub(super) fn own(&self, now: Monotonic, own_ms: u64) -> OwnClocks {
        let offset_ms = self.median_ms(now, own_ms).map(|median| {
            let less = i64::try_from(own_ms.abs_diff(median)).unwrap_or(i64::MAX);
            if own_ms < median { -less } else { less }
        });
        let paces = self.others.values().filter_map(|other| other.pace(now));
        let (slower, faster) = paces.fold((0, 0), |(slower, faster), pace| match pace {
            Pace::Slower => (slower + 1, faster),
            Pace::Same => (slower, faster),
            Pace::Faster => (slower, faster + 1),
        });
        OwnClocks { offset_ms, runs_wrong: slower.max(faster) >= self.majority() }
    }

    fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}

#[cfg(test)]
mod tests;
