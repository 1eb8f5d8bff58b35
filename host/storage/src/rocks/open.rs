//! Opening the two databases, and whether they agree: what the log begins and ends with, and how
//! far the state is.
//!
//! openraft takes what it finds: it would purge a hole, and go on from a state that is ahead of its
//! log. So both are refused here, before it starts.
use std::path::Path;
use std::sync::Arc;

use rocksdb::{ColumnFamilyDescriptor, IteratorMode, WriteOptions};

use super::book::Book;
use super::directory::{Contents, Directory, DirectoryLock};
use super::generation::Generation;
use super::handles::{Database, Family};
use super::options::{Prepared, RocksOptions};
use super::shared::LogState;
use super::watermark::Watermark;
use super::{lost, record, sort};
use crate::{AppliedMark, LogRecord, Step, StorageError};

/// The generation that a new directory begins with.
const FIRST_GENERATION: u64 = 1;

/// Everything that was found in a data directory.
pub(crate) struct Opened {
    pub(crate) directory: Directory,
    pub(crate) lock: DirectoryLock,
    pub(crate) prepared: Prepared,
    pub(crate) database: Arc<Database>,
    pub(crate) log: LogState,
    /// Lowest index that may be on disk.
    pub(crate) disk_first: u64,
    pub(crate) watermark: Watermark,
    pub(crate) generation: Generation,
    pub(crate) mark: AppliedMark,
}

impl Opened {
    /// Opens the data directory `root`, creating it if it is new or empty.
    pub(crate) fn new(root: &Path, options: &RocksOptions) -> Result<Self, StorageError> {
        let (directory, lock, contents) = Directory::prepare(root)?;
        let creating = |step: Step| match contents {
            Contents::Creating => step.tell(options.on_step.as_ref()),
            Contents::Whole => {}
        };
        creating(Step::CreateBegun);
        let prepared = Prepared::new(options)?;
        let database = Arc::new(open_log(&directory, &prepared, contents)?);
        creating(Step::CreateLog);
        let meta = Family::open(&database, super::META)?;
        let read = |key: &str| read_meta(&database, &meta, root, key);

        let generation = match (read(super::KEY_GENERATION)?, contents) {
            (Some(number), _) => {
                let number = decode_number(root, super::KEY_GENERATION, &number)?;
                Generation::open(&directory, &prepared, number)?
            }
            (None, Contents::Creating) => Generation::create(&directory, &prepared, FIRST_GENERATION)?,
            (None, Contents::Whole) => return Err(damaged(root, super::KEY_GENERATION)),
        };
        creating(Step::CreateState);
        let mark = generation.mark(None)?;
        let purged = match read(super::KEY_PURGED)? {
            Some(bytes) => {
                Some(record::decode_position(&bytes).ok_or_else(|| damaged(root, super::KEY_PURGED))?)
            }
            None => None,
        };
        let found = OnDisk::read(&database, root)?;
        found.check(&database, root, purged.as_ref(), &mark)?;
        let after_purged = purged.as_ref().map_or(0, |(index, _)| index + 1);
        let end = found.last.as_ref().map_or(0, |last| last.index + 1).max(after_purged);
        let watermark = Watermark::open(root, end)?.map_err(|marked| {
            let last =
                end.checked_sub(1).map_or("before its first".to_owned(), |last| format!("with {last}"));
            lost(root, &format!("the log ends {last}, and entry {} was on disk", marked - 1))
        })?;

        if contents == Contents::Creating {
            let result = database.put_cf_opt(
                meta.get(),
                super::KEY_GENERATION,
                generation.number.to_be_bytes(),
                &synced(),
            );
            result.map_err(|error| sort(root, "cannot write to", &error))?;
            generation.keep();
            creating(Step::CreateNoted);
            directory.created()?;
            creating(Step::CreateWhole);
        }
        directory.remove_leftovers(generation.number)?;

        let last = found.last.filter(|last| last.index >= after_purged);
        let book = Book::new(found.first.max(after_purged), last, purged, options.log_tail_bytes);
        let shared_bytes = |bytes: Option<Vec<u8>>| bytes.map(Arc::from);
        let vote = shared_bytes(read(super::KEY_VOTE)?);
        let committed = shared_bytes(read(super::KEY_COMMITTED)?);
        drop(meta);
        Ok(Self {
            directory,
            lock,
            prepared,
            database,
            log: LogState::new(book, vote, committed),
            disk_first: found.first,
            watermark,
            generation,
            mark,
        })
    }
}

