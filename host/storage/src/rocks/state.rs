//! The state on RocksDB: one column family per table and generation, and views of it.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::{ReadOptions, WriteBatch};
use synod_abi::Direction;
use synod_machine::{Fatal, RangeLimit, Row, StateView, Table, Write};

use super::gaps::Gaps;
use super::handles::{Database, Family, OwnedSnapshot};
use super::store::RocksStore;
use super::walk::Walk;
use crate::snapshot::{self, SnapshotWriter};
use crate::{AppliedMark, LogStore, SnapshotFile, StateStore, StorageError};

/// Bytes that building a snapshot asks the disk for at once.
const READAHEAD_BYTES: usize = 2 * 1_024 * 1_024;

/// No key is as long, so as many bytes of 255 are above every key.
const BEYOND_KEY_BYTES: usize = 4 * synod_abi::limits::KEY_BYTES;

/// The tables of one generation.
pub(crate) struct Generation {
    pub(crate) number: u64,
    families: Vec<Family>,
    gaps: Gaps,
}

impl Generation {
    pub(crate) fn open(database: &Arc<Database>, number: u64) -> Result<Self, StorageError> {
        let families =
            Table::ALL.iter().map(|table| Family::open(database, &Self::family_name(number, *table)));
        Ok(Self { number, families: families.collect::<Result<_, _>>()?, gaps: Gaps::default() })
    }

    /// The name of a table's column family, e.g. `g0000000001.state`.
    pub(crate) fn family_name(number: u64, table: Table) -> String {
        format!("g{number:010}.{}", table.name())
    }

    /// The generation in a column family's name.
    pub(crate) fn number_of(family_name: &str) -> Option<u64> {
        family_name.strip_prefix('g')?.split_once('.')?.0.parse().ok()
    }

    pub(crate) fn family(&self, table: Table) -> &Family {
        &self.families[table_position(table)]
    }
}

fn table_position(table: Table) -> usize {
    match table {
        Table::System => 0,
        Table::State => 1,
        Table::Recipes => 2,
        Table::Events => 3,
        Table::Sessions => 4,
        Table::Timers => 5,
    }
}

/// Rows of a [`RocksStore`]. It keeps the database open and its generation on disk.
pub struct RocksView {
    options: ReadOptions,
    snapshot: Option<OwnedSnapshot>,
    generation: Arc<Generation>,
    database: Arc<Database>,
}

impl RocksView {
    fn new(database: &Arc<Database>, generation: Arc<Generation>, snapshot: Option<OwnedSnapshot>) -> Self {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = &snapshot {
            options.set_snapshot(snapshot.get());
        }
        Self { options, snapshot, generation, database: Arc::clone(database) }
    }

    fn iterate_options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(snapshot.get());
        }
        options
    }

    /// The walk over the rows of `from..to` from the end that `direction` names; it will visit about
    /// `rows` of them.
    fn walk(&self, table: Table, from: &[u8], to: &[u8], direction: Direction, rows: usize) -> Walk<'_> {
        let mut options = self.iterate_options();
        options.set_iterate_lower_bound(from);
        if !to.is_empty() {
            options.set_iterate_upper_bound(to);
        }
        let iterator = self.database.raw_iterator_cf_opt(self.generation.family(table).get(), options);
        let gaps = self.snapshot.is_none().then_some(&self.generation.gaps);
        Walk::begin(iterator, gaps, table, (from, to), direction, rows)
    }

    fn failed(&self, table: Table, error: &rocksdb::Error) -> Fatal {
        Fatal(format!(
            "cannot read the table {} in {}: {error}",
            table.name(),
            self.database.path().display()
        ))
    }
}

impl StateView for RocksView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        let value = self.database.get_pinned_cf_opt(self.generation.family(table).get(), key, &self.options);
        value.map(|value| value.map(|value| value.to_vec())).map_err(|error| self.failed(table, &error))
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
        let mut walk = self.walk(table, from, to, direction, limit.rows);
        let mut rows = Vec::new();
        let mut bytes = 0usize;
        while let Some((key, value)) = walk.row() {
            bytes += key.len() + value.len();
            if !rows.is_empty() && (rows.len() >= limit.rows || bytes > limit.bytes) {
                return Ok((rows, true));
            }
            let (key, value) = (key.to_vec(), value.to_vec());
            walk.step(&key);
            rows.push((key, value));
        }
        walk.status().map_err(|error| self.failed(table, &error))?;
        Ok((rows, false))
    }
}

