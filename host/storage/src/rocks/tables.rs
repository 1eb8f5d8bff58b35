//! How tables share one column family: a row's key begins with a byte that names its table.
//!
//! One family, because RocksDB flushes one family at a time, and without a write-ahead log only
//! what is flushed together is there together after a crash. The applied mark lies in front of all
//! tables.
use std::sync::Arc;

use rocksdb::{ReadOptions, WriteBatch};
use synod_machine::{Table, Write};

use super::handles::{Database, OwnedIterator};

/// The key of the applied mark.
pub(crate) const MARK: [u8; 1] = [0];
/// Keys up to this length are put together without an allocation.
const SHORT_KEY_BYTES: usize = 256;

/// The byte with which the keys of `table` begin. It is on disk.
pub(crate) const fn prefix(table: Table) -> u8 {
    match table {
        Table::System => 1,
        Table::State => 2,
        Table::Recipes => 3,
        Table::Events => 4,
        Table::Sessions => 5,
        Table::Timers => 6,
    }
}

/// Calls `run` with the key under which `key` of `table` is stored.
pub(crate) fn with_key<R>(table: Table, key: &[u8], run: impl FnOnce(&[u8]) -> R) -> R {
    let mut short = [0; SHORT_KEY_BYTES];
    let length = 1 + key.len();
    match short.get_mut(..length) {
        Some(stored) => {
            stored[0] = prefix(table);
            stored[1..].copy_from_slice(key);
            run(stored)
        }
        None => run(&[&[prefix(table)], key].concat()),
    }
}

/// The bounds of `from..to` of `table` as they are stored; an empty `to` is the table's end.
pub(crate) fn bounds(table: Table, from: &[u8], to: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let begin = [&[prefix(table)], from].concat();
    let end = if to.is_empty() { vec![prefix(table) + 1] } else { [&[prefix(table)], to].concat() };
    (begin, end)
}

/// Adds a write to a batch.
pub(crate) fn add(batch: &mut WriteBatch, write: &Write) {
    match write {
        Write::Put { table, key, value } => with_key(*table, key, |key| batch.put(key, value)),
        Write::Delete { table, key } => with_key(*table, key, |key| batch.delete(key)),
        Write::DeletePrefix { table, prefix } => with_key(*table, prefix, |prefix| {
            batch.delete_range(prefix, &successor(prefix));
        }),
    }
}

/// The smallest key above every key that begins with `stored`, which begins with a table's byte and
/// so is not all 255.
fn successor(stored: &[u8]) -> Vec<u8> {
    let last = stored.iter().rposition(|byte| *byte != u8::MAX).expect("no table's byte is 255");
    let mut end = stored[..=last].to_vec();
    end[last] += 1;
    end
}

/// An iterator over the rows of one table, which shows their keys without the table's byte.
pub(crate) struct RowIterator {
    rows: OwnedIterator,
    table: Table,
}

impl RowIterator {
    /// Over `from..to` of `table`; `options` get the bounds.
    pub(crate) fn new(
        database: &Arc<Database>,
        mut options: ReadOptions,
        table: Table,
        (from, to): (&[u8], &[u8]),
    ) -> Self {
        let (begin, end) = bounds(table, from, to);
        options.set_iterate_lower_bound(begin);
        options.set_iterate_upper_bound(end);
        Self { rows: OwnedIterator::open(database, options), table }
    }

    pub(crate) fn seek(&mut self, key: &[u8]) {
        with_key(self.table, key, |key| self.rows.step(|rows| rows.seek(key)));
    }

    pub(crate) fn seek_for_prev(&mut self, key: &[u8]) {
        with_key(self.table, key, |key| self.rows.step(|rows| rows.seek_for_prev(key)));
    }

    pub(crate) fn seek_to_last(&mut self) {
        self.rows.step(|rows| rows.seek_to_last());
    }

    pub(crate) fn next(&mut self) {
        self.rows.step(|rows| rows.next());
    }

    pub(crate) fn prev(&mut self) {
        self.rows.step(|rows| rows.prev());
    }

    /// The row that it stands at; none at the end or after an error.
    pub(crate) fn item(&self) -> Option<(&[u8], &[u8])> {
        self.rows.get().item().map(|(key, value)| (&key[1..], value))
    }

    /// The key that it stands at.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.rows.get().key().map(|key| &key[1..])
    }

    pub(crate) fn status(&self) -> Result<(), rocksdb::Error> {
        self.rows.get().status()
    }
}

#[cfg(test)]
mod tests;
