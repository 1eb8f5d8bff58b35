//! Stretches of keys that are known to hold no row now, neither in the overlay nor below it: a
//! range jumps over them instead of walking the deletions again.
//!
//! They are only ever learnt by walking, and widened by the next walk, so each deletion is walked
//! once however often a recipe asks for the first row behind it. A row that is put cuts a gap in
//! two; what a rolled back command learnt or cut is put back with its rows. Which gaps are known
//! depends on the whole entry: they decide how fast a range is, never what it finds.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::ports::Table;

/// So many hidden rows in a run are worth remembering: jumping costs about as much as reading them.
pub(super) const HIDDEN_RUN: usize = 8;

#[derive(Debug)]
enum Undo {
    Added { table: Table, from: Vec<u8> },
    Removed { table: Table, from: Vec<u8>, to: Vec<u8> },
}

/// Ends by beginnings.
type Stretches = BTreeMap<Vec<u8>, Vec<u8>>;

/// Disjoint stretches `from..to` of each table, and how to return to those of a savepoint.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// By table; empty until there is a gap.
    tables: Vec<Stretches>,
    undo: Vec<Undo>,
}

/// A stretch without rows.
pub(super) struct Gap {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

impl Gap {
    fn of((from, to): (&Vec<u8>, &Vec<u8>)) -> Self {
        Self { from: from.clone(), to: to.clone() }
    }
}

impl Gaps {
    /// The first gap that holds `key` or lies behind it.
    pub(super) fn at_or_behind(&self, table: Table, key: &[u8]) -> Option<Gap> {
        let gaps = self.tables.get(table as usize)?;
        self.holding(table, key)
            .or_else(|| gaps.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next().map(Gap::of))
    }

    /// The last gap that begins before `key`; an empty `key` is the end of the table.
    pub(super) fn before(&self, table: Table, key: &[u8]) -> Option<Gap> {
        let gaps = self.tables.get(table as usize)?;
        if key.is_empty() {
            return gaps.last_key_value().map(Gap::of);
        }
        gaps.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key))).next_back().map(Gap::of)
    }

    fn holding(&self, table: Table, key: &[u8]) -> Option<Gap> {
        let gaps = self.tables.get(table as usize)?;
        let last = gaps.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        last.filter(|(_, to)| to.as_slice() > key).map(Gap::of)
    }

    /// Notes that `from..to` holds no row. Gaps that meet become one.
    pub(super) fn add(&mut self, table: Table, from: &[u8], to: &[u8]) {
        if from >= to || self.holding(table, from).is_some_and(|gap| gap.to.as_slice() >= to) {
            return;
        }
        let mut joined = Gap { from: from.to_vec(), to: to.to_vec() };
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(joined.to.as_slice()));
            let last = self.table(table).range::<[u8], _>(up_to).next_back();
            let Some(met) = last.filter(|(_, to)| **to >= joined.from).map(Gap::of) else { break };
            joined.from = joined.from.min(met.from.clone());
            joined.to = joined.to.max(met.to);
            self.remove(table, &met.from);
        }
        self.insert(table, joined);
    }

    /// Notes that `key` holds a row from now on.
    pub(super) fn cut(&mut self, table: Table, key: &[u8]) {
        let Some(gap) = self.holding(table, key) else { return };
        self.remove(table, &gap.from);
        let behind = [key, &[0]].concat();
        for part in [Gap { from: gap.from, to: key.to_vec() }, Gap { from: behind, to: gap.to }] {
            if part.from < part.to {
                self.insert(table, part);
            }
        }
    }

    /// A point that [`Gaps::rollback`] returns to.
    pub(super) fn savepoint(&self) -> usize {
        self.undo.len()
    }

    /// Knows again what was known at `savepoint`.
    pub(super) fn rollback(&mut self, savepoint: usize) {
        let Self { tables, undo } = self;
        for undo in undo.drain(savepoint..).rev() {
            match undo {
                Undo::Added { table, from } => tables[table as usize].remove(&from),
                Undo::Removed { table, from, to } => tables[table as usize].insert(from, to),
            };
        }
    }

    /// Gives up returning to `savepoint`.
    pub(super) fn release(&mut self, savepoint: usize) {
        self.undo.truncate(savepoint);
    }

    fn insert(&mut self, table: Table, Gap { from, to }: Gap) {
        self.undo.push(Undo::Added { table, from: from.clone() });
        self.table(table).insert(from, to);
    }

    fn table(&mut self, table: Table) -> &mut Stretches {
        self.tables.resize_with(Table::ALL.len(), BTreeMap::new);
        &mut self.tables[table as usize]
    }

    fn remove(&mut self, table: Table, from: &[u8]) {
        if let Some((from, to)) = self.table(table).remove_entry(from) {
            self.undo.push(Undo::Removed { table, from, to });
        }
    }
}
