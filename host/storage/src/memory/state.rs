//! The state in memory, its views and snapshots, and what a member knows of itself.
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_abi::Direction;
use synod_machine::{Fatal, RangeLimit, Row, StateView, Table, Write};

use super::disk::{Change, Rows, Tables, position};
use super::{MemoryIncoming, MemoryStore, Shared};
use crate::snapshot::{self, SnapshotWriter};
use crate::{AppliedMark, SnapshotFile, StateStore, StorageError};

/// Rows of a [`MemoryStore`].
pub struct MemoryView(Source);

enum Source {
    Moment(Tables),
    Latest(Arc<Shared>),
}

impl MemoryView {
    fn table<T>(&self, table: Table, read: impl FnOnce(&Rows) -> T) -> T {
        match &self.0 {
            Source::Moment(tables) => read(&tables[position(table)]),
            Source::Latest(shared) => read(&shared.core().now.tables[position(table)]),
        }
    }
}

impl StateView for MemoryView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        Ok(self.table(table, |rows| rows.get(key).map(|value| value.to_vec())))
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
        let upper = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        Ok(self.table(table, |rows| {
            let range = rows.range::<[u8], _>((Bound::Included(from), upper));
            match direction {
                Direction::Forward => chunk(range, limit),
                Direction::Backward => chunk(range.rev(), limit),
            }
        }))
    }
}

fn chunk<'a>(
    rows: impl Iterator<Item = (&'a Vec<u8>, &'a Arc<[u8]>)>,
    limit: RangeLimit,
) -> (Vec<Row>, bool) {
    let mut chunk = Vec::new();
    let mut bytes = 0usize;
    for (key, value) in rows {
        bytes += key.len() + value.len();
        if !chunk.is_empty() && (chunk.len() >= limit.rows || bytes > limit.bytes) {
            return (chunk, true);
        }
        chunk.push((key.clone(), value.to_vec()));
    }
    (chunk, false)
}

impl StateStore for MemoryStore {
    type View = MemoryView;
    type Incoming = MemoryIncoming;

    fn applied(&self) -> Result<AppliedMark, StorageError> {
        Ok(self.usable()?.now.mark.clone())
    }

    fn view(&self) -> Result<MemoryView, StorageError> {
        Ok(MemoryView(Source::Moment(self.usable()?.now.tables.clone())))
    }

    fn latest(&self) -> Result<MemoryView, StorageError> {
        drop(self.usable()?);
        Ok(MemoryView(Source::Latest(self.shared.clone())))
    }

    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StorageError> {
        self.usable()?.now.commit(writes, mark);
        Ok(())
    }

    fn flush(&self) -> Result<AppliedMark, StorageError> {
        self.flush_behind();
        let core = self.usable()?;
        Ok(core.durable.as_ref().unwrap_or(&core.now).mark.clone())
    }

    fn build_snapshot(&self) -> Result<SnapshotFile, StorageError> {
        let core = self.usable()?;
        let (tables, mark) = (core.now.tables.clone(), core.now.mark.clone());
        drop(core);
        let mut writer = SnapshotWriter::create(self.new_file("building")?, mark)?;
        for (table, rows) in Table::ALL.into_iter().zip(&tables) {
            for (key, value) in rows.iter() {
                writer.row(table, key, value)?;
            }
        }
        writer.finish(self.new_file("snapshot")?)
    }

    fn receive_path(&self) -> Result<PathBuf, StorageError> {
        let path = self.new_file("received")?;
        std::fs::File::create_new(&path)
            .map_err(|error| StorageError::from_io("cannot create the file", &path, &error))?;
        Ok(path)
    }

    fn open_snapshot(&self, path: &Path) -> Result<SnapshotFile, StorageError> {
        snapshot::open_snapshot(path)
    }

    fn is_short(&self) -> bool {
        self.core().full
    }

    fn room_for(&self, _length_bytes: u64) -> Result<(), StorageError> {
        let full = self.usable()?.full;
        if full { Err(StorageError::Full { path: self.shared.folder.clone() }) } else { Ok(()) }
    }

    fn prepare(&self, file: &SnapshotFile) -> Result<MemoryIncoming, StorageError> {
        self.read_snapshot(file)
    }

    fn install(&self, incoming: MemoryIncoming) -> Result<(), StorageError> {
        drop(self.usable()?);
        self.change(Change::Install(incoming.tables, incoming.mark), None);
        self.sync();
        Ok(())
    }
}
