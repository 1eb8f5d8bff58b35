//! Iterators that a view keeps open between the pages of its ranges.
//!
//! Whoever reads a range reads it page by page, and whoever takes rows out one after the other asks
//! for the same range again and again: opening an iterator for each costs more than the few rows
//! that it shows. So the last few are kept with the view, each with the range that it was opened
//! for. The next page goes on where the iterator stands; another beginning of the range is a search
//! with it.
//!
//! An iterator shows the rows as they were when it was opened: for the present rows it is used only
//! while nothing was written since. It keeps memtables and table files, so none outlives its view,
//! and a view of the present rows lives no longer than an entry is applied.
use std::sync::{Mutex, PoisonError};

use synod_abi::Direction;
use synod_machine::Table;

use super::gaps::Moment;
use super::tables::RowIterator;

/// Most iterators that a view keeps; the one that was used least recently goes first.
const KEPT: usize = 4;

/// An iterator, and the range that it was opened for.
pub(super) struct Opened {
    pub(super) rows: RowIterator,
    table: Table,
    /// When it was opened, if it shows the present rows.
    moment: Option<Moment>,
    keys: Keys,
    /// The direction in which it stands at the row behind the last one; none if it does not.
    stands: Option<Direction>,
}

/// Where the range begins, where it ends, and the last row that was read, one behind the other.
struct Keys {
    bytes: Vec<u8>,
    to: usize,
    last: usize,
}

/// Where the iterator for a range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the first row of the range, or at its end.
    First,
    /// Anywhere.
    Elsewhere,
}

/// The iterators of a view.
#[derive(Default)]
pub(super) struct Ranges(Mutex<Vec<Opened>>);

impl Ranges {
    /// An iterator for `from..to` of `table`, and where it is. If none is kept that shows the rows
    /// of `moment` and ends where the range does, `open` opens one.
    pub(super) fn take(
        &self,
        table: Table,
        (from, to): (&[u8], &[u8]),
        direction: Direction,
        moment: Option<Moment>,
        open: impl FnOnce() -> RowIterator,
    ) -> (Opened, Place) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let serves = |opened: &Opened| {
            opened.table == table && opened.moment == moment && opened.serves(from, to, direction)
        };
        let found = kept.iter().rposition(serves).map(|at| kept.remove(at));
        drop(kept);
        if let Some(opened) = found {
            let place = if opened.stands_at(from, to, direction) { Place::First } else { Place::Elsewhere };
            return (opened, place);
        }
        let keys = Keys::new(from, to);
        (Opened { rows: open(), table, moment, keys, stands: None }, Place::Elsewhere)
    }

    /// Keeps an iterator, which stands at the row behind `last` in `direction`, if there is one.
    pub(super) fn keep(&self, mut opened: Opened, direction: Direction, last: Option<&[u8]>) {
        opened.stands = last.map(|_| direction);
        opened.keys.set_last(last.unwrap_or_default());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(opened);
    }
}

impl Opened {
    /// Whether it can show `from..to` in `direction`: it ends where the range does, and begins no
    /// later. From its end it begins where it was opened, or stands.
    fn serves(&self, from: &[u8], to: &[u8], direction: Direction) -> bool {
        match direction {
            Direction::Forward => self.keys.to() == to && self.keys.from() <= from,
            Direction::Backward => {
                self.keys.from() == from && (self.keys.to() == to || self.stands_at(from, to, direction))
            }
        }
    }

    /// Whether it stands at the first row of `from..to`, a range that it serves.
    fn stands_at(&self, from: &[u8], to: &[u8], direction: Direction) -> bool {
        self.stands == Some(direction)
            && match direction {
                Direction::Forward => from.strip_prefix(self.keys.last()) == Some(&[0]),
                Direction::Backward => to == self.keys.last(),
            }
    }
}

impl Keys {
    fn new(from: &[u8], to: &[u8]) -> Self {
        let longest = from.len().max(to.len());
        let mut bytes = Vec::with_capacity(from.len() + to.len() + longest);
        bytes.extend_from_slice(from);
        bytes.extend_from_slice(to);
        Self { to: from.len(), last: bytes.len(), bytes }
    }

    fn from(&self) -> &[u8] {
        &self.bytes[..self.to]
    }

    fn to(&self) -> &[u8] {
        &self.bytes[self.to..self.last]
    }

    fn last(&self) -> &[u8] {
        &self.bytes[self.last..]
    }

    fn set_last(&mut self, last: &[u8]) {
        self.bytes.truncate(self.last);
        self.bytes.extend_from_slice(last);
    }
}
