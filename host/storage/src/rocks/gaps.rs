//! Seek hints: stretches of keys in which only deleted rows lie, so that the thread that applies
//! does not step over them each time it looks for the first row behind them.
//!
//! A deleted row stays in RocksDB until compaction, and a range that begins before it steps over
//! it: a recipe that takes the smallest row of a map out again and again gets slower with each.
//! What a range has stepped over once is remembered here, and the next one seeks behind it. Nothing
//! is written down: after a restart the stretches are found again.
//!
//! Only reads of the present state use it, by the thread that writes; a row that is put cuts its
//! stretch in two before it is written. A stretch that was read while rows were being written is
//! not remembered. How a range is walked with them is [`walk`](super::walk)'s.
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use synod_abi::Direction;
use synod_machine::{Table, Write};

use super::worn::{MANY_ROWS, Stretch, Worn};

/// Most stretches; then all are forgotten, and found again as they are met.
const GAPS: usize = 4_096;

/// How often rows were written: odd while they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

/// A stretch `from..to` in which no row lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

#[derive(Debug, Default)]
struct Known {
    moment: u64,
    count: usize,
    /// By where they begin; disjoint.
    tables: [BTreeMap<Vec<u8>, Rest>; Table::ALL.len()],
}

/// A stretch but for its beginning.
#[derive(Debug)]
struct Rest {
    to: Vec<u8>,
    /// Deleted rows that were stepped over to find it, and that no compaction was asked for.
    deleted: u64,
}

/// The stretches of one generation.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    known: Mutex<Known>,
    /// Those with many deleted rows.
    pub(crate) worn: Worn,
}

impl Gaps {
    /// The stretches of which a part lies in `from..to`, in the order of `direction`, at most
    /// `limit` of them, and when that was so. An empty `to` is the end of the table.
    pub(crate) fn within(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> (VecDeque<Gap>, Moment) {
        let known = self.lock();
        let moment = Moment(known.moment);
        if known.tables[table as usize].is_empty() {
            return (VecDeque::new(), moment);
        }
        let first = known.around(table, from).map_or(from, |(begin, _)| begin);
        let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        let inside = known.tables[table as usize].range::<[u8], _>((Bound::Included(first), end));
        let owned = |(from, rest): (&Vec<u8>, &Rest)| Gap { from: from.clone(), to: rest.to.clone() };
        let gaps = match direction {
            Direction::Forward => inside.take(limit).map(owned).collect(),
            Direction::Backward => inside.rev().take(limit).map(owned).collect(),
        };
        (gaps, moment)
    }

    /// Remembers that no row lies in `from..to`, where so many deleted ones were stepped over,
    /// unless rows were written since `moment`.
    pub(crate) fn learn(&self, table: Table, (from, to): (&[u8], &[u8]), deleted: u64, moment: Moment) {
        let mut known = self.lock();
        if Moment(known.moment) != moment || known.moment % 2 == 1 || from >= to {
            return;
        }
        if known.count >= GAPS {
            known.forget();
        }
        let before = known.around(table, from).map(|(from, _)| from.to_vec());
        let from = before.unwrap_or_else(|| from.to_vec());
        let inside: Vec<Vec<u8>> = known.tables[table as usize]
            .range::<[u8], _>((Bound::Included(from.as_slice()), Bound::Excluded(to)))
            .map(|(inside, _)| inside.clone())
            .collect();
        known.count -= inside.len();
        let gaps = &mut known.tables[table as usize];
        let mut whole = Rest { to: to.to_vec(), deleted };
        for part in inside.iter().filter_map(|inside| gaps.remove(inside)) {
            whole.to = whole.to.max(part.to);
            whole.deleted += part.deleted;
        }
        if whole.deleted >= MANY_ROWS && self.wear(table, (&from, &whole.to), whole.deleted) {
            whole.deleted = 0;
        }
        gaps.insert(from, whole);
        known.count += 1;
    }

    /// Has a stretch compacted in which so many deleted rows were stepped over; false if too many
    /// wait for that.
    pub(crate) fn wear(&self, table: Table, (from, to): (&[u8], &[u8]), deleted: u64) -> bool {
        self.worn.add(Stretch { table, from: from.to_vec(), to: to.to_vec(), deleted })
    }

    /// Writes rows with `write`, and cuts the stretches that they lie in before.
    pub(crate) fn around<R>(&self, writes: &[Write], write: impl FnOnce() -> R) -> R {
        {
            let mut known = self.lock();
            known.moment += 1;
            if known.count > 0 {
                for written in writes {
                    if let Write::Put { table, key, .. } = written {
                        known.cut(*table, key);
                    }
                }
            }
        }
        let written = write();
        self.lock().moment += 1;
        written
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The stretch that `key` lies in.
    fn around(&self, table: Table, key: &[u8]) -> Option<(&[u8], &Rest)> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let (from, rest) = self.tables[table as usize].range::<[u8], _>(up_to).next_back()?;
        (key < rest.to.as_slice()).then_some((from.as_slice(), rest))
    }

    /// Ends the stretch that `key` lies in before it, and begins the rest behind it. Where the
    /// deleted rows lie is not known: half of them are taken to be on either side.
    fn cut(&mut self, table: Table, key: &[u8]) {
        let Some((from, _)) = self.around(table, key) else { return };
        let from = from.to_vec();
        let gaps = &mut self.tables[table as usize];
        let Some(Rest { to, deleted }) = gaps.remove(&from) else { return };
        self.count -= 1;
        let behind = [key, &[0]].concat();
        for (from, to) in [(from, key.to_vec()), (behind, to)] {
            if from < to {
                gaps.insert(from, Rest { to, deleted: deleted / 2 });
                self.count += 1;
            }
        }
    }

    fn forget(&mut self) {
        self.tables.iter_mut().for_each(BTreeMap::clear);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests;
