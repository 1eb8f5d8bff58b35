//! The Raft log over a [`LogStore`].
//!
//! Everything but the vote is only enqueued: openraft's core awaits these calls, and a disk must
//! not hold up heartbeats. The store works first in, first out, so what is enqueued later is never
//! on disk earlier. The vote is awaited, because a vote that is forgotten after a crash could be
//! given twice.
//!
//! What is in memory is read at once. What may read the disk, and a change that would wait for room
//! in the queue, goes where [`Blocking`] says: never onto a worker of the runtime.
use std::io;
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, OnceLock};

use futures::{Stream, StreamExt, stream};
use openraft::LogState;
use openraft::async_runtime::OneshotSender;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use synod_planted::{Bug, is_planted};
use synod_storage::{Flushed, LogStore, StorageError};

use crate::codec;
use crate::error::storage_io;
use crate::retention::Meter;
use crate::runtime::AsyncRuntime;
use crate::settings::Blocking;
use crate::types::{Entry, LogId, Types, Vote};

/// Bytes of entries in one message to a peer.
const REPLICATION_BATCH_BYTES: usize = 1_024 * 1_024;
/// Bytes of entries read at once when applying or scanning.
const SCAN_BATCH_BYTES: usize = 4 * 1_024 * 1_024;

/// A [`LogStore`] as openraft wants it. Clones share the store, and what broke it.
pub(crate) struct Log<RT: AsyncRuntime, L> {
    store: L,
    broken: Arc<OnceLock<StorageError>>,
    meter: Arc<Meter>,
    blocking: Blocking,
    runtime: PhantomData<fn() -> RT>,
}

impl<RT: AsyncRuntime, L: Clone> Clone for Log<RT, L> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            broken: self.broken.clone(),
            meter: self.meter.clone(),
            blocking: self.blocking,
            runtime: PhantomData,
        }
    }
}

impl<RT: AsyncRuntime, L: LogStore> Log<RT, L> {
    pub(crate) fn new(store: L, meter: Arc<Meter>, blocking: Blocking) -> Self {
        Self { store, broken: Arc::default(), meter, blocking, runtime: PhantomData }
    }

    fn check(&self) -> io::Result<()> {
        self.broken.get().map_or(Ok(()), |error| Err(storage_io(error.clone())))
    }

    /// A callback for work that nobody waits for: what goes wrong with it fails the next call.
    fn unattended(&self) -> Flushed {
        let broken = self.broken.clone();
        Box::new(move |result| {
            if let Err(error) = result {
                tracing::error!(%error, "the log could not be changed");
                let _ = broken.set(error);
            }
        })
    }

    /// Runs what may read the disk, or wait for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&L) -> Result<T, StorageError> + Send + 'static,
    ) -> io::Result<T> {
        let store = self.store.clone();
        self.blocking.run::<RT, _>(move || work(&store)).await?.map_err(storage_io)
    }

    /// Makes a change, at once unless it would wait for room.
    async fn change(&self, change: impl FnOnce(&L) + Send + 'static) -> io::Result<()> {
        if self.store.is_queue_full() {
            let store = self.store.clone();
            return self.blocking.run::<RT, _>(move || change(&store)).await;
        }
        change(&self.store);
        Ok(())
    }

    async fn read(&self, range: Range<u64>, limit_bytes: usize) -> io::Result<Vec<Entry>> {
        let records = match self.store.read_memory(range.clone(), limit_bytes).map_err(storage_io)? {
            Some(records) => records,
            None => self.blocking(move |store| store.read(range, limit_bytes)).await?,
        };
        records
            .into_iter()
            .map(|record| codec::entry_from_record(record).map_err(|error| error.into_io()))
            .collect()
    }

    async fn to_range(&self, bounds: impl RangeBounds<u64> + Send) -> io::Result<Range<u64>> {
        let start = match bounds.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match bounds.end_bound() {
            Bound::Included(index) => Some(index.saturating_add(1)),
            Bound::Excluded(index) => Some(*index),
            Bound::Unbounded => None,
        };
        drop(bounds);
        let end = match end {
            Some(end) => end,
            None => self.blocking(L::bounds).await?.last.map_or(0, |record| record.index + 1),
        };
        Ok(start..end)
    }
}

/// Tells openraft that a flush failed, if the store forgets to say anything.
struct Callback<RT: AsyncRuntime>(Option<IOFlushed<Types<RT>>>);

