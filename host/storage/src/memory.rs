//! The store in memory: the twin of the RocksDB one, for tests and the simulator.
//!
//! It has no thread and no clock. Either every change is durable when its call returns
//! ([`MemoryStore::new`]), or changes queue up, in one order for log and state like in one
//! write-ahead log, until the test calls [`MemoryStore::sync`] ([`MemoryStore::manual`]);
//! [`MemoryStore::crash`] forgets what was not synced. Snapshots are files as with RocksDB, so that
//! the twins can exchange them. It never waits: with a full disk, appends are held back and commits
//! go on.
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_abi::{ClusterId, Direction, MemberId};
use synod_machine::{Fatal, RangeLimit, Row, StateView, Table, Write};

use crate::snapshot::{self, SnapshotWriter};
use crate::{AppliedMark, Flushed, Health, InstallStep, LogBounds, LogRecord, LogStore, MetaStore};
use crate::{SnapshotFile, StateStore, StorageError};

type Rows = BTreeMap<Vec<u8>, Arc<[u8]>>;
type Tables = [Arc<Rows>; Table::ALL.len()];

/// A member's store in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    core: Mutex<Core>,
    incarnation: u64,
    folder: PathBuf,
    syncs: AtomicU64,
}

struct Core {
    now: Disk,
    durable: Option<Disk>,
    pending: VecDeque<(Change, Option<Flushed>)>,
    full: bool,
    failed: Option<StorageError>,
}

/// What a disk holds.
#[derive(Clone, Default)]
struct Disk {
    log: BTreeMap<u64, Arc<[u8]>>,
    purged: Option<(u64, Arc<[u8]>)>,
    /// What will be purged when the state is as far, in order; forgotten by a crash.
    purging: VecDeque<(u64, Arc<[u8]>)>,
    vote: Option<Arc<[u8]>>,
    committed: Option<Arc<[u8]>>,
    tables: Tables,
    mark: AppliedMark,
    meta: BTreeMap<String, Vec<u8>>,
}

enum Change {
    Append(Vec<LogRecord>),
    Truncate(u64),
    Purge(u64, Arc<[u8]>),
    Vote(Arc<[u8]>),
    Committed(Option<Arc<[u8]>>),
    Commit(Vec<Write>, AppliedMark),
    Install(Box<Tables>, AppliedMark),
}

static STORES: AtomicU64 = AtomicU64::new(0);

impl MemoryStore {
    /// An empty store on which everything is durable at once.
    pub fn new() -> Self {
        Self::start(Disk::default(), None, 1)
    }

    /// An empty store on which log and state are durable when [`sync`](Self::sync) is called.
    pub fn manual() -> Self {
        Self::start(Disk::default(), Some(Disk::default()), 1)
    }

