//! The walk over the rows of one range, from either end: it seeks past stretches of deleted rows
//! that are known, and remembers those that it had to step over, wherever in the range they lie.
//!
//! Only a walk over the present rows knows and learns; one over the rows of a moment only steps.
//! Where either stepped over many, it is compacted.
use std::collections::VecDeque;

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use synod_abi::Direction;
use synod_machine::Table;

use super::gaps::{Gap, Gaps, Moment};
use super::ranges::Place;
use super::tables::RowIterator;
use super::worn::MANY_ROWS;

/// A stretch is remembered if so many deleted rows lie in it: seeking costs as much as a few steps.
const WORTHWHILE_ROWS: u64 = 32;

/// See the module.
pub(super) struct Walk<'a> {
    iterator: &'a mut RowIterator,
    table: Table,
    from: &'a [u8],
    to: &'a [u8],
    direction: Direction,
    hints: Hints<'a>,
}

/// What a walk knows.
pub(super) struct Hints<'a> {
    gaps: &'a Gaps,
    /// None if it is over the rows of a former moment: nothing is ahead.
    moment: Option<Moment>,
    /// Those that are ahead, the nearest first.
    ahead: VecDeque<Gap>,
    passed: u64,
}

impl<'a> Walk<'a> {
    /// At the first row of the range in `direction`. `iterator` ends where the range does, is at
    /// `place`, and shows the rows of the hints' moment or of a later one.
    pub(super) fn begin(
        iterator: &'a mut RowIterator,
        place: Place,
        hints: Hints<'a>,
        table: Table,
        (from, to): (&'a [u8], &'a [u8]),
        direction: Direction,
    ) -> Self {
        let mut walk = Self { iterator, table, from, to, direction, hints };
        if place == Place::Elsewhere {
            walk.search();
        }
        walk
    }

    /// Looks for the first row of the range, behind the known stretch that it begins with.
    fn search(&mut self) {
        let (from, to) = (self.from, self.to);
        let nearest = self.hints.ahead.front();
        match (self.direction, nearest) {
            (Direction::Forward, Some(gap)) if gap.from.as_slice() <= from => self.iterator.seek(&gap.to),
            (Direction::Backward, Some(gap)) if !to.is_empty() && gap.to.as_slice() >= to => {
                self.iterator.seek_for_prev(&gap.from);
            }
            (Direction::Forward, _) => self.iterator.seek(from),
            (Direction::Backward, _) => self.iterator.seek_to_last(),
        }
        self.learn(None);
    }

    /// The row that the walk stands at; none at its end or after an error.
    pub(super) fn row(&self) -> Option<(&[u8], &[u8])> {
        self.iterator.item()
    }

    /// Goes on from the row with `key`, at which the walk stands.
    pub(super) fn step(&mut self, key: &[u8]) {
        let gap = self.hints.next_to(key, self.direction);
        match (self.direction, gap) {
            (Direction::Forward, Some(gap)) => self.iterator.seek(&gap.to),
            (Direction::Forward, None) => self.iterator.next(),
            (Direction::Backward, Some(gap)) => self.iterator.seek_for_prev(&gap.from),
            (Direction::Backward, None) => self.iterator.prev(),
        }
        self.learn(Some(key));
    }

    /// Ends the walk, which fails if it has met an error.
    pub(super) fn end(self) -> Result<(), rocksdb::Error> {
        self.iterator.status()?;
        let stepped_over = deleted_rows_passed() - self.hints.passed;
        if self.hints.moment.is_none() && stepped_over >= MANY_ROWS {
            let present = self.iterator.key();
            let stretch = match self.direction {
                Direction::Forward => (self.from, present.unwrap_or(self.to)),
                Direction::Backward => (present.unwrap_or(self.from), self.to),
            };
            self.hints.gaps.wear(self.table, stretch, stepped_over);
        }
        Ok(())
    }

    /// Remembers what lies between `last`, the row before or none at the beginning, and the present
    /// one, if it was much.
    fn learn(&mut self, last: Option<&[u8]>) {
        let Some(moment) = self.hints.moment else { return };
        let passed = deleted_rows_passed();
        let stepped_over = passed - self.hints.passed;
        self.hints.passed = passed;
        if stepped_over < WORTHWHILE_ROWS || self.iterator.status().is_err() {
            return;
        }
        let present = self.iterator.key();
        let (from, to) = match self.direction {
            Direction::Forward => (last.map(behind), present.unwrap_or(self.to)),
            Direction::Backward => (present.map(behind), last.unwrap_or(self.to)),
        };
        let from = from.as_deref().unwrap_or(self.from);
        self.hints.gaps.learn(self.table, (from, to), stepped_over, moment);
    }
}

impl Drop for Hints<'_> {
    fn drop(&mut self) {
        set_perf_stats(PerfStatsLevel::Disable);
    }
}

impl<'a> Hints<'a> {
    /// Of a walk over the present rows from now on, which will visit about `rows` of them.
    pub(super) fn of_present(
        gaps: &'a Gaps,
        table: Table,
        (from, to): (&[u8], &[u8]),
        direction: Direction,
        rows: usize,
    ) -> Self {
        let (ahead, moment) = gaps.within(table, from, to, direction, rows.saturating_add(1));
        Self::counting(gaps, Some(moment), ahead)
    }

    /// Of a walk over the rows of a former moment, from now on.
    pub(super) fn of_moment(gaps: &'a Gaps) -> Self {
        Self::counting(gaps, None, VecDeque::new())
    }

    fn counting(gaps: &'a Gaps, moment: Option<Moment>, ahead: VecDeque<Gap>) -> Self {
        set_perf_stats(PerfStatsLevel::EnableCount);
        Self { gaps, moment, ahead, passed: deleted_rows_passed() }
    }

    /// When they were asked for, if of the present rows.
    pub(super) fn moment(&self) -> Option<Moment> {
        self.moment
    }

    /// The known stretch that begins right behind the row with `key`.
    fn next_to(&mut self, key: &[u8], direction: Direction) -> Option<Gap> {
        loop {
            let gap = self.ahead.front()?;
            let (is_passed, is_next) = match direction {
                Direction::Forward => (gap.to.as_slice() <= key, gap.from <= behind(key)),
                Direction::Backward => (gap.from.as_slice() >= key, gap.to.as_slice() >= key),
            };
            if !is_passed {
                return if is_next { self.ahead.pop_front() } else { None };
            }
            self.ahead.pop_front();
        }
    }
}

/// The smallest key above `key`.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Deleted rows that this thread's iterators have stepped over while counting was enabled.
fn deleted_rows_passed() -> u64 {
    thread_local! {
        static COUNTERS: PerfContext = PerfContext::default();
    }
    COUNTERS.with(|counters| counters.metric(PerfMetric::InternalDeleteSkippedCount))
}
