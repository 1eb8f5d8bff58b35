//! Ranges: the rows of the overlay and those below it, merged in order, without what is deleted.
use alloc::borrow::Cow;
use core::cmp::Ordering;
use core::ops::Bound;

use synod_abi::Direction;

use super::committed::{CommittedRows, Range};
use super::gaps::{Gap, HIDDEN_RUN};
use super::{Now, Overlay};
use crate::ports::{Fatal, RangeLimit, StateView, Table};
use crate::rows::scan::successor;

/// Deleted rows since the last one that was found, or since the walk began.
#[derive(Default)]
struct Run<'a> {
    /// Where it begins, seen in the direction of the walk; unknown at the end of a table.
    begin: Option<Cow<'a, [u8]>>,
    hidden: usize,
}

/// A walk over a range.
struct Walk<'a> {
    overlay: &'a Overlay,
    table: Table,
    direction: Direction,
    limit: RangeLimit,
    run: Run<'a>,
}

/// Where a run ends.
#[derive(Clone, Copy)]
enum End<'k> {
    /// At a row that is there.
    Row(&'k [u8]),
    /// At the bound of the range.
    Bound(&'k [u8]),
}

/// How the walk of a part ended.
enum Walked {
    Refused,
    Through,
}

impl Overlay {
    /// Hands the live rows of a range to `accept`, until it refuses one. Returns whether it did: it
    /// is exact, tombstones counted, so it does not tell apart what is in the overlay and what is
    /// committed.
    pub(crate) fn range<S: StateView>(
        &self,
        view: &S,
        Range { table, from, to, direction, limit }: Range<'_>,
        mut accept: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<bool, Fatal> {
        let forward = direction == Direction::Forward;
        let begin = if forward { Some(from) } else { Some(to).filter(|to| !to.is_empty()) };
        let run = Run { begin: begin.map(Cow::Borrowed), hidden: 0 };
        let mut walk = Walk { overlay: self, table, direction, limit, run };
        let (mut rest_from, mut rest_to) = (Cow::Borrowed(from), Cow::Borrowed(to));
        while rest_to.is_empty() || rest_from < rest_to {
            let gap = walk.next_gap(&rest_from, &rest_to);
            let (part_from, part_to) = match &gap {
                Some(gap) if forward => (&*rest_from, &*gap.from),
                Some(gap) => (&*gap.to, &*rest_to),
                None => (&*rest_from, &*rest_to),
            };
            if let Walked::Refused = walk.part(view, part_from, part_to, &mut accept)? {
                return Ok(true);
            }
            let Some(Gap { from: gap_from, to: gap_to }) = gap else { break };
            walk.run.hidden += HIDDEN_RUN;
            let begin = if forward { &gap_from } else { &gap_to };
            walk.run.begin.get_or_insert_with(|| Cow::Owned(begin.clone()));
            if forward {
                rest_from = Cow::Owned(gap_to);
            } else if gap_from.is_empty() {
                break;
            } else {
                rest_to = Cow::Owned(gap_from);
            }
        }
        walk.end_run(End::Bound(if forward { to } else { from }));
        Ok(false)
    }
}

impl Walk<'_> {
    /// The gap that comes next in what is left of the range.
    fn next_gap(&self, from: &[u8], to: &[u8]) -> Option<Gap> {
        let gaps = self.overlay.gaps.borrow();
        match self.direction {
            Direction::Forward => {
                let gap = gaps.at_or_behind(self.table, from);
                gap.filter(|gap| to.is_empty() || gap.from.as_slice() < to)
            }
            Direction::Backward => gaps.before(self.table, to).filter(|gap| gap.to.as_slice() > from),
        }
    }

    /// Walks a part that no gap lies in.
    fn part<S: StateView>(
        &mut self,
        view: &S,
        from: &[u8],
        to: &[u8],
        accept: &mut impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<Walked, Fatal> {
        if !to.is_empty() && from >= to {
            return Ok(Walked::Through);
        }
        let Self { overlay, table, direction, limit, .. } = *self;
        let forward = direction == Direction::Forward;
        let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        let mut own = overlay.changed_in(table).range::<[u8], _>((Bound::Included(from), end));
        let mut next_own = || if forward { own.next() } else { own.next_back() };
        let wanted = Range { table, from, to, direction, limit };
        let mut theirs = CommittedRows::new(view, wanted, &overlay.prefixes);
        let mut mine = next_own();
        let mut other = theirs.next()?;
        loop {
            let order = match (&mine, &other) {
                (None, None) => return Ok(Walked::Through),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((key, _)), Some((theirs, _))) if forward => (***key).cmp(theirs.as_slice()),
                (Some((key, _)), Some((theirs, _))) => theirs.as_slice().cmp(key),
            };
            let live = match (&mine, &other) {
                (Some((key, slot)), _) if order.is_le() => match &overlay.slots[**slot].now {
                    Now::Put(value) => Some((&***key, value.as_slice())),
                    Now::Deleted | Now::Unchanged => {
                        self.hide(key);
                        None
                    }
                },
                (_, Some((key, value))) => Some((key.as_slice(), value.as_slice())),
                (_, None) => None,
            };
            if let Some((key, value)) = live {
                self.end_run(End::Row(key));
                if !accept(key, value) {
                    return Ok(Walked::Refused);
                }
            } else if order.is_eq() {
                theirs.row_was_hidden();
            }
            if order.is_le() {
                mine = next_own();
            }
            if order.is_ge() {
                other = theirs.next()?;
            }
        }
    }

    /// A deleted row was passed.
    fn hide(&mut self, key: &[u8]) {
        self.overlay.hidden.set(self.overlay.hidden.get() + 1);
        self.run.hidden += 1;
        if self.run.begin.is_none() {
            self.run.begin = Some(Cow::Owned(match self.direction {
                Direction::Forward => key.to_vec(),
                Direction::Backward => successor(key.to_vec()),
            }));
        }
    }

    /// What lies between the run's begin and `end` holds no row: it is remembered, if it was long.
    fn end_run(&mut self, end: End<'_>) {
        let Run { begin, hidden } = core::mem::take(&mut self.run);
        let Some(begin) = begin.filter(|_| hidden >= HIDDEN_RUN) else { return };
        let mut gaps = self.overlay.gaps.borrow_mut();
        match (self.direction, end) {
            (Direction::Forward, End::Row(key) | End::Bound(key)) => gaps.add(self.table, &begin, key),
            (Direction::Backward, End::Row(key)) => {
                gaps.add(self.table, &successor(key.to_vec()), &begin);
            }
            (Direction::Backward, End::Bound(key)) => gaps.add(self.table, key, &begin),
        }
    }
}
