//! One generation of the state: a database of its own, without a write-ahead log.
//!
//! What it holds is on disk as far as RocksDB has flushed it, and RocksDB may flush at any moment:
//! rows and applied mark of an entry are written together into one family, so a flush has all of an
//! entry or nothing. Whoever writes to it sees to it that the log has the entry on disk before.
//!
//! A flush that met a full disk loses nothing: what it had in hand stays in memory and in its
//! place, RocksDB names files of flushes in its manifest in the order of what they hold, and begins
//! another manifest if it could not write to one. It refuses writes until everything is flushed,
//! which it tries every five seconds once as much is free as a write buffer takes.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::{BACKGROUND_ERRORS, CUR_SIZE_ALL_MEM_TABLES};
use rocksdb::{LiveFile, ReadOptions, ReadTier, WriteBatch, WriteOptions};
use synod_machine::Write;

use super::directory::{Directory, remove_folder};
use super::gaps::Gaps;
use super::handles::{Database, OwnedSnapshot};
use super::options::{Prepared, without_log};
use super::{lost, sort, tables};
use crate::mark::decode_mark;
use crate::{AppliedMark, Receiving, StorageError};

/// See the module. Its folder goes with it if it was retired.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) gaps: Gaps,
    pub(crate) database: Arc<Database>,
    root: PathBuf,
    write: WriteOptions,
    folder: Folder,
}

impl Generation {
    /// Opens the generation, which must be there.
    pub(crate) fn open(
        directory: &Directory,
        prepared: &Prepared,
        number: u64,
    ) -> Result<Self, StorageError> {
        let folder = directory.state(number);
        if !folder.join("CURRENT").exists() {
            return Err(lost(&directory.root, &format!("the folder `{}` is missing", folder.display())));
        }
        Self::new(directory, prepared, number, false)
    }

    /// A generation of the files of a snapshot. Until it is kept, it goes when it is dropped.
    ///
    /// # Errors
    /// [`StorageError::BadSnapshot`] if they are no state.
    pub(crate) fn adopt(
        directory: &Directory,
        prepared: &Prepared,
        number: u64,
        received: &Receiving,
        on_placed: impl FnOnce(),
    ) -> Result<Self, StorageError> {
        let path = directory.state(number);
        remove_folder(&path)?;
        std::fs::create_dir(&path).map_err(|error| StorageError::from_io("cannot create", &path, &error))?;
        let folder = Folder { path, retired: AtomicBool::new(true) };
        received.place(&folder.path)?;
        directory.sync()?;
        on_placed();
        Self::open_folder(directory, prepared, number, folder, false).map_err(|error| match error {
            StorageError::Full { .. } => error,
            error => StorageError::BadSnapshot(format!("the snapshot cannot be opened: {error}")),
        })
    }

    /// Creates the generation, which must not be there. Until it is kept, it goes when it is
    /// dropped.
    pub(crate) fn create(
        directory: &Directory,
        prepared: &Prepared,
        number: u64,
    ) -> Result<Self, StorageError> {
        remove_folder(&directory.state(number))?;
        let generation = Self::new(directory, prepared, number, true)?;
        directory.sync()?;
        Ok(generation)
    }

    fn new(
        directory: &Directory,
        prepared: &Prepared,
        number: u64,
        create: bool,
    ) -> Result<Self, StorageError> {
        let folder = Folder { path: directory.state(number), retired: AtomicBool::new(create) };
        Self::open_folder(directory, prepared, number, folder, create)
    }

    fn open_folder(
        directory: &Directory,
        prepared: &Prepared,
        number: u64,
        folder: Folder,
        create: bool,
    ) -> Result<Self, StorageError> {
        let mut options = prepared.state.clone();
        options.create_if_missing(create);
        options.set_error_if_exists(create);
        let database = Database::open(&options, &folder.path)
            .map_err(|error| super::opening(&directory.root, &error))?;
        Ok(Self {
            number,
            gaps: Gaps::default(),
            database: Arc::new(database),
            root: directory.root.clone(),
            write: without_log(),
            folder,
        })
    }

    /// It is the present one, or about to be.
    pub(crate) fn keep(&self) {
        self.folder.retired.store(false, Ordering::Release);
    }

    /// Its folder goes when the last view does.
    pub(crate) fn retire(&self) {
        self.folder.retired.store(true, Ordering::Release);
    }

    /// Writes rows and mark, into memory.
    pub(crate) fn write(&self, writes: &[Write], mark: &[u8]) -> Result<(), rocksdb::Error> {
        let mut batch = WriteBatch::default();
        for write in writes {
            tables::add(&mut batch, write);
        }
        batch.put(tables::MARK, mark);
        self.database.write_opt(batch, &self.write)
    }

