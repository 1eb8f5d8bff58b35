//! Writing while the disk may be full: what lacks space waits for it, and says so. New work is to
//! be refused before that, while a reserve is left for what was taken in, for votes and for purges.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use rocksdb::WriteBatch;

use super::Shared;
use crate::StorageError;
use crate::budget::{Budget, Reservation};

/// How often a full disk is tried again.
const FULL_RETRY: Duration = Duration::from_millis(200);
/// The share of the reserve that is kept for votes and purges.
const SHORT_OF_RESERVE: u64 = 2;
/// What RocksDB says about a file on which a write failed.
const PREVIOUS_ERROR: &str = "previous error";

impl Shared {
    /// Writes a batch to the log, unsynced, waiting for space while the disk is full. It may use
    /// the reserve: what is queued was taken in before, and a vote must not wait behind it.
    pub(crate) fn write(&self, build: &dyn Fn() -> WriteBatch) -> Result<(), StorageError> {
        self.patiently(&self.log_full, || {
            self.database.write(build()).map_err(|error| self.sort("cannot write to", &error))
        })
    }

    /// Writes to the state, waiting for space while it cannot be flushed for want of it.
    pub(crate) fn write_state(
        &self,
        write: impl Fn() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.patiently(&self.state_full, write)
    }

    fn patiently(
        &self,
        full: &AtomicBool,
        write: impl Fn() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        loop {
            self.usable()?;
            match write() {
                Ok(()) => {
                    if full.load(Ordering::Relaxed) {
                        self.has_space(full);
                    }
                    return Ok(());
                }
                Err(StorageError::Full { .. }) => self.wait_for_space(full)?,
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// Syncs the write-ahead log. A failed sync is fatal, whatever its cause: the system may have
    /// dropped what it could not write.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.database.flush_wal(true).map_err(|error| {
            let full = self.log_full.load(Ordering::Relaxed);
            let after_full = full && error.to_string().contains(PREVIOUS_ERROR);
            let advice =
                if after_full { "; the disk was full: free space and start the member again" } else { "" };
            self.fail(StorageError::Fatal(format!(
                "cannot sync the log in {}: {error}{advice}",
                self.directory.root.display()
            )))
        })
    }

    /// Whether the state lacks space.
    pub(crate) fn is_state_full(&self) -> bool {
        self.state_full.load(Ordering::Relaxed)
    }

    /// The state could not be flushed for want of space, or was.
    pub(crate) fn set_state_full(&self, is_full: bool) {
        if is_full {
            self.lacks_space(&self.state_full);
        } else if self.is_state_full() {
            self.has_space(&self.state_full);
        }
    }

    /// Takes so much of the disk for somebody who is about to write it.
    pub(crate) fn take_room(self: &Arc<Self>, bytes: u64) -> Result<Reservation, StorageError> {
        let budget: Arc<dyn Budget> = Arc::<Self>::clone(self);
        Reservation::new(&budget, bytes)
    }

    /// Looks how much is free, and notes whether new work is to be refused.
    pub(crate) fn look_at_space(&self) {
        let Some(free) = self.directory.free_bytes() else { return };
        let low = self.low.load(Ordering::Relaxed);
        let enough =
            if low { self.reserve_bytes.saturating_add(self.reserve_bytes / 4) } else { self.reserve_bytes };
        if free < enough && !low {
            tracing::error!(path = %self.directory.root.display(), free, reserve = self.reserve_bytes,
                "the disk is nearly full: new work is refused");
        } else if free >= enough && low {
            tracing::info!(path = %self.directory.root.display(), free, "the disk has space again");
        }
        self.low.store(free < enough, Ordering::Relaxed);
        self.short.store(free < self.reserve_bytes / SHORT_OF_RESERVE, Ordering::Relaxed);
    }

    /// Whether only votes and purges still fit into the reserve.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed) || self.log_full.load(Ordering::Relaxed)
    }

    fn promised(&self) -> MutexGuard<'_, u64> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lacks_space(&self, full: &AtomicBool) {
        if !full.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %self.directory.root.display(), "the disk is full; writes wait for space");
        }
    }

    fn has_space(&self, full: &AtomicBool) {
        full.store(false, Ordering::Relaxed);
        tracing::info!(path = %self.directory.root.display(), "the disk has space again");
    }

    fn wait_for_space(&self, full: &AtomicBool) -> Result<(), StorageError> {
        self.lacks_space(full);
        let state = self.state();
        let closing = state.closing
            || self.space.wait_timeout(state, FULL_RETRY).unwrap_or_else(PoisonError::into_inner).0.closing;
        if closing { Err(StorageError::Full { path: self.directory.root.clone() }) } else { self.usable() }
    }
}

impl Budget for Shared {
    fn reserve(&self, bytes: u64) -> Result<(), StorageError> {
        let mut promised = self.promised();
        let taken = self.reserve_bytes.saturating_add(*promised);
        match self.directory.free_bytes() {
            Some(free) if free.saturating_sub(taken) < bytes => {
                Err(StorageError::Full { path: self.directory.root.clone() })
            }
            _ => {
                *promised += bytes;
                Ok(())
            }
        }
    }

    fn release(&self, bytes: u64) {
        let mut promised = self.promised();
        *promised = promised.checked_sub(bytes).expect("only what was promised is given back");
    }
}