impl<RT: AsyncRuntime> Callback<RT> {
    fn complete(mut self, result: Result<(), StorageError>) {
        if let Some(callback) = self.0.take() {
            callback.io_completed(result.map_err(storage_io));
        }
    }
}

impl<RT: AsyncRuntime> Drop for Callback<RT> {
    fn drop(&mut self) {
        if let Some(callback) = self.0.take() {
            callback.io_completed(Err(io::Error::other(
                "the log's writer ended before the entries were on disk",
            )));
        }
    }
}

impl<RT: AsyncRuntime, L: LogStore> RaftLogReader<Types<RT>> for Log<RT, L> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + std::fmt::Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let mut range = self.to_range(range).await?;
        let mut entries = Vec::new();
        while range.start < range.end {
            let batch = self.read(range.clone(), SCAN_BATCH_BYTES).await?;
            let Some(last) = batch.last() else { break };
            range.start = last.log_id.index + 1;
            entries.extend(batch);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        if start >= end {
            return Ok(Vec::new());
        }
        let entries = self.read(start..end, REPLICATION_BATCH_BYTES).await?;
        // If the first was purged meanwhile, a follower would take the rest for what it needs next.
        let is_next = entries.first().is_some_and(|entry| entry.log_id.index == start);
        Ok(if is_next { entries } else { Vec::new() })
    }

    async fn entries_stream<RB: RangeBounds<u64> + Clone + std::fmt::Debug + Send>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + Send {
        let log = self.clone();
        let range = self.to_range(range).await;
        let batches = stream::try_unfold((log, range), |(log, range)| async move {
            let mut range = range?;
            if range.start >= range.end {
                return Ok(None);
            }
            let batch = log.read(range.clone(), SCAN_BATCH_BYTES).await?;
            let Some(last) = batch.last() else { return Ok(None) };
            range.start = last.log_id.index + 1;
            Ok::<_, io::Error>(Some((batch, (log, Ok(range)))))
        });
        batches.flat_map(|batch| match batch {
            Ok(entries) => stream::iter(entries.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        })
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let bytes = self.store.vote().map_err(storage_io)?;
        bytes.map(|bytes| codec::decode_vote(&bytes).map_err(|error| error.into_io())).transpose()
    }
}

impl<RT: AsyncRuntime, L: LogStore> RaftLogStorage<Types<RT>> for Log<RT, L> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types<RT>>> {
        let bounds = self.blocking(L::bounds).await?;
        let purged = bounds
            .purged
            .map(|bytes| codec::decode_id(&bytes))
            .transpose()
            .map_err(|error| error.into_io())?;
        let last = bounds
            .last
            .map(|record| codec::id_of_record(&record))
            .transpose()
            .map_err(|error| error.into_io())?;
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.check()?;
        if is_planted(Bug::VoteForgotten) {
            return Ok(());
        }
        let (sender, receiver) = Types::<RT>::oneshot();
        let flushed: Flushed = Box::new(move |result| {
            let _ = sender.send(result);
        });
        let vote = codec::encode_vote(*vote);
        self.change(move |store| store.save_vote(vote, flushed)).await?;
        match receiver.await {
            Ok(result) => result.map_err(storage_io),
            Err(_) => Err(io::Error::other("the log's writer ended before the vote was on disk")),
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let committed = committed.map(codec::encode_id);
        self.change(move |store| store.save_committed(committed)).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let bytes = self.store.committed().map_err(storage_io)?;
        bytes.map(|bytes| codec::decode_id(&bytes).map_err(|error| error.into_io())).transpose()
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<RT>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let callback = Callback::<RT>(Some(callback));
        self.check()?;
        let records: Vec<_> = entries.into_iter().map(|entry| codec::entry_to_record(&entry)).collect();
        self.meter.count(&records);
        let flushed: Flushed = if is_planted(Bug::WrittenTooEarly) {
            callback.complete(Ok(()));
            Box::new(drop)
        } else {
            Box::new(move |result| callback.complete(result))
        };
        self.change(move |store| store.append(records, flushed)).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        self.check()?;
        if is_planted(Bug::TruncationLost) {
            return Ok(());
        }
        let more = u64::from(is_planted(Bug::TruncatesTooMuch));
        let (from, flushed) = (last_log_id.map_or(0, |id| id.index + 1 - more), self.unattended());
        self.change(move |store| store.truncate_from(from, flushed)).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.check()?;
        let (id, flushed) = (codec::encode_id(log_id), self.unattended());
        self.change(move |store| store.purge(log_id.index, id, flushed)).await
    }
}