    /// How far its rows are, or were when `snapshot` was taken.
    pub(crate) fn mark(&self, snapshot: Option<&OwnedSnapshot>) -> Result<AppliedMark, StorageError> {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = snapshot {
            options.set_snapshot(snapshot.get());
        }
        self.read_mark(&options)
    }

    /// How far its rows are on disk.
    pub(crate) fn flushed(&self) -> Result<AppliedMark, StorageError> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        self.read_mark(&options)
    }

    /// Brings everything that is written to disk.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        self.check_goes_on()?;
        self.database.flush().map_err(|error| self.sort("cannot flush the state in", &error))
    }

    /// Refuses while RocksDB does nothing but recover from a flush that met a full disk. It waits
    /// for what it has under way to end, and a flush that is asked for meanwhile is under way for
    /// a second before it fails: who asked again and again would keep it from recovering.
    fn check_goes_on(&self) -> Result<(), StorageError> {
        let nothing = self.database.write_opt(WriteBatch::default(), &self.write);
        nothing.map_err(|error| self.sort("cannot write to the state in", &error))
    }

    /// How many errors its flushes and compactions have met.
    pub(crate) fn background_errors(&self) -> Result<u64, StorageError> {
        let errors = self.database.property_int_value(BACKGROUND_ERRORS);
        errors.map(Option::unwrap_or_default).map_err(|error| self.sort("cannot ask the state in", &error))
    }

    /// At most so many bytes would be written by a flush now.
    pub(crate) fn unflushed_bytes(&self) -> Result<u64, StorageError> {
        let bytes = self.database.property_int_value(CUR_SIZE_ALL_MEM_TABLES);
        bytes.map(Option::unwrap_or_default).map_err(|error| self.sort("cannot ask the state in", &error))
    }

    /// At most so many bytes of table files are written anew when `begin..end` is compacted: files
    /// that it lies in, and, as a file of the uppermost level may hold keys of all tables, all of
    /// the two uppermost levels.
    pub(crate) fn bytes_to_compact(&self, begin: &[u8], end: &[u8]) -> Result<u64, StorageError> {
        let files = self.database.live_files();
        let files = files.map_err(|error| self.sort("cannot list the files of the state in", &error))?;
        let below = files.iter().map(|file| file.level).filter(|level| *level > 0).min();
        let lies_in = |file: &LiveFile| {
            file.start_key.as_deref().is_none_or(|first| first < end)
                && file.end_key.as_deref().is_none_or(|last| begin <= last)
        };
        let rewritten =
            files.iter().filter(|file| file.level == 0 || Some(file.level) == below || lies_in(file));
        Ok(rewritten.map(|file| file.size as u64).sum())
    }

    pub(crate) fn sort(&self, action: &str, error: &rocksdb::Error) -> StorageError {
        sort(&self.root, action, error)
    }

    fn read_mark(&self, options: &ReadOptions) -> Result<AppliedMark, StorageError> {
        read_mark(&self.database, options, &self.root)
    }

    /// Flushes it, and has its files, which never change, also in `folder`, which must not exist.
    pub(crate) fn link_into(&self, folder: &Path) -> Result<(), StorageError> {
        self.check_goes_on()?;
        Checkpoint::new(&*self.database)
            .and_then(|checkpoint| checkpoint.create_checkpoint(folder))
            .map_err(|error| self.sort("cannot flush the state in", &error))
    }
}

/// How far the state in `folder` is, as it says itself. The folder stays as it is.
pub(crate) fn mark_of_folder(
    prepared: &Prepared,
    root: &Path,
    folder: &Path,
) -> Result<AppliedMark, StorageError> {
    let database = Database::open_for_read_only(&prepared.state, folder, false)
        .map_err(|error| sort(root, "cannot open a snapshot in", &error))?;
    read_mark(&database, &ReadOptions::default(), root)
}

fn read_mark(database: &Database, options: &ReadOptions, root: &Path) -> Result<AppliedMark, StorageError> {
    let bytes = database.get_opt(tables::MARK, options);
    let bytes = bytes.map_err(|error| sort(root, "cannot read the state in", &error))?;
    let mark = bytes.map_or(Some(AppliedMark::default()), |bytes| decode_mark(&bytes));
    mark.ok_or_else(|| lost(root, "the applied mark is malformed"))
}

/// A folder that is removed when it is dropped, if it was retired. As the last field of a
/// generation it goes after the database.
struct Folder {
    path: PathBuf,
    retired: AtomicBool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Acquire)
            && let Err(error) = remove_folder(&self.path)
        {
            tracing::warn!(%error, "a former state cannot be removed; the next start will");
        }
    }
}

#[cfg(test)]
mod tests;
