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
//! not remembered. A range from the largest key seeks before its stretch in the same way.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use synod_machine::{Table, Write};

/// A stretch is remembered if so many deleted rows lie in it: seeking costs as much as a few steps.
const WORTHWHILE_ROWS: u64 = 32;
/// Most stretches; then all are forgotten, and found again as they are met.
const GAPS: usize = 4_096;

/// How often rows were written: odd while they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[derive(Debug, Default)]
struct Known {
    moment: u64,
    count: usize,
    /// `from..to` by `from`, disjoint.
    tables: [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()],
}

/// The stretches of one generation.
#[derive(Debug, Default)]
pub(crate) struct Gaps(Mutex<Known>);

impl Gaps {
    /// Where the stretch ends that `from` lies in, if it does, and when that was so.
    pub(crate) fn end_of(&self, table: Table, from: &[u8]) -> (Option<Vec<u8>>, Moment) {
        let known = self.lock();
        let gap = known.around(table, from).map(|(_, to)| to.to_vec());
        (gap, Moment(known.moment))
    }

    /// Where the stretch begins that lies right before `to`, if one does, and when that was so. An
    /// empty `to` is the end of the table, before which none is known.
    pub(crate) fn begin_before(&self, table: Table, to: &[u8]) -> (Option<Vec<u8>>, Moment) {
        let known = self.lock();
        let before = (Bound::Unbounded, Bound::Excluded(to));
        let last = known.tables[table as usize].range::<[u8], _>(before).next_back();
        let gap =
            last.filter(|(from, end)| !from.is_empty() && end.as_slice() >= to).map(|(from, _)| from.clone());
        (gap, Moment(known.moment))
    }

    /// Remembers that no row lies in `from..to`, unless rows were written since `moment`.
    pub(crate) fn learn(&self, table: Table, from: &[u8], to: &[u8], moment: Moment) {
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
        let ends = inside.iter().filter_map(|inside| gaps.remove(inside));
        let to = ends.fold(to.to_vec(), Ord::max);
        gaps.insert(from, to);
        known.count += 1;
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The stretch that `key` lies in.
    fn around(&self, table: Table, key: &[u8]) -> Option<(&[u8], &[u8])> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let (from, to) = self.tables[table as usize].range::<[u8], _>(up_to).next_back()?;
        (key < to.as_slice()).then_some((from.as_slice(), to.as_slice()))
    }

    /// Ends the stretch that `key` lies in before it, and begins the rest behind it.
    fn cut(&mut self, table: Table, key: &[u8]) {
        let Some((from, to)) = self.around(table, key) else { return };
        let (from, to) = (from.to_vec(), to.to_vec());
        let behind = [key, &[0]].concat();
        let gaps = &mut self.tables[table as usize];
        gaps.remove(&from);
        self.count -= 1;
        for (from, to) in [(from, key.to_vec()), (behind, to)] {
            if from < to {
                gaps.insert(from, to);
                self.count += 1;
            }
        }
    }

    fn forget(&mut self) {
        self.tables.iter_mut().for_each(BTreeMap::clear);
        self.count = 0;
    }
}

/// Runs `seek`, and returns whether it stepped over enough deleted rows to be remembered.
pub(crate) fn steps_over_many(seek: impl FnOnce()) -> bool {
    thread_local! {
        static COUNTERS: PerfContext = PerfContext::default();
    }
    let passed = |counters: &PerfContext| counters.metric(PerfMetric::InternalDeleteSkippedCount);
    COUNTERS.with(|counters| {
        set_perf_stats(PerfStatsLevel::EnableCount);
        let before = passed(counters);
        seek();
        let after = passed(counters);
        set_perf_stats(PerfStatsLevel::Disable);
        after - before >= WORTHWHILE_ROWS
    })
}

#[cfg(test)]
mod tests;
