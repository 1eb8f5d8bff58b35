//! Column families, snapshots and iterators that own the database they belong to, so that a view
//! can outlive the store's handle, and keep what it has opened.
//!
//! The crate ties them to a borrow of the database. Here the borrow is of what an `Arc` holds, and
//! the `Arc` lies beside it, in a field that is dropped later. This is the only place that extends
//! a lifetime.
use std::sync::Arc;

use rocksdb::{
    BoundColumnFamily, DBRawIteratorWithThreadMode, DBWithThreadMode, MultiThreaded, ReadOptions,
    SnapshotWithThreadMode,
};

use crate::StorageError;

/// The database; families come and go with generations.
pub(crate) type Database = DBWithThreadMode<MultiThreaded>;

/// A column family. Rows of a dropped one stay readable through it, and on disk, until the last
/// clone goes.
#[derive(Clone)]
pub(crate) struct Family {
    handle: Arc<BoundColumnFamily<'static>>,
    _database: Arc<Database>,
}

impl Family {
    /// The family called `name`.
    pub(crate) fn open(database: &Arc<Database>, name: &str) -> Result<Self, StorageError> {
        let handle: Arc<BoundColumnFamily<'_>> = database
            .cf_handle(name)
            .ok_or_else(|| StorageError::Fatal(format!("the store has no column family `{name}`")))?;
        // SAFETY: only the lifetime changes. The handle must not outlive the database: `_database`
        // keeps it alive, and as the later field it is dropped after `handle`; `get` lends the
        // handle no longer than `self`.
        let handle = unsafe {
            std::mem::transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(handle)
        };
        Ok(Self { handle, _database: Arc::clone(database) })
    }

    /// The handle, as the crate's functions take it.
    pub(crate) fn get<'a>(&'a self) -> &'a Arc<BoundColumnFamily<'a>> {
        &self.handle
    }
}

/// A snapshot of the database.
pub(crate) struct OwnedSnapshot {
    snapshot: SnapshotWithThreadMode<'static, Database>,
    _database: Arc<Database>,
}

impl OwnedSnapshot {
    /// Pins this moment.
    pub(crate) fn take(database: &Arc<Database>) -> Self {
        // SAFETY: the reference points into the `Arc`'s allocation, which `_database` keeps alive
        // and in place; as the later field it is dropped after `snapshot`, and `get` lends the
        // snapshot no longer than `self`.
        let pinned: &'static Database = unsafe { &*Arc::as_ptr(database) };
        Self { snapshot: pinned.snapshot(), _database: Arc::clone(database) }
    }

    /// The snapshot.
    pub(crate) fn get<'a>(&'a self) -> &'a SnapshotWithThreadMode<'a, Database> {
        &self.snapshot
    }
}

/// An iterator over the database.
pub(crate) struct OwnedIterator {
    rows: DBRawIteratorWithThreadMode<'static, Database>,
    _database: Arc<Database>,
}

impl OwnedIterator {
    /// Opens it. What it shows is settled then: a snapshot in `options` is needed no longer.
    pub(crate) fn open(database: &Arc<Database>, options: ReadOptions) -> Self {
        // SAFETY: as for `OwnedSnapshot`: `_database` keeps the database alive and in place, and is
        // dropped after `rows`; `get` lends the iterator no longer than `self`, and what `step`
        // runs must do with any lifetime, so it cannot take the iterator away.
        let opened: &'static Database = unsafe { &*Arc::as_ptr(database) };
        Self { rows: opened.raw_iterator_opt(options), _database: Arc::clone(database) }
    }

    /// The iterator.
    pub(crate) fn get<'a>(&'a self) -> &'a DBRawIteratorWithThreadMode<'a, Database> {
        &self.rows
    }

    /// Moves the iterator by `step`.
    pub(crate) fn step(&mut self, step: impl FnOnce(&mut DBRawIteratorWithThreadMode<'_, Database>)) {
        step(&mut self.rows);
    }
}
