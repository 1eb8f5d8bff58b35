//! The state as the store's users see it: views of a generation, commits, and snapshots of it.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::ReadOptions;
use synod_abi::Direction;
use synod_machine::{Fatal, RangeLimit, Row, StateView, Table, Write};

use super::generation::Generation;
use super::handles::OwnedSnapshot;
use super::install::RocksIncoming;
use super::keeper;
use super::ranges::Ranges;
use super::store::RocksStore;
use super::tables::{RowIterator, with_key};
use super::walk::{Hints, Walk};
use crate::snapshot::{self, SnapshotWriter, encode_mark};
use crate::{AppliedMark, LogStore, SnapshotFile, StateStore, StorageError};

/// Bytes that building a snapshot asks the disk for at once.
const READAHEAD_BYTES: usize = 2 * 1_024 * 1_024;

/// How often a snapshot that is built asks whether the reserve would still be free.
const ROOM_EVERY_BYTES: usize = 4 * 1_024 * 1_024;
/// A received snapshot lies on the disk twice until it is installed: as the file, and as a state.
const STATE_OF_FILE: u64 = 2;

/// Rows of a [`RocksStore`]. It keeps its generation open and on disk. Its iterators go before what
/// they show.
pub struct RocksView {
    ranges: Ranges,
    options: ReadOptions,
    snapshot: Option<OwnedSnapshot>,
    generation: Arc<Generation>,
}

impl RocksView {
    fn new(generation: Arc<Generation>, snapshot: Option<OwnedSnapshot>) -> Self {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = &snapshot {
            options.set_snapshot(snapshot.get());
        }
        Self { ranges: Ranges::default(), options, snapshot, generation }
    }

    fn iterate_options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(snapshot.get());
        }
        options
    }

    fn open_rows(&self, table: Table, range: (&[u8], &[u8])) -> RowIterator {
        RowIterator::new(&self.generation.database, self.iterate_options(), table, range)
    }

    fn failed(&self, table: Table, error: &rocksdb::Error) -> Fatal {
        Fatal(format!(
            "cannot read the table {} in {}: {error}",
            table.name(),
            self.generation.database.path().display()
        ))
    }
}

impl StateView for RocksView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        let database = &self.generation.database;
        let value = with_key(table, key, |key| database.get_pinned_opt(key, &self.options));
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
        let range = (from, to);
        let gaps = &self.generation.gaps;
        let hints = match self.snapshot {
            None => Hints::of_present(gaps, table, range, direction, limit.rows),
            Some(_) => Hints::of_moment(gaps),
        };
        let moment = hints.moment();
        let open = || self.open_rows(table, range);
        let (mut opened, place) = self.ranges.take(table, range, direction, moment, open);
        let mut walk = Walk::begin(&mut opened.rows, place, hints, table, range, direction);
        let mut rows: Vec<Row> = Vec::new();
        let mut bytes = 0usize;
        let mut more = false;
        while let Some((key, value)) = walk.row() {
            bytes += key.len() + value.len();
            if !rows.is_empty() && (rows.len() >= limit.rows || bytes > limit.bytes) {
                more = true;
                break;
            }
            let (key, value) = (key.to_vec(), value.to_vec());
            walk.step(&key);
            rows.push((key, value));
        }
        walk.end().map_err(|error| self.failed(table, &error))?;
        let last = rows.last().filter(|_| more).map(|(key, _)| key.as_slice());
        self.ranges.keep(opened, direction, last);
        Ok((rows, more))
    }
}

impl StateStore for RocksStore {
    type View = RocksView;
    type Incoming = RocksIncoming;

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
        Ok(RocksView::new(Arc::clone(&self.inner().generation()), None))
    }

    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StorageError> {
        let (inner, shared) = (self.inner(), self.shared());
        let _turn = inner.turn();
        if let Some(index) = mark.index {
            self.wait_durable(index)?;
        }
        let generation = Arc::clone(&inner.generation());
        let encoded = encode_mark(mark);
        let write = || {
            let written = generation.write(writes, &encoded);
            written.map_err(|error| generation.sort("cannot write to the state in", &error))
        };
        generation.gaps.around(writes, || shared.write_state(write))?;
        inner.set_mark(mark.clone());
        shared.state_written(mark.index.map_or(0, |index| index + 1));
        Ok(())
    }

    fn flush(&self) -> Result<AppliedMark, StorageError> {
        self.shared().usable()?;
        let generation = Arc::clone(&self.inner().generation());
        keeper::flush(self.shared(), &generation).map_err(|error| self.shared().fail(error))?;
        generation.flushed().map_err(|error| self.shared().fail(error))
    }

    fn build_snapshot(&self) -> Result<SnapshotFile, StorageError> {
        self.shared().usable()?;
        let view = self.pin();
        let mark = view.generation.mark(view.snapshot.as_ref()).map_err(|error| self.shared().fail(error))?;
        let number = self.inner().files.fetch_add(1, Ordering::Relaxed);
        let folder = &self.shared().directory.snapshots;
        let mut writer = SnapshotWriter::create(folder.join(format!("building-{number}")), mark)?;
        let mut unasked = ROOM_EVERY_BYTES;
        for table in Table::ALL {
            let mut options = view.iterate_options();
            options.fill_cache(false);
            options.set_readahead_size(READAHEAD_BYTES);
            let mut rows = RowIterator::new(&view.generation.database, options, table, (b"", b""));
            rows.seek_to_first();
            while let Some((key, value)) = rows.item() {
                writer.row(table, key, value)?;
                unasked += key.len() + value.len();
                if unasked >= ROOM_EVERY_BYTES {
                    unasked = 0;
                    self.shared().room_for(ROOM_EVERY_BYTES as u64)?;
                }
                rows.next();
            }
            rows.status().map_err(|error| {
                self.shared().fail(view.generation.sort("cannot read the state in", &error))
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

    fn is_short(&self) -> bool {
        self.shared().is_short()
    }

    fn room_for(&self, length_bytes: u64) -> Result<(), StorageError> {
        self.shared().room_for(length_bytes.saturating_mul(STATE_OF_FILE))
    }

    fn prepare(&self, file: &SnapshotFile) -> Result<RocksIncoming, StorageError> {
        self.prepare_with(file, &|_| ())
    }

    fn install(&self, incoming: RocksIncoming) -> Result<(), StorageError> {
        self.install_with(incoming, &|_| ())
    }
}

impl RocksStore {
    /// The present moment: rows and mark of it go together.
    fn pin(&self) -> RocksView {
        let generation = Arc::clone(&self.inner().generation());
        let snapshot = OwnedSnapshot::take(&generation.database);
        RocksView::new(generation, Some(snapshot))
    }
}
