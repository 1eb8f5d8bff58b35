//! The last lines that recipes wrote for people on this member. Not replicated: each member has its
//! own.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use synod_abi::{EntryPoint, SpaceId, Time, limits};
use synod_machine::LogLine;

use crate::progress::{Progress, Reach, lock};

/// A line of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Counts the lines of this start of the member, from 1.
    pub number: u64,
    /// Cluster time of the state that it ran on.
    pub time: Time,
    /// The space that it ran in.
    pub space: SpaceId,
    /// What of its recipe ran.
    pub entry_point: EntryPoint,
    /// From 1 (error) to 5 (trace).
    pub level: u8,
    /// The text.
    pub text: String,
}

/// The last [`limits::LOG_RING_LINES`] lines. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LogRing {
    lines: Arc<Mutex<VecDeque<LogRecord>>>,
    written: Progress,
}

impl LogRing {
    /// Adds lines, dropping the oldest.
    pub fn extend(&self, time: Time, lines: Vec<LogLine>) {
        if lines.is_empty() {
            return;
        }
        let last = {
            let mut ring = lock(&self.lines);
            let mut number = ring.back().map_or(0, |record| record.number);
            for LogLine { space, entry_point, level, text } in lines {
                number += 1;
                if ring.len() == limits::LOG_RING_LINES {
                    ring.pop_front();
                }
                ring.push_back(LogRecord { number, time, space, entry_point, level, text });
            }
            number
        };
        self.written.advance(last);
    }

    /// At most `limit` lines with numbers above `number`, oldest first.
    pub fn after(&self, number: u64, limit: usize) -> Vec<LogRecord> {
        let ring = lock(&self.lines);
        let from = ring.partition_point(|record| record.number <= number);
        ring.range(from..).take(limit).cloned().collect()
    }

    /// Resolves when there is a line with a number above `number`.
    pub fn more_than(&self, number: u64) -> Reach {
        self.written.reach(number.saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
