//! Reading a range page by page, and the keys that bound ranges.
use alloc::vec::Vec;

use synod_abi::Direction;

use crate::ports::{Fatal, RangeLimit, Row, StateView, Table};

/// Most bytes of rows that are read at a time.
pub(crate) const PAGE_BYTES: usize = 1_024 * 1_024;
/// The rows that a [`Scan`] reads at a time.
pub(crate) const PAGE: RangeLimit = page_of(512);

/// A page of at most `rows`, at least one.
pub(crate) const fn page_of(rows: usize) -> RangeLimit {
    let rows = if rows == 0 { 1 } else { rows };
    RangeLimit { rows, bytes: PAGE_BYTES }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items, in the order of their keys.
    pub items: Vec<T>,
    /// Whether more follow.
    pub more: bool,
}

/// Reads a range forward, page by page. It borrows no view between pages, so rows that were read
/// may be changed before the next page.
#[derive(Debug)]
pub struct Scan {
    table: Table,
    from: Vec<u8>,
    to: Vec<u8>,
    more: bool,
}

impl Scan {
    /// Reads `from..to`; an empty `to` is no bound.
    pub fn range(table: Table, from: Vec<u8>, to: Vec<u8>) -> Self {
        Self { table, from, to, more: true }
    }

    /// Reads every row whose key begins with `prefix`.
    pub fn prefix(table: Table, prefix: Vec<u8>) -> Self {
        let to = behind(&prefix);
        Self::range(table, prefix, to)
    }

    /// The next rows; `None` at the end of the range.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    pub fn next_page(&mut self, view: &impl StateView) -> Result<Option<Vec<Row>>, Fatal> {
        if !self.more {
            return Ok(None);
        }
        let (rows, more) = view.range(self.table, &self.from, &self.to, Direction::Forward, PAGE)?;
        self.more = more;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        self.from.clear();
        self.from.extend_from_slice(last);
        self.from.push(0);
        Ok(Some(rows))
    }

    /// Whether rows follow the last page.
    pub fn has_more(&self) -> bool {
        self.more
    }
}

/// The smallest key after `key`.
pub(crate) fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The smallest key after all that begin with `prefix`; empty if there is none.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last != u8::MAX {
            key.push(last + 1);
            break;
        }
    }
    key
}

#[cfg(test)]
mod tests;