impl StateStore for RocksStore {
    type View = RocksView;

    fn applied(&self) -> Result<AppliedMark, StorageError> {
        self.shared().usable()?;
        Ok(self.inner().mark().clone())
    }

    fn view(&self) -> Result<RocksView, StorageError> {
        self.shared().usable()?;
        Ok(self.pin())
    }

    fn latest(&self) -> Result<RocksView, StorageError> {
        self.shared().usable()?;
        let generation = Arc::clone(&self.inner().generation());
        Ok(RocksView::new(&self.shared().database, generation, None))
    }

    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StorageError> {
        let (inner, shared) = (self.inner(), self.shared());
        let _turn = inner.turn();
        if let Some(index) = mark.index {
            self.wait_written(index)?;
        }
        let generation = Arc::clone(&inner.generation());
        let encoded = snapshot::encode_mark(mark);
        let batch = || {
            let mut batch = WriteBatch::default();
            for write in writes {
                add(&mut batch, &generation, write);
            }
            batch.put_cf(shared.meta.get(), super::KEY_APPLIED, &encoded);
            batch
        };
        generation.gaps.around(writes, || shared.write(false, &batch))?;
        inner.set_mark(mark.clone());
        shared.set_applied(mark.index.map_or(0, |index| index + 1), false);
        Ok(())
    }

    fn build_snapshot(&self) -> Result<SnapshotFile, StorageError> {
        self.shared().usable()?;
        let view = self.pin();
        let mark = self.inner().stored_mark(&view.options)?;
        let number = self.inner().files.fetch_add(1, Ordering::Relaxed);
        let folder = &self.shared().directory.snapshots;
        let mut writer = SnapshotWriter::create(folder.join(format!("building-{number}")), mark)?;
        for table in Table::ALL {
            let mut options = view.iterate_options();
            options.fill_cache(false);
            options.set_readahead_size(READAHEAD_BYTES);
            let mut iterator =
                view.database.raw_iterator_cf_opt(view.generation.family(table).get(), options);
            iterator.seek_to_first();
            while let Some((key, value)) = iterator.item() {
                writer.row(table, key, value)?;
                iterator.next();
            }
            iterator.status().map_err(|error| {
                self.shared().fail(self.shared().sort("cannot read the state in", &error))
            })?;
        }
        writer.finish(folder.join(format!("built-{number}")))
    }

    fn receive_path(&self) -> Result<PathBuf, StorageError> {
        self.shared().usable()?;
        let number = self.inner().files.fetch_add(1, Ordering::Relaxed);
        let path = self.shared().directory.snapshots.join(format!("received-{number}"));
        std::fs::File::create_new(&path)
            .map_err(|error| StorageError::from_io("cannot create", &path, &error))?;
        Ok(path)
    }

    fn open_snapshot(&self, path: &Path) -> Result<SnapshotFile, StorageError> {
        snapshot::open_snapshot(path)
    }

    fn install_snapshot(&self, file: &SnapshotFile) -> Result<(), StorageError> {
        self.install_snapshot_with(file, &|_| ())
    }
}

impl RocksStore {
    /// The present moment. The generation cannot change while it is pinned, so its rows and the
    /// stored mark go together.
    fn pin(&self) -> RocksView {
        let database = &self.shared().database;
        let generation = self.inner().generation();
        RocksView::new(database, Arc::clone(&generation), Some(OwnedSnapshot::take(database)))
    }
}

fn add(batch: &mut WriteBatch, generation: &Generation, write: &Write) {
    match write {
        Write::Put { table, key, value } => batch.put_cf(generation.family(*table).get(), key, value),
        Write::Delete { table, key } => batch.delete_cf(generation.family(*table).get(), key),
        Write::DeletePrefix { table, prefix } => {
            let end = successor(prefix).unwrap_or_else(|| vec![u8::MAX; BEYOND_KEY_BYTES]);
            batch.delete_range_cf(generation.family(*table).get(), prefix, &end);
        }
    }
}

/// The smallest key above every key that begins with `prefix`; none if there is no such key.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