/// Options of a write that is on disk when it returns.
fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn open_log(
    directory: &Directory,
    prepared: &Prepared,
    contents: Contents,
) -> Result<Database, StorageError> {
    let root = &directory.root;
    let creating = contents == Contents::Creating;
    if !creating && !directory.log.join("CURRENT").exists() {
        return Err(lost(root, &format!("the folder `{}` is missing", directory.log.display())));
    }
    let mut options = prepared.log_database.clone();
    options.create_if_missing(creating);
    let families = [(super::LOG, &prepared.log), (super::META, &prepared.meta), ("default", &prepared.meta)]
        .map(|(name, options)| ColumnFamilyDescriptor::new(name, options.clone()));
    Database::open_cf_descriptors(&options, &directory.log, families)
        .map_err(|error| super::opening(root, &error))
}

/// The records on disk.
struct OnDisk {
    /// The lowest index; 0 if there is none.
    first: u64,
    last: Option<LogRecord>,
}

impl OnDisk {
    fn read(database: &Arc<Database>, root: &Path) -> Result<Self, StorageError> {
        let log = Family::open(database, super::LOG)?;
        let end = |mode: IteratorMode<'_>| database.iterator_cf(log.get(), mode).next().transpose();
        let read =
            |mode: IteratorMode<'_>| end(mode).map_err(|error| sort(root, "cannot read the log in", &error));
        let (Some((first, _)), Some((last, value))) = (read(IteratorMode::Start)?, read(IteratorMode::End)?)
        else {
            return Ok(Self { first: 0, last: None });
        };
        let (Some(first), Some(index)) = (record::index(&first), record::index(&last)) else {
            return Err(damaged(root, "a key of the log"));
        };
        let record = record::decode(index, &value)
            .ok_or_else(|| damaged(root, &format!("record {index} of the log")))?;
        Ok(Self { first, last: Some(record) })
    }

    /// Checks that nothing is missing between the purge mark, the records and the state.
    fn check(
        &self,
        database: &Arc<Database>,
        root: &Path,
        purged: Option<&(u64, Arc<[u8]>)>,
        mark: &AppliedMark,
    ) -> Result<(), StorageError> {
        let after_purged = purged.map_or(0, |(index, _)| index + 1);
        let end = self.last.as_ref().map_or(0, |last| last.index + 1).max(after_purged);
        if self.last.is_some() && self.first > after_purged {
            let missing = format!("records {after_purged} to {} of the log are missing", self.first - 1);
            return Err(lost(root, &missing));
        }
        let Some(applied) = mark.index else {
            return match purged {
                Some((index, _)) => {
                    Err(lost(root, &format!("the log begins behind entry {index}, and the state is empty")))
                }
                None => Ok(()),
            };
        };
        if applied + 1 < after_purged {
            return Err(lost(
                root,
                &format!(
                    "the state is that of entry {applied}, and the log begins behind entry {}",
                    after_purged - 1
                ),
            ));
        }
        if applied >= end {
            return Err(lost(
                root,
                &format!(
                    "the state is that of entry {applied}, and the log ends {}",
                    end.checked_sub(1).map_or("before its first".to_owned(), |last| format!("with {last}"))
                ),
            ));
        }
        let same = match purged.filter(|(index, _)| *index == applied) {
            Some((_, id)) => *id == mark.id,
            None => read_record(database, root, applied)?.is_some_and(|record| record.has_id(&mark.id)),
        };
        if same {
            Ok(())
        } else {
            Err(lost(root, &format!("log and state hold different entries {applied}")))
        }
    }
}

/// Reads a record from disk; none if it is not there.
pub(crate) fn read_record(
    database: &Arc<Database>,
    root: &Path,
    index: u64,
) -> Result<Option<LogRecord>, StorageError> {
    let log = Family::open(database, super::LOG)?;
    let value = database.get_cf(log.get(), record::key(index));
    let Some(value) = value.map_err(|error| sort(root, "cannot read the log in", &error))? else {
        return Ok(None);
    };
    match record::decode(index, &value) {
        Some(record) => Ok(Some(record)),
        None => Err(damaged(root, &format!("record {index} of the log"))),
    }
}

pub(crate) fn read_meta(
    database: &Database,
    meta: &Family,
    root: &Path,
    key: &str,
) -> Result<Option<Vec<u8>>, StorageError> {
    database.get_cf(meta.get(), key).map_err(|error| sort(root, "cannot read from", &error))
}

pub(crate) fn decode_number(root: &Path, key: &str, bytes: &[u8]) -> Result<u64, StorageError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| damaged(root, key))
}

pub(crate) fn damaged(root: &Path, what: &str) -> StorageError {
    lost(root, &format!("`{what}` is missing or malformed"))
}
