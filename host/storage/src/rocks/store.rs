//! Opening and closing the store, its generations and marks.
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use rocksdb::{ColumnFamilyDescriptor, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};
use synod_machine::Table;

use super::book::Book;
use super::directory::Directory;
use super::handles::{Database, Family};
use super::options::{InstallHook, Prepared, RocksOptions};
use super::shared::{LogState, Shared};
use super::state::Generation;
use super::writer::Writer;
use super::{record, sort};
use crate::snapshot::decode_mark;
use crate::{AppliedMark, LogRecord, StorageError};

/// A member's store on RocksDB: log and state. Clones share it; the last one closes it,
/// as [`close`](RocksStore::close) does at once. Views keep the database open after that.
#[derive(Clone)]
pub struct RocksStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    shared: Arc<Shared>,
    generation: RwLock<Arc<Generation>>,
    mark: Mutex<AppliedMark>,
    turn: Mutex<()>,
    writer: Mutex<Option<JoinHandle<()>>>,
    pub(crate) rows_options: Options,
    pub(crate) on_install_step: Option<InstallHook>,
    pub(crate) files: AtomicU64,
}

impl RocksStore {
    /// Opens the data directory `root`, creating it if it is new or empty.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] if it is in use, not Synod's, or of another format: then nothing
    /// was changed. [`StorageError::Fatal`] if its data is damaged.
    pub fn open(root: &Path, options: &RocksOptions) -> Result<Self, StorageError> {
        let directory = Directory::prepare(root)?;
        let prepared = Prepared::new(options);
        let database = Arc::new(open_database(&directory, &prepared)?);
        directory.remove_leftovers()?;
        let meta = Family::open(&database, super::META)?;
        let read = |key: &str| read_meta(&database, &meta, root, key);

        let number = read(super::KEY_GENERATION)?
            .map_or(Ok(1), |bytes| decode_number(root, super::KEY_GENERATION, &bytes))?;
        keep_generation(&database, &directory, &prepared, number)?;
        let mut begin = WriteBatch::default();
        begin.put_cf(meta.get(), super::KEY_GENERATION, number.to_be_bytes());
        database.write_opt(begin, &synced()).map_err(|error| sort(root, "cannot write to", &error))?;

        let mark = match read(super::KEY_APPLIED)? {
            Some(bytes) => decode_mark(&bytes).ok_or_else(|| damaged(root, super::KEY_APPLIED))?,
            None => AppliedMark::default(),
        };
        let purged = match read(super::KEY_PURGED)? {
            Some(bytes) => {
                Some(record::decode_position(&bytes).ok_or_else(|| damaged(root, super::KEY_PURGED))?)
            }
            None => None,
        };
        let (disk_first, last) = log_on_disk(&database, root)?;
        let after_purged = purged.as_ref().map_or(0, |(index, _)| index + 1);
        let last = last.filter(|last| last.index >= after_purged);
        let book = Book::new(disk_first.max(after_purged), last, purged, options.log_tail_bytes);
        let shared_bytes = |bytes: Option<Vec<u8>>| bytes.map(Arc::from);
        let log = LogState::new(
            book,
            shared_bytes(read(super::KEY_VOTE)?),
            shared_bytes(read(super::KEY_COMMITTED)?),
        );
        drop(meta);

        let generation = Generation::open(&database, number)?;
        let applied = mark.index.map_or(0, |index| index + 1);
        let shared = Arc::new(Shared::new(database, directory, log, applied, options.reserve_bytes)?);
        let writer = Writer::new(Arc::clone(&shared), disk_first);
        let thread = std::thread::Builder::new().name("synod-log".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| {
            StorageError::Fatal(format!("cannot start the thread that writes the log: {error}"))
        })?;
        let inner = Inner {
            shared,
            generation: RwLock::new(Arc::new(generation)),
            mark: Mutex::new(mark),
            turn: Mutex::new(()),
            writer: Mutex::new(Some(thread)),
            rows_options: prepared.rows,
            on_install_step: options.on_install_step.clone(),
            files: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Brings what is queued to disk and refuses everything after it. Blocks until that is done.
    pub fn close(&self) {
        self.inner.close();
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Inner {
    pub(crate) fn generation(&self) -> RwLockReadGuard<'_, Arc<Generation>> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn generation_to_switch(&self) -> RwLockWriteGuard<'_, Arc<Generation>> {
        self.generation.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mark(&self) -> MutexGuard<'_, AppliedMark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_mark(&self, mark: AppliedMark) {
        *self.mark() = mark;
    }

    /// The mark as stored, with options that may pin a moment.
    pub(crate) fn stored_mark(&self, options: &ReadOptions) -> Result<AppliedMark, StorageError> {
        let shared = &self.shared;
        let bytes = shared.database.get_cf_opt(shared.meta.get(), super::KEY_APPLIED, options);
        let bytes = bytes.map_err(|error| shared.fail(shared.sort("cannot read from", &error)))?;
        let mark = bytes.map_or(Some(AppliedMark::default()), |bytes| decode_mark(&bytes));
        mark.ok_or_else(|| shared.fail(damaged(&shared.directory.root, super::KEY_APPLIED)))
    }

    /// One commit or install at a time.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.shared.begin_close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != std::thread::current().id()) {
            let _ = writer.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Options of the few writes that are synced one by one.
pub(crate) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn open_database(directory: &Directory, prepared: &Prepared) -> Result<Database, StorageError> {
    let root = &directory.root;
    let found = if directory.database.join("CURRENT").exists() {
        Database::list_cf(&prepared.database, &directory.database)
            .map_err(|error| sort(root, "cannot open", &error))?
    } else {
        Vec::new()
    };
    let generations = found.iter().filter(|name| Generation::number_of(name).is_some());
    let families = [(super::LOG, &prepared.log), (super::META, &prepared.meta), ("default", &prepared.meta)]
        .into_iter()
        .chain(generations.map(|name| (name.as_str(), &prepared.rows)))
        .map(|(name, options)| ColumnFamilyDescriptor::new(name, options.clone()));
    Database::open_cf_descriptors(&prepared.database, &directory.database, families).map_err(|error| {
        let text = error.to_string();
        if text.contains("lock") && (text.contains("LOCK") || text.contains("hold by current process")) {
            StorageError::Unusable(format!(
                "the data directory {} is in use by another process; stop that one, or name another \
                 directory",
                root.display()
            ))
        } else {
            sort(root, "cannot open", &error)
        }
    })
}

/// Drops every generation but `number`, which is created if it is missing (as the first one is).
fn keep_generation(
    database: &Arc<Database>,
    directory: &Directory,
    prepared: &Prepared,
    number: u64,
) -> Result<(), StorageError> {
    let root = &directory.root;
    let found = Database::list_cf(&prepared.database, &directory.database)
        .map_err(|error| sort(root, "cannot read", &error))?;
    for name in &found {
        if Generation::number_of(name).is_some_and(|of| of != number) {
            tracing::info!(family = name, "dropping a generation that is not the present one");
            database.drop_cf(name).map_err(|error| sort(root, "cannot drop a generation in", &error))?;
        }
    }
    for table in Table::ALL {
        let name = Generation::family_name(number, table);
        if found.contains(&name) {
            continue;
        }
        if number != 1 {
            return Err(damaged(root, &name));
        }
        database
            .create_cf(&name, &prepared.rows)
            .map_err(|error| sort(root, "cannot create a generation in", &error))?;
    }
    Ok(())
}

/// The lowest index on disk (0 if the log is empty) and the last record.
fn log_on_disk(database: &Arc<Database>, root: &Path) -> Result<(u64, Option<LogRecord>), StorageError> {
    let log = Family::open(database, super::LOG)?;
    let end = |mode: IteratorMode<'_>| database.iterator_cf(log.get(), mode).next().transpose();
    let read =
        |mode: IteratorMode<'_>| end(mode).map_err(|error| sort(root, "cannot read the log in", &error));
    let (Some((first, _)), Some((last, value))) = (read(IteratorMode::Start)?, read(IteratorMode::End)?)
    else {
        return Ok((0, None));
    };
    let (Some(first), Some(index)) = (record::index(&first), record::index(&last)) else {
        return Err(damaged(root, "a key of the log"));
    };
    let record =
        record::decode(index, &value).ok_or_else(|| damaged(root, &format!("record {index} of the log")))?;
    Ok((first, Some(record)))
}

fn read_meta(
    database: &Database,
    meta: &Family,
    root: &Path,
    key: &str,
) -> Result<Option<Vec<u8>>, StorageError> {
    database.get_cf(meta.get(), key).map_err(|error| sort(root, "cannot read from", &error))
}

fn decode_number(root: &Path, key: &str, bytes: &[u8]) -> Result<u64, StorageError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| damaged(root, key))
}

fn damaged(root: &Path, what: &str) -> StorageError {
    StorageError::Fatal(format!("`{what}` in {} is missing or malformed: {}", root.display(), super::REPLACE))
}
