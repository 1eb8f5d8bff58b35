//! The scrubs of this member: when they are due, asked for, how far one is, and what the last one
//! has found.
//!
//! One runs at a time. Who asks gets the number of one that begins after that, since one that runs
//! may have read what is damaged meanwhile. Counts begin again with the process.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use synod_abi::MemberId;
use synod_machine::RowsRead;

use crate::progress::{Progress, Reach, lock};

/// Share of the time between two scrubs that passes before the first one of a process, so that
/// members that are often restarted are scrubbed, too; and the share over which members spread.
const FIRST_OF_EVERY: u32 = 24;
/// Steps of that spread.
const SPREAD: u32 = 1_024;

/// How often a member scrubs its state, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubPace {
    /// From one to the next; `None`: only when it is asked for.
    pub every: Option<Duration>,
    /// Bytes of rows a second, at most; a row counts for some bytes more than it has.
    pub bytes_per_second: u64,
}

impl ScrubPace {
    /// When the first one of a process is due, counted from its start: not at the same time on all
    /// members.
    pub(crate) fn first(self, me: MemberId) -> Option<Duration> {
        let share = self.every? / FIRST_OF_EVERY;
        let place = (me.0 % u64::from(SPREAD)) as u32;
        Some(share + share * place / SPREAD)
    }
}

/// What a scrub has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// The entry after which the state was read.
    pub index: u64,
    /// When it ended, by the wall clock.
    pub ended_ms: u64,
    /// Other members with a vote that had the same digests after that entry.
    pub confirmed_by: u64,
    /// What is wrong, for people; `None`: nothing.
    pub finding: Option<String>,
}

/// How the scrubs of a member are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// The number of the last one that has begun; they count from 1.
    pub begun: u64,
    /// The number of the last one that has ended.
    pub ended: u64,
    /// What the last one that has begun has read.
    pub read: RowsRead,
    /// What the last one that has ended has found.
    pub last: Option<ScrubReport>,
}

#[derive(Debug, Default)]
struct Shared {
    status: Mutex<ScrubStatus>,
    /// The number of the last one that was asked for.
    asked: Progress,
}

/// See the module. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrubs(Arc<Shared>);

impl Scrubs {
    /// Asks for one that begins after this; its number.
    pub(crate) fn ask(&self) -> u64 {
        let number = lock(&self.0.status).begun + 1;
        self.0.asked.advance(number);
        number
    }

    /// Resolves when another one is asked for than have begun.
    pub(crate) fn asked(&self) -> Reach {
        self.0.asked.reach(lock(&self.0.status).begun + 1)
    }

    pub(crate) fn begin(&self) {
        let mut status = lock(&self.0.status);
        status.begun += 1;
        status.read = RowsRead::default();
    }

    pub(crate) fn progress(&self, read: RowsRead) {
        lock(&self.0.status).read = read;
    }

    pub(crate) fn end(&self, report: ScrubReport) {
        let mut status = lock(&self.0.status);
        status.ended = status.begun;
        status.last = Some(report);
    }

    pub(crate) fn status(&self) -> ScrubStatus {
        lock(&self.0.status).clone()
    }
}

#[cfg(test)]
mod tests;
