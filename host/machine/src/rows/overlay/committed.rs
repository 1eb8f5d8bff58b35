//! The committed rows under an overlay, read chunk by chunk.
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use synod_abi::Direction;

use crate::ports::{Fatal, RangeLimit, Row, StateView, Table};
use crate::rows::scan::behind;

/// Most rows that are read at a time to get past deleted ones.
const LOOKAHEAD_ROWS: usize = 64;
/// Most bytes of them.
const LOOKAHEAD_BYTES: usize = 16 * 1_024;

/// Which rows are wanted, as in [`StateView::range`]; `limit` is how many committed ones are read
/// at a time.
pub(crate) struct Range<'a> {
    pub(crate) table: Table,
    pub(crate) from: &'a [u8],
    pub(crate) to: &'a [u8],
    pub(crate) direction: Direction,
    pub(crate) limit: RangeLimit,
}

/// Committed rows of a range that no deleted prefix covers, chunk by chunk.
pub(super) struct CommittedRows<'a, S> {
    view: &'a S,
    /// Prefixes that the entry deleted.
    deleted: &'a [(Table, Vec<u8>)],
    table: Table,
    direction: Direction,
    limit: RangeLimit,
    from: Vec<u8>,
    to: Vec<u8>,
    rows: VecDeque<Row>,
    more: bool,
    /// Rows that turned out to be deleted.
    hidden: usize,
}

impl<'a, S: StateView> CommittedRows<'a, S> {
    pub(super) fn new(view: &'a S, range: Range<'_>, deleted: &'a [(Table, Vec<u8>)]) -> Self {
        let Range { table, from, to, direction, limit } = range;
        Self {
            view,
            deleted,
            table,
            direction,
            limit,
            from: from.to_vec(),
            to: to.to_vec(),
            rows: VecDeque::new(),
            more: true,
            hidden: 0,
        }
    }

    /// The last row is deleted in the overlay: the more of them, the more are read at a time.
    pub(super) fn row_was_hidden(&mut self) {
        self.hidden += 1;
    }

    fn limit(&self) -> RangeLimit {
        let RangeLimit { rows, .. } = self.limit;
        if self.hidden == 0 || rows >= LOOKAHEAD_ROWS {
            return self.limit;
        }
        RangeLimit { rows: (4 * self.hidden).clamp(rows, LOOKAHEAD_ROWS), bytes: LOOKAHEAD_BYTES }
    }

    /// The next row; `None` at the end of the range.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Fatal> {
        loop {
            if self.rows.is_empty() && !self.fetch()? {
                return Ok(None);
            }
            let Some((key, value)) = self.rows.pop_front() else { return Ok(None) };
            let covering =
                self.deleted.iter().find(|(of, prefix)| *of == self.table && key.starts_with(prefix));
            let Some((_, prefix)) = covering else { return Ok(Some((key, value))) };
            self.skip(prefix);
        }
    }

    fn fetch(&mut self) -> Result<bool, Fatal> {
        if !self.more {
            return Ok(false);
        }
        let (rows, more) = self.view.range(self.table, &self.from, &self.to, self.direction, self.limit())?;
        self.more = more;
        if let Some((last, _)) = rows.last() {
            match self.direction {
                Direction::Forward => {
                    self.from.clear();
                    self.from.extend_from_slice(last);
                    self.from.push(0);
                }
                Direction::Backward => {
                    self.to.clear();
                    self.to.extend_from_slice(last);
                    self.more &= self.from < self.to;
                }
            }
        }
        self.rows = rows.into();
        Ok(!self.rows.is_empty())
    }

    /// Continues after the rows of `prefix`.
    fn skip(&mut self, prefix: &[u8]) {
        while self.rows.front().is_some_and(|(key, _)| key.starts_with(prefix)) {
            self.rows.pop_front();
        }
        if !self.rows.is_empty() || !self.more {
            return;
        }
        match self.direction {
            Direction::Forward => {
                let next = behind(prefix);
                if next.is_empty() || (!self.to.is_empty() && next >= self.to) {
                    self.more = false;
                } else if next > self.from {
                    self.from = next;
                }
            }
            Direction::Backward => {
                if self.to.is_empty() || prefix < self.to.as_slice() {
                    self.to = prefix.to_vec();
                }
                self.more = !self.to.is_empty() && self.from < self.to;
            }
        }
    }
}