    fn start(now: Disk, durable: Option<Disk>, incarnation: u64) -> Self {
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("synod-memory-{}-{number}", std::process::id()));
        let core = Core { now, durable, pending: VecDeque::new(), full: false, failed: None };
        Self {
            shared: Arc::new(Shared {
                core: Mutex::new(core),
                incarnation,
                folder,
                syncs: AtomicU64::new(0),
            }),
        }
    }

    /// Changes that are not durable yet.
    pub fn pending(&self) -> usize {
        self.core().pending.len()
    }

    /// Makes everything durable and completes the callbacks, newest first.
    pub fn sync(&self) {
        let mut core = self.core();
        if core.full || core.failed.is_some() {
            return;
        }
        let pending = std::mem::take(&mut core.pending);
        let mut callbacks = Vec::new();
        for (change, flushed) in pending {
            if let Some(durable) = core.durable.as_mut() {
                durable.apply(&change);
            }
            callbacks.extend(flushed);
        }
        drop(core);
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        callbacks.into_iter().rev().for_each(|flushed| flushed(Ok(())));
    }

    /// The member as it comes back after power was lost with the first `kept` unsynced changes on
    /// disk. Callbacks of lost changes are never called. The old store refuses everything from now
    /// on.
    pub fn crash(&self, kept: usize) -> Self {
        let mut core = self.core();
        let manual = core.durable.is_some();
        let mut disk = core.durable.take().unwrap_or_else(|| core.now.clone());
        for (change, _) in core.pending.drain(..).take(kept) {
            disk.apply(&change);
        }
        core.pending.clear();
        disk.purging.clear();
        core.failed = Some(StorageError::Fatal("the store has crashed".into()));
        drop(core);
        Self::start(disk.clone(), manual.then_some(disk), self.shared.incarnation + 1)
    }

    /// The member as it comes back after an orderly stop: nothing is lost.
    pub fn reopen(&self) -> Self {
        self.crash(usize::MAX)
    }

    /// Makes the disk full, or frees space: then what was held back becomes durable, at once or
    /// with the next [`sync`](Self::sync).
    pub fn set_full(&self, full: bool) {
        let mut core = self.core();
        core.full = full;
        let manual = core.durable.is_some();
        drop(core);
        if !full && !manual {
            self.sync();
        }
    }

    /// Breaks the disk: everything pending and everything from now on fails with `message`.
    pub fn fail(&self, message: &str) {
        let error = StorageError::Fatal(message.to_owned());
        let mut core = self.core();
        core.failed = Some(error.clone());
        let pending = std::mem::take(&mut core.pending);
        drop(core);
        pending
            .into_iter()
            .rev()
            .filter_map(|(_, flushed)| flushed)
            .for_each(|flushed| flushed(Err(error.clone())));
    }

    /// Installs a snapshot, calling `on_step` after each step.
    pub fn install_snapshot_with(
        &self,
        file: &SnapshotFile,
        on_step: &dyn Fn(InstallStep),
    ) -> Result<(), StorageError> {
        drop(self.usable()?);
        let mut tables: [Rows; Table::ALL.len()] = Default::default();
        let meta = snapshot::read_rows(&file.path, &mut |table, key, value| {
            tables[position(table)].insert(key.to_vec(), value.into());
            Ok(())
        })?;
        if meta != file.meta {
            return Err(StorageError::BadSnapshot(format!(
                "the snapshot file {} is not of what was announced",
                file.path.display()
            )));
        }
        for step in
            [InstallStep::Verified, InstallStep::GenerationCreated, InstallStep::Loaded, InstallStep::Flushed]
        {
            on_step(step);
        }
        self.change(Change::Install(Box::new(tables.map(Arc::new)), meta.mark), None);
        self.sync();
        on_step(InstallStep::Switched);
        on_step(InstallStep::OldDropped);
        Ok(())
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.core()
    }

    fn usable(&self) -> Result<MutexGuard<'_, Core>, StorageError> {
        let core = self.core();
        match &core.failed {
            Some(error) => Err(error.clone()),
            None => Ok(core),
        }
    }

    fn change(&self, change: Change, flushed: Option<Flushed>) {
        let mut core = self.core();
        if let Some(error) = core.failed.clone() {
            drop(core);
            if let Some(flushed) = flushed {
                flushed(Err(error));
            }
            return;
        }
        if let Err(error) = core.take_in(&change) {
            core.failed = Some(error.clone());
            drop(core);
            if let Some(flushed) = flushed {
                flushed(Err(error));
            }
            return;
        }
        let now = core.durable.is_none() && !core.full;
        if now {
            drop(core);
            if let Some(flushed) = flushed {
                self.shared.syncs.fetch_add(1, Ordering::Relaxed);
                flushed(Ok(()));
            }
        } else {
            core.pending.push_back((change, flushed));
        }
    }

    fn folder(&self) -> Result<&Path, StorageError> {
        let folder = &self.shared.folder;
        std::fs::create_dir_all(folder)
            .map_err(|error| StorageError::from_io("cannot create the folder", folder, &error))?;
        Ok(folder)
    }

    fn new_file(&self, kind: &str) -> Result<PathBuf, StorageError> {
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        Ok(self.folder()?.join(format!("{kind}-{number}")))
    }

    fn set_once(&self, key: &str, value: &[u8], message: impl Fn() -> String) -> Result<(), StorageError> {
        match self.meta_get(key)? {
            Some(present) if present == value => Ok(()),
            Some(_) => Err(StorageError::Unusable(message())),
            None => self.meta_put(key, value),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Core {
    fn take_in(&mut self, change: &Change) -> Result<(), StorageError> {
        match change {
            Change::Append(records) => {
                let mut end = self.end();
                for record in records {
                    if end.is_some_and(|end| end != record.index) {
                        let end = end.unwrap_or_default();
                        return Err(StorageError::Fatal(format!(
                            "record {} was appended where {end} is due",
                            record.index
                        )));
                    }
                    end = Some(record.index + 1);
                }
                self.now.apply(change);
            }
            Change::Truncate(index) => self.now.apply(&Change::Truncate((*index).max(self.first()))),
            change => self.now.apply(change),
        }
        Ok(())
    }

    fn first(&self) -> u64 {
        self.now.purged().map_or(0, |(index, _)| index + 1)
    }

    fn end(&self) -> Option<u64> {
        self.now.log.range(self.first()..).next_back().map(|(index, _)| index + 1)
    }
}

impl Disk {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Append(records) => {
                self.log.extend(records.iter().map(|record| (record.index, record.bytes.clone())))
            }
            Change::Truncate(index) => drop(self.log.split_off(index)),
            Change::Purge(index, id) => {
                if self.purged().is_none_or(|(purged, _)| index > purged) {
                    self.purging.push_back((*index, id.clone()));
                }
            }
            Change::Vote(vote) => self.vote = Some(vote.clone()),
            Change::Committed(committed) => self.committed = committed.clone(),
            Change::Commit(writes, mark) => {
                writes.iter().for_each(|write| self.write(write));
                self.mark = mark.clone();
            }
            Change::Install(tables, mark) => {
                self.tables = (**tables).clone();
                self.mark = mark.clone();
            }
        }
        while let Some((index, id)) =
            self.purging.pop_front_if(|(index, _)| self.mark.index.is_some_and(|applied| applied >= *index))
        {
            self.log = self.log.split_off(&(index + 1));
            self.purged = Some((index, id));
        }
    }

    fn purged(&self) -> Option<&(u64, Arc<[u8]>)> {
        self.purging.back().or(self.purged.as_ref())
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Put { table, key, value } => {
                Arc::make_mut(&mut self.tables[position(*table)])
                    .insert(key.clone(), value.as_slice().into());
            }
            Write::Delete { table, key } => {
                Arc::make_mut(&mut self.tables[position(*table)]).remove(key);
            }
            Write::DeletePrefix { table, prefix } => {
                let rows = Arc::make_mut(&mut self.tables[position(*table)]);
                let mut from = rows.split_off(prefix);
                from.retain(|key, _| !key.starts_with(prefix));
                rows.append(&mut from);
            }
        }
    }
}

