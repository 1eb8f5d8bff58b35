//! Stretches that wait to be compacted, because ranges stepped over many deleted rows in them.
//!
//! How much RocksDB skips differs per member and is charged to nobody, so a member sees to it that
//! it does not stay: its [`compactor`](super::compactor) takes stretches out of here. One that
//! finds no place is found again.
use std::sync::{Mutex, MutexGuard, PoisonError};

use synod_machine::Table;

/// A stretch is worth compacting if so many deleted rows lie in it: stepping over them takes about
/// a millisecond, as much as many calls.
pub(crate) const MANY_ROWS: u64 = 10_000;
/// Most stretches that wait.
const WAITING: usize = 16;

/// Keys `from..to` of a table; an empty `to` is the table's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) table: Table,
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
    /// Deleted rows that were stepped over in it.
    pub(crate) deleted: u64,
}

/// The stretches of one generation that wait.
#[derive(Debug, Default)]
pub(crate) struct Worn(Mutex<Vec<Stretch>>);

impl Worn {
    /// Has a stretch wait, as one with those that it meets. Returns false if too many wait.
    pub(crate) fn add(&self, mut stretch: Stretch) -> bool {
        let mut waiting = self.lock();
        while let Some(at) = waiting.iter().position(|other| other.meets(&stretch)) {
            let other = waiting.remove(at);
            stretch.deleted += other.deleted;
            stretch.from = stretch.from.min(other.from);
            let ends = !stretch.to.is_empty() && !other.to.is_empty();
            stretch.to = if ends { stretch.to.max(other.to) } else { Vec::new() };
        }
        let is_taken = waiting.len() < WAITING;
        if is_taken {
            waiting.push(stretch);
        }
        is_taken
    }

    /// The stretch that waits for the longest time.
    pub(crate) fn take(&self) -> Option<Stretch> {
        let mut waiting = self.lock();
        if waiting.is_empty() { None } else { Some(waiting.remove(0)) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stretch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stretch {
    fn meets(&self, other: &Self) -> bool {
        let begins_before = |end: &[u8], from: &[u8]| end.is_empty() || from <= end;
        self.table == other.table
            && begins_before(&self.to, &other.from)
            && begins_before(&other.to, &self.from)
    }
}

#[cfg(test)]
mod tests;
