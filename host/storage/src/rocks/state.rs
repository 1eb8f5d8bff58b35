//! The state as the store's users see it: views of a generation, commits, and snapshots of it.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::ReadOptions;
use synod_abi::Direction;
use synod_machine::{Fatal, RangeLimit, Row, StateView, Table, Write};

use super::generation::{Generation, mark_of_folder};
use super::handles::OwnedSnapshot;
use super::install::RocksIncoming;
use super::keeper;
use super::options::LAYOUT;
use super::ranges::Ranges;
use super::store::RocksStore;
use super::tables::{RowIterator, with_key};
use super::walk::{Hints, Walk};
use crate::mark::encode_mark;
use crate::snapshot::{OwnedFolder, TABLE};
use crate::{AppliedMark, Checkpoint, LogStore, Manifest, Receiving, StateStore, Step, StorageError, Verify};

/// How the files of a state are called that a snapshot needs. What RocksDB has beside them it makes
/// anew.
const CURRENT: &str = "CURRENT";
const MANIFEST: &str = "MANIFEST-";
/// What it has of a write-ahead log, which is empty.
const WAL: &str = ".log";

/// Rows of a [`RocksStore`]. It keeps its generation open and on disk. Its iterators go before what
/// they show.
pub struct RocksView {
    ranges: Ranges,
    options: ReadOptions,
    snapshot: Option<OwnedSnapshot>,
    fills_cache: bool,
    generation: Arc<Generation>,
}

impl RocksView {
    pub(super) fn new(generation: Arc<Generation>, snapshot: Option<OwnedSnapshot>) -> Self {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = &snapshot {
            options.set_snapshot(snapshot.get());
        }
        Self { ranges: Ranges::default(), options, snapshot, fills_cache: true, generation }
    }

    /// The same for ranges that are read once: what they read is not kept in memory for others.
    #[must_use]
    pub fn without_caching(self) -> Self {
        Self { fills_cache: false, ..self }
    }

    fn iterate_options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.fill_cache(self.fills_cache);
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
        shared.reach(Step::ApplyBegun);
        generation.gaps.around(writes, || shared.write_state(write))?;
        shared.reach(Step::ApplyWritten);
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

    fn checkpoint(&self) -> Result<Checkpoint, StorageError> {
        let (inner, shared) = (self.inner(), self.shared());
        shared.usable()?;
        let generation = Arc::clone(&inner.generation());
        let unflushed = generation.unflushed_bytes().map_err(|error| shared.fail(error))?;
        let _flushed = shared.take_room(unflushed)?;
        let number = inner.checkpoints.fetch_add(1, Ordering::Relaxed);
        let path = shared.directory.snapshots.join(format!("sent-{number}"));
        let folder = OwnedFolder::new(path, Some(Arc::clone(&inner.trash)));
        let failed = |error| shared.fail(error);
        generation.link_into(folder.path()).map_err(failed)?;
        let mark = mark_of_folder(&inner.prepared, &shared.directory.root, folder.path()).map_err(failed)?;
        let names = files_of_state(folder.path()).map_err(failed)?;
        Checkpoint::of_folder(folder, inner.cluster(), mark, LAYOUT, names).map_err(failed)
    }

    fn receive(&self, manifest: Manifest) -> Result<Receiving, StorageError> {
        self.shared().usable()?;
        self.inner().inbox.begin(manifest, LAYOUT, self.inner().cluster())
    }

    fn is_short(&self) -> bool {
        self.shared().is_short()
    }

    fn prepare(
        &self,
        received: Receiving,
        verify: &Verify<RocksView>,
    ) -> Result<RocksIncoming, StorageError> {
        self.prepare_received(received, verify)
    }

    fn install(&self, incoming: RocksIncoming) -> Result<(), StorageError> {
        self.install_incoming(incoming)
    }
}

/// The files of a state that its snapshot needs.
fn files_of_state(folder: &Path) -> Result<Vec<String>, StorageError> {
    let failed = |error: std::io::Error| StorageError::from_io("cannot read", folder, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == CURRENT || name.starts_with(MANIFEST) || name.ends_with(TABLE) {
            names.push(name);
        } else if name.ends_with(WAL) && entry.metadata().map_err(failed)?.len() > 0 {
            let why = format!("the snapshot in {} has rows in a write-ahead log", folder.display());
            return Err(StorageError::Fatal(why));
        }
    }
    Ok(names)
}

impl RocksStore {
    /// The present moment: rows and mark of it go together.
    fn pin(&self) -> RocksView {
        let generation = Arc::clone(&self.inner().generation());
        let snapshot = OwnedSnapshot::take(&generation.database);
        RocksView::new(generation, Some(snapshot))
    }
}
