//! The end of an entry: the overlay becomes writes, and the sums of rows are brought up to date.
use alloc::vec::Vec;

use synod_abi::SpaceId;

use crate::ports::{Fatal, StateView, Table, Write};
use crate::rows::digest::RowSum;
use crate::rows::directory::{is_counted, space_sum, space_sum_key};
use crate::rows::head::head_key;
use crate::rows::overlay::{Changed, Overlay};
use crate::run::machine::Machine;

/// How much the rows of each space changed its sum.
#[derive(Default)]
struct Deltas {
    /// Ascending.
    of: Vec<(SpaceId, RowSum)>,
    /// Where the last one was: rows come in the order of their keys.
    last: usize,
}

impl Deltas {
    fn of(&mut self, space: SpaceId) -> &mut RowSum {
        if self.of.get(self.last).is_none_or(|(of, _)| *of != space) {
            self.last = self.of.binary_search_by_key(&space, |(of, _)| *of).unwrap_or_else(|at| {
                self.of.insert(at, (space, RowSum::ZERO));
                at
            });
        }
        &mut self.of[self.last].1
    }
}

impl Machine {
    /// Turns the overlay into writes and brings the sums up to date.
    pub(super) fn finish<S: StateView>(&mut self, overlay: Overlay, view: &S) -> Result<Vec<Write>, Fatal> {
        for id in core::mem::take(&mut self.deleted) {
            let sum = self.sums.remove(&id).map_or_else(|| space_sum(view, id), Ok)?;
            self.head.rows.subtract_sum(sum);
        }
        let mut deltas = Deltas::default();
        let mut writes = overlay.finish(view, |row| {
            self.count(&mut deltas, &row);
            Ok(())
        })?;
        for (id, delta) in deltas.of {
            let mut sum = self.sums.get(&id).map_or_else(|| space_sum(view, id), |sum| Ok(*sum))?;
            sum.add_sum(delta);
            self.head.rows.add_sum(delta);
            self.sums.insert(id, sum);
            let value = sum.to_bytes().to_vec();
            writes.push(Write::Put { table: Table::System, key: space_sum_key(id), value });
        }
        let head = synod_abi::encode(&self.head);
        writes.push(Write::Put { table: Table::System, key: head_key(), value: head });
        Ok(writes)
    }

    /// Counts a changed row in the sum that it belongs to, if any.
    fn count(&mut self, deltas: &mut Deltas, row: &Changed<'_>) {
        let delta = match (row.table, row.key.first_chunk()) {
            (Table::State | Table::Events, Some(id)) => deltas.of(SpaceId(u32::from_be_bytes(*id))),
            (table, _) if is_counted(table, row.key) => &mut self.head.rows,
            _ => return,
        };
        if let Some(value) = row.before {
            delta.subtract(row.table, row.key, value, &mut self.hashed);
        }
        if let Some(value) = row.after {
            delta.add(row.table, row.key, value, &mut self.hashed);
        }
    }
}
