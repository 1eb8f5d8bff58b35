//! What the store's handles and its threads share: the log's database, the queue of its changes,
//! what the state owes the log, and the store's health.
//!
//! One mutex covers the book and the queue, so that both have the same order. The disk is never
//! touched under it.
mod space;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use super::book::Book;
use super::directory::Directory;
use super::handles::{Database, Family};
use super::options::RocksOptions;
use super::worn::Stretch;
use crate::{Flushed, Health, LogRecord, Step, StepHook, StorageError};

/// Changes of the log that may wait for the writer.
const QUEUE_CHANGES: usize = 4_096;
/// Bytes of records that may wait for the writer; one change of any size is always taken.
const QUEUE_BYTES: usize = 64 * 1_024 * 1_024;
/// Bytes of records that the writer puts into one batch, if more than one change waits.
const BATCH_BYTES: usize = 16 * 1_024 * 1_024;

/// A change of the log, as the writer brings it to disk.
pub(crate) enum Change {
    Append(Vec<LogRecord>),
    Truncate {
        from: u64,
        end: u64,
    },
    /// Purges when the state is on disk as far, or, beyond the end of the log, with this batch.
    Purge {
        beyond_end: Option<(u64, Arc<[u8]>)>,
    },
    /// Another generation is the state: of the entry `index`, from behind which the log goes on.
    /// Its records below `end` go.
    Install {
        generation: u64,
        index: u64,
        id: Arc<[u8]>,
        end: u64,
    },
    Vote(Arc<[u8]>),
    Committed(Option<Arc<[u8]>>),
}

/// A change that waits for the writer.
pub(crate) struct Queued {
    pub(crate) sequence: u64,
    pub(crate) change: Change,
    pub(crate) flushed: Option<Flushed>,
    bytes: usize,
}

/// The log in memory and the queue to the disk.
pub(crate) struct LogState {
    pub(crate) book: Book,
    pub(crate) vote: Option<Arc<[u8]>>,
    pub(crate) committed: Option<Arc<[u8]>>,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    next_sequence: u64,
    durable: u64,
    purge_due: bool,
    flush_due: bool,
    /// Highest index that is purged on disk, + 1.
    pub(crate) purged: u64,
    closing: bool,
}

/// See the file's header.
pub(crate) struct Shared {
    pub(crate) database: Arc<Database>,
    pub(crate) log: Family,
    pub(crate) meta: Family,
    pub(crate) directory: Directory,
    pub(crate) syncs: AtomicU64,
    /// Applied index + 1 of the state that is on disk; 0 for none.
    pub(crate) flushed: AtomicU64,
    /// Index + 1 up to which the state should be on disk, because a purge waits for it.
    flush_wanted: AtomicU64,
    pub(crate) writer: OnceLock<ThreadId>,
    reserve_bytes: u64,
    on_step: Option<StepHook>,
    /// Bytes beyond the reserve that were promised to somebody and are not written yet.
    promised: Mutex<u64>,
    state: Mutex<LogState>,
    work: Condvar,
    room: Condvar,
    durable: Condvar,
    space: Condvar,
    keeper: Condvar,
    compactor: Condvar,
    /// Stretches of deleted rows that were compacted.
    pub(crate) compactions: AtomicU64,
    log_full: AtomicBool,
    state_full: AtomicBool,
    /// Less than the reserve is free.
    low: AtomicBool,
    /// Only votes and purges still fit.
    short: AtomicBool,
    failed: OnceLock<StorageError>,
}

/// What the keeper does next.
pub(crate) enum Keep {
    /// Flush the state: a purge waits for it.
    Flush,
    /// Look how the state is.
    Look,
    /// End.
    End,
}

/// What the writer does next.
pub(crate) enum Work {
    /// Write these, then purge what may be purged.
    Changes(Vec<Queued>),
    /// Purge what may be purged, and end.
    Close,
}

impl LogState {
    pub(crate) fn new(book: Book, vote: Option<Arc<[u8]>>, committed: Option<Arc<[u8]>>) -> Self {
        let purged = book.purged().map_or(0, |(index, _)| index + 1);
        Self {
            book,
            vote,
            committed,
            queue: VecDeque::new(),
            queue_bytes: 0,
            next_sequence: 1,
            durable: 0,
            purge_due: false,
            flush_due: false,
            purged,
            closing: false,
        }
    }
}

