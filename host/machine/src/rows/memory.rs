//! Rows in memory: the committed state of tests, of `TestHost` and of the benches. Nothing is
//! durable.
//!
//! A view shares the rows of its moment: writing while a view is out copies them, so that views
//! never change.
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use synod_abi::Direction;

use crate::ports::{Fatal, RangeLimit, Row, StateView, Table, Write};

type Rows = [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()];

/// Rows in memory. A clone is a view of the present rows, unaffected by later writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState(Arc<Rows>);

impl MemoryState {
    /// Carries out `writes`, in their order.
    pub fn commit(&mut self, writes: &[Write]) {
        let tables = Arc::make_mut(&mut self.0);
        for write in writes {
            match write {
                Write::Put { table, key, value } => {
                    tables[*table as usize].insert(key.clone(), value.clone());
                }
                Write::Delete { table, key } => {
                    tables[*table as usize].remove(key);
                }
                Write::DeletePrefix { table, prefix } => {
                    tables[*table as usize].retain(|key, _| !key.starts_with(prefix))
                }
            }
        }
    }

    /// All rows of a table, in order.
    pub fn rows(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0[table as usize].iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

impl StateView for MemoryState {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        Ok(self.0[table as usize].get(key).cloned())
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        if !to.is_empty() && from >= to {
            return Ok((Vec::new(), false));
        }
        let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        let mut found = self.0[table as usize].range::<[u8], _>((Bound::Included(from), end));
        let mut next = || if direction == Direction::Forward { found.next() } else { found.next_back() };
        let mut rows: Vec<Row> = Vec::new();
        let mut bytes = 0;
        while let Some((key, value)) = next() {
            bytes += key.len() + value.len();
            if !rows.is_empty() && (rows.len() >= limit.rows || bytes > limit.bytes) {
                return Ok((rows, true));
            }
            rows.push((key.clone(), value.clone()));
        }
        Ok((rows, false))
    }
}
