//! The one budget of disk space that everyone asks who writes much beside the log: whoever receives
//! a snapshot, makes one, or compacts. What one of them was given, no other is.
use std::sync::Arc;

use crate::StorageError;

/// What is free on a disk beyond the reserve.
pub(crate) trait Budget: Send + Sync {
    /// Takes `bytes` of it.
    ///
    /// # Errors
    /// [`StorageError::Full`] if there are not as many.
    fn reserve(&self, bytes: u64) -> Result<(), StorageError>;
    /// Gives back what was taken: it was written, or is not needed.
    fn release(&self, bytes: u64);
}

/// Bytes of the budget, given back on drop.
pub(crate) struct Reservation {
    budget: Arc<dyn Budget>,
    bytes: u64,
}

impl Reservation {
    /// Takes `bytes`.
    ///
    /// # Errors
    /// [`StorageError::Full`] if there are not as many.
    pub(crate) fn new(budget: &Arc<dyn Budget>, bytes: u64) -> Result<Self, StorageError> {
        budget.reserve(bytes)?;
        Ok(Self { budget: Arc::clone(budget), bytes })
    }

    /// So many of them were written, and are missing on the disk from now on.
    pub(crate) fn written(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.release(bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}