impl Shared {
    pub(crate) fn new(
        database: Arc<Database>,
        directory: Directory,
        state: LogState,
        flushed: u64,
        options: &RocksOptions,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            log: Family::open(&database, super::LOG)?,
            meta: Family::open(&database, super::META)?,
            database,
            directory,
            syncs: AtomicU64::new(0),
            flushed: AtomicU64::new(flushed),
            flush_wanted: AtomicU64::new(0),
            writer: OnceLock::new(),
            reserve_bytes: options.reserve_bytes,
            on_step: options.on_step.clone(),
            promised: Mutex::new(0),
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
            durable: Condvar::new(),
            space: Condvar::new(),
            keeper: Condvar::new(),
            compactor: Condvar::new(),
            compactions: AtomicU64::new(0),
            log_full: AtomicBool::new(false),
            state_full: AtomicBool::new(false),
            low: AtomicBool::new(false),
            short: AtomicBool::new(false),
            failed: OnceLock::new(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses if the store has failed.
    pub(crate) fn usable(&self) -> Result<(), StorageError> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    pub(crate) fn health(&self) -> Health {
        match self.failed.get() {
            Some(error) => Health::Failed(error.clone()),
            None if self.is_full() => Health::Full,
            None => Health::Ready,
        }
    }

    fn is_full(&self) -> bool {
        [&self.low, &self.log_full, &self.state_full].iter().any(|full| full.load(Ordering::Relaxed))
    }

    /// Refuses everything from now on if `error` is fatal, and wakes whoever waits; gives the error
    /// back.
    pub(crate) fn fail(&self, error: StorageError) -> StorageError {
        if matches!(error, StorageError::Fatal(_)) && self.failed.set(error.clone()).is_ok() {
            tracing::error!(%error, "the store has failed and refuses everything");
        }
        self.wake_all();
        error
    }

    fn wake_all(&self) {
        let _state = self.state();
        for waiting in [&self.work, &self.room, &self.durable, &self.space, &self.keeper, &self.compactor] {
            waiting.notify_all();
        }
    }

    /// Whether somebody wants to know of steps.
    pub(crate) fn tells_steps(&self) -> bool {
        self.on_step.is_some()
    }

    /// The store has reached `step`.
    pub(crate) fn reach(&self, step: Step) {
        step.tell(self.on_step.as_ref());
    }

    /// Sorts an error of RocksDB.
    pub(crate) fn sort(&self, action: &str, error: &rocksdb::Error) -> StorageError {
        super::sort(&self.directory.root, action, error)
    }

    /// Makes a change visible with `edit`, which names it, and queues it; waits for room.
    pub(crate) fn enqueue(
        &self,
        flushed: Option<Flushed>,
        edit: impl FnOnce(&mut LogState, u64) -> Result<Change, StorageError>,
    ) {
        if let Err((error, Some(flushed))) = self.try_enqueue(flushed, edit) {
            flushed(Err(error));
        }
    }

    fn try_enqueue(
        &self,
        flushed: Option<Flushed>,
        edit: impl FnOnce(&mut LogState, u64) -> Result<Change, StorageError>,
    ) -> Result<(), (StorageError, Option<Flushed>)> {
        let mut state = match self.room() {
            Ok(state) => state,
            Err(error) => return Err((error, flushed)),
        };
        let sequence = state.next_sequence;
        match edit(&mut state, sequence) {
            Ok(change) => {
                self.push(&mut state, change, flushed);
                Ok(())
            }
            Err(error) => {
                drop(state);
                Err((self.fail(error), flushed))
            }
        }
    }

    /// Waits until a change may be queued.
    pub(crate) fn room(&self) -> Result<MutexGuard<'_, LogState>, StorageError> {
        let mut state = self.state();
        let own_callback = self.writer.get() == Some(&std::thread::current().id());
        while !own_callback && state.is_full() && self.failed.get().is_none() && !state.closing {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.usable()?;
        if state.closing { Err(closed()) } else { Ok(state) }
    }

    /// Queues a change that the book has taken in.
    pub(crate) fn push(&self, state: &mut LogState, change: Change, flushed: Option<Flushed>) {
        state.push(change, flushed);
        self.work.notify_one();
    }

    /// Waits for changes, and takes as many as fit into one batch.
    pub(crate) fn take_work(&self) -> Result<Work, StorageError> {
        let mut state = self.state();
        loop {
            self.usable()?;
            if !state.queue.is_empty() || state.purge_due {
                break;
            }
            if state.closing {
                return Ok(Work::Close);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.purge_due = false;
        let mut taken = Vec::new();
        let mut bytes = 0usize;
        while let Some(queued) =
            state.queue.pop_front_if(|queued| taken.is_empty() || bytes + queued.bytes <= BATCH_BYTES)
        {
            bytes += queued.bytes;
            state.queue_bytes -= queued.bytes;
            taken.push(queued);
        }
        self.room.notify_all();
        Ok(Work::Changes(taken))
    }

    /// Callbacks of everything that still waits, when nothing will be written any more.
    pub(crate) fn abandon(&self) -> Vec<Flushed> {
        let mut state = self.state();
        state.queue_bytes = 0;
        std::mem::take(&mut state.queue).into_iter().filter_map(|queued| queued.flushed).collect()
    }

    /// Tells readers that everything up to change `sequence` is written.
    pub(crate) fn publish_written(&self, sequence: u64) {
        self.state().book.evict(sequence);
    }

    /// Tells the state that everything up to change `sequence` is on disk.
    pub(crate) fn publish_durable(&self, sequence: u64) {
        self.state().durable = sequence;
        self.durable.notify_all();
    }

    /// Blocks until record `index` is on disk, or is not in the log.
    pub(crate) fn wait_durable(&self, index: u64) -> Result<(), StorageError> {
        let mut state = self.state();
        let sequence = state.book.sequence_of(index);
        while state.durable < sequence {
            self.usable()?;
            state = self.durable.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.usable()
    }

    /// A purge up to `index` waits for the state: asks for it.
    pub(crate) fn want_flushed(&self, state: &mut LogState, index: u64) {
        if self.flushed.load(Ordering::Acquire) <= index {
            self.flush_wanted.store(index + 1, Ordering::Release);
            state.flush_due = true;
            self.keeper.notify_one();
        }
    }

    /// The state is written up to `applied` (index + 1), in memory; a purge may have waited for it.
    pub(crate) fn state_written(&self, applied: u64) {
        let wanted = self.flush_wanted.load(Ordering::Acquire);
        if wanted <= applied && wanted > self.flushed.load(Ordering::Acquire) {
            self.state().flush_due = true;
            self.keeper.notify_one();
        }
    }

    /// The state up to `flushed` (index + 1) is on disk; a purge may have waited for it.
    pub(crate) fn set_flushed(&self, flushed: u64) {
        if self.flushed.fetch_max(flushed, Ordering::AcqRel) >= flushed {
            return;
        }
        let mut state = self.state();
        if state.book.next_purge().is_some_and(|index| index < flushed) {
            state.purge_due = true;
            self.work.notify_one();
        }
    }

    /// Another generation is the state, which is on disk up to `flushed` (index + 1).
    pub(crate) fn installed(&self, flushed: u64) {
        self.flushed.store(flushed, Ordering::Release);
    }

    /// Waits for the next thing that the keeper does, at most for `look_every`.
    pub(crate) fn wait_to_keep(&self, look_every: Duration) -> Keep {
        let mut state = self.state();
        if !state.flush_due && !state.closing {
            state = self.keeper.wait_timeout(state, look_every).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.closing || self.failed.get().is_some() {
            return Keep::End;
        }
        if std::mem::take(&mut state.flush_due) { Keep::Flush } else { Keep::Look }
    }

    /// Waits so long; false once the store is closed or has failed.
    pub(crate) fn rest(&self, rest: Duration) -> bool {
        let state = self.state();
        let works = |state: &mut LogState| !state.closing && self.failed.get().is_none();
        let (mut state, _) =
            self.compactor.wait_timeout_while(state, rest, works).unwrap_or_else(PoisonError::into_inner);
        works(&mut state)
    }

    /// A stretch was compacted.
    pub(crate) fn compacted(&self, stretch: &Stretch, took: Duration) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            table = stretch.table.name(),
            deleted_rows = stretch.deleted,
            ?took,
            "ranges stepped over many deleted rows; what they lay in is compacted"
        );
    }

    /// Refuses everything, orderly.
    pub(crate) fn end(&self) {
        let _ = self.failed.set(closed());
        self.wake_all();
    }

    /// Begins the end: the writer finishes what is queued; further changes are refused.
    pub(crate) fn begin_close(&self) {
        self.state().closing = true;
        self.wake_all();
    }
}

impl LogState {
    /// Whether it is full, or would be with one change without records.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.is_full() || self.queue.len() + 1 >= QUEUE_CHANGES
    }

    fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE_CHANGES || (self.queue_bytes >= QUEUE_BYTES && !self.queue.is_empty())
    }

    fn push(&mut self, change: Change, flushed: Option<Flushed>) {
        let bytes = match &change {
            Change::Append(records) => records.iter().map(|record| record.bytes.len()).sum(),
            _ => 0,
        };
        self.queue_bytes += bytes;
        self.queue.push_back(Queued { sequence: self.next_sequence, change, flushed, bytes });
        self.next_sequence += 1;
    }
}

pub(crate) fn closed() -> StorageError {
    StorageError::Fatal("the store is closed".into())
}