fn position(table: Table) -> usize {
    Table::ALL.iter().position(|each| *each == table).expect("ALL has every table")
}

impl LogStore for MemoryStore {
    fn append(&self, records: Vec<LogRecord>, flushed: Flushed) {
        self.change(Change::Append(records), Some(flushed));
    }

    fn truncate_from(&self, index: u64, flushed: Flushed) {
        self.change(Change::Truncate(index), Some(flushed));
    }

    fn purge(&self, index: u64, id: Arc<[u8]>, flushed: Flushed) {
        self.change(Change::Purge(index, id), Some(flushed));
    }

    fn save_vote(&self, vote: Arc<[u8]>, flushed: Flushed) {
        self.change(Change::Vote(vote), Some(flushed));
    }

    fn save_committed(&self, committed: Option<Arc<[u8]>>) {
        self.change(Change::Committed(committed), None);
    }

    fn vote(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        Ok(self.usable()?.now.vote.clone())
    }

    fn committed(&self) -> Result<Option<Arc<[u8]>>, StorageError> {
        Ok(self.usable()?.now.committed.clone())
    }

    fn bounds(&self) -> Result<LogBounds, StorageError> {
        let core = self.usable()?;
        let last = core.now.log.range(core.first()..).next_back();
        let last = last.map(|(index, bytes)| LogRecord { index: *index, bytes: bytes.clone() });
        Ok(LogBounds { last, purged: core.now.purged().map(|(_, id)| id.clone()) })
    }

    fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<LogRecord>, StorageError> {
        let core = self.usable()?;
        let from = range.start.max(core.first());
        let mut records = Vec::new();
        let mut bytes_read = 0usize;
        for (index, bytes) in core.now.log.range(from..range.end.max(from)) {
            bytes_read += bytes.len();
            if bytes_read > limit_bytes && !records.is_empty() {
                break;
            }
            records.push(LogRecord { index: *index, bytes: bytes.clone() });
        }
        Ok(records)
    }

    fn wait_written(&self, _index: u64) -> Result<(), StorageError> {
        self.usable().map(drop)
    }

    fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    fn health(&self) -> Health {
        let core = self.core();
        match &core.failed {
            Some(error) => Health::Failed(error.clone()),
            None if core.full => Health::Full,
            None => Health::Ready,
        }
    }
}

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
        drop(self.usable()?);
        self.change(Change::Commit(writes.to_vec(), mark.clone()), None);
        Ok(())
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

    fn install_snapshot(&self, file: &SnapshotFile) -> Result<(), StorageError> {
        self.install_snapshot_with(file, &|_| ())
    }
}

impl MetaStore for MemoryStore {
    fn incarnation(&self) -> u64 {
        self.shared.incarnation
    }

    fn cluster_id(&self) -> Result<Option<ClusterId>, StorageError> {
        Ok(self.meta_get("cluster")?.and_then(|bytes| bytes.try_into().ok()).map(ClusterId))
    }

    fn set_cluster_id(&self, cluster: ClusterId) -> Result<(), StorageError> {
        self.set_once("cluster", &cluster.0, || {
            format!("the store belongs to another cluster than {cluster}")
        })
    }

    fn member_id(&self) -> Result<Option<MemberId>, StorageError> {
        Ok(self
            .meta_get("member")?
            .and_then(|bytes| bytes.try_into().ok())
            .map(|bytes| MemberId(u64::from_be_bytes(bytes))))
    }

    fn set_member_id(&self, member: MemberId) -> Result<(), StorageError> {
        self.set_once("member", &member.0.to_be_bytes(), || {
            format!("the store belongs to another member than {member}")
        })
    }

    fn meta_get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.usable()?.now.meta.get(key).cloned())
    }

    fn meta_put(&self, key: &str, value: &[u8]) -> Result<(), StorageError> {
        let mut core = self.usable()?;
        let core = &mut *core;
        for disk in std::iter::once(&mut core.now).chain(core.durable.as_mut()) {
            disk.meta.insert(key.to_owned(), value.to_vec());
        }
        Ok(())
    }
}
