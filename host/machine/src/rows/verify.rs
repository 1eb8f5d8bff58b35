//! Computing the state's digest again from its rows, to find damage done outside of apply, and
//! telling a state of another cluster.
//!
//! A pass reads every row once, page by page, so that its reader decides how fast; all pages have
//! to be of one view. It finds out that rows were damaged, and in which spaces, not which rows.
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use synod_abi::{ClusterId, SpaceId};

use crate::log::command::DigestRecord;
use crate::ports::{Fatal, StateView, Table};
use crate::rows::digest::RowSum;
use crate::rows::directory::{is_counted, space_of_sum};
use crate::rows::head::{Head, head};
use crate::rows::scan::Scan;

/// Spaces that are named when many are damaged.
const NAMED_SPACES: usize = 64;

/// Sums every row of `view` that counts, and compares with the sums in the head and of each space.
///
/// # Errors
/// [`Fatal`] if the rows cannot be read, or are not those that the sums stand for: they were
/// damaged outside of apply.
pub fn verify(view: &impl StateView) -> Result<(), Fatal> {
    let mut scrub = Scrub::new();
    while scrub.read_page(view)? {}
    match scrub.finish(view)?.damage {
        None => Ok(()),
        Some(damage) => Err(Fatal(format!(
            "{damage}: the data of this member is damaged; remove its data directory and let it join again"
        ))),
    }
}

/// A pass over the rows of one view.
#[derive(Debug)]
pub struct Scrub {
    /// The tables that follow the present one, the next one last.
    tables: Vec<Table>,
    scan: Option<Scan>,
    read: RowsRead,
    sums: Sums,
}

/// How much a pass has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsRead {
    /// Rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// What a pass has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrubbed {
    /// The digests that are stored with the rows, and the entry that they are of.
    pub stored: DigestRecord,
    /// How the rows differ from what those stand for.
    pub damage: Option<Damage>,
}

/// Rows that are not those that the stored digests stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Spaces whose rows, events or digest are damaged, ascending.
    pub spaces: Vec<SpaceId>,
    /// Whether rows of no space are: of sessions, timers, recipes, the directory or the head.
    pub others: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows are not those that their digests stand for: ")?;
        if self.others {
            f.write_str("rows of no space")?;
        }
        for (number, space) in self.spaces.iter().take(NAMED_SPACES).enumerate() {
            f.write_str(match number {
                0 if self.others => ", and of the spaces with the ids ",
                0 => "of the spaces with the ids ",
                _ => ", ",
            })?;
            write!(f, "{}", space.0)?;
        }
        match self.spaces.len().saturating_sub(NAMED_SPACES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Default for Scrub {
    fn default() -> Self {
        Self::new()
    }
}

impl Scrub {
    /// A pass that has read nothing yet.
    pub fn new() -> Self {
        let tables = Table::ALL.into_iter().rev().collect();
        Self { tables, scan: None, read: RowsRead::default(), sums: Sums::default() }
    }

    /// Reads the next page of `view`, the same one each time; whether there may be another.
    ///
    /// # Errors
    /// [`Fatal`] if the rows cannot be read.
    pub fn read_page(&mut self, view: &impl StateView) -> Result<bool, Fatal> {
        let Some(table) = self.tables.last().copied() else { return Ok(false) };
        let scan = self.scan.get_or_insert_with(|| Scan::range(table, Vec::new(), Vec::new()));
        match scan.next_page(view)? {
            None => {
                self.tables.pop();
                self.scan = None;
            }
            Some(rows) => {
                for (key, value) in &rows {
                    self.read.rows += 1;
                    self.read.bytes += (key.len() + value.len()) as u64;
                    self.sums.count(table, key, value);
                }
            }
        }
        Ok(!self.tables.is_empty())
    }

    /// What it has read so far.
    pub fn read(&self) -> RowsRead {
        self.read
    }

    /// Compares what was read with the digests in `view`. Call once all was read.
    ///
    /// # Errors
    /// [`Fatal`] if the head cannot be read.
    pub fn finish(self, view: &impl StateView) -> Result<Scrubbed, Fatal> {
        let head = head(view)?.unwrap_or(Head::EMPTY);
        let Head { index, chain, .. } = head;
        let stored = DigestRecord { index, chain, state: head.state_digest() };
        Ok(Scrubbed { stored, damage: self.sums.damage(head.rows) })
    }
}

/// Sums of rows as they are, and as they are stored.
#[derive(Debug, Default)]
struct Sums {
    all: RowSum,
    /// Of every space that has rows, events or a stored sum.
    spaces: BTreeMap<SpaceId, SumOfSpace>,
    hashed: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct SumOfSpace {
    found: RowSum,
    stored: RowSum,
    is_malformed: bool,
}

impl Sums {
    fn count(&mut self, table: Table, key: &[u8], value: &[u8]) {
        if let Some(space) = space_of_sum(table, key) {
            let sum = self.spaces.entry(space).or_default();
            match value.try_into() {
                Ok(stored) => sum.stored = RowSum::from_bytes(stored),
                Err(_) => sum.is_malformed = true,
            }
        }
        if !is_counted(table, key) {
            return;
        }
        let mut row = RowSum::default();
        row.add(table, key, value, &mut self.hashed);
        self.all.add_sum(row);
        if let (Table::State | Table::Events, Some(space)) = (table, key.first_chunk()) {
            self.spaces.entry(SpaceId(u32::from_be_bytes(*space))).or_default().found.add_sum(row);
        }
    }

    /// How the rows differ from the sums that are stored, of all of them `stored`.
    fn damage(self, stored: RowSum) -> Option<Damage> {
        let (mut found_of_others, mut stored_of_others) = (self.all, stored);
        let mut spaces = Vec::new();
        for (space, sum) in self.spaces {
            found_of_others.subtract_sum(sum.found);
            stored_of_others.subtract_sum(sum.stored);
            if sum.is_malformed || sum.found != sum.stored {
                spaces.push(space);
            }
        }
        let others = self.all != stored && found_of_others != stored_of_others;
        (others || !spaces.is_empty()).then_some(Damage { spaces, others })
    }
}

/// Whether `view` is of `cluster`; a state from before its cluster was formed is of any.
///
/// # Errors
/// [`Fatal`] if the head cannot be read, or is of another cluster.
pub fn verify_cluster(view: &impl StateView, cluster: ClusterId) -> Result<(), Fatal> {
    match head(view)?.and_then(|head| head.cluster).filter(|theirs| *theirs != cluster) {
        None => Ok(()),
        Some(theirs) => {
            Err(Fatal(format!("the state is of cluster {theirs}, and this member belongs to {cluster}")))
        }
    }
}

#[cfg(test)]
mod tests;
