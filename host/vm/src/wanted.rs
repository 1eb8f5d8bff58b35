//! Whether somebody still waits for the result of work that runs on another thread.
//!
//! Queries and compilations take long and are asked for by clients, who give up, lose their
//! connection or meet a deadline. The work looks at [`Wanted`] from time to time and stops early;
//! who asked keeps the [`WantedBy`] and drops it.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The side of the work. Clones share it.
#[derive(Clone, Debug)]
pub struct Wanted(Arc<AtomicBool>);

/// The side of whoever asked: the result is wanted until this is dropped.
#[derive(Debug)]
#[must_use = "the work is abandoned when this is dropped"]
pub struct WantedBy(Arc<AtomicBool>);

impl Wanted {
    /// Wanted by whoever holds the second part.
    pub fn new() -> (Self, WantedBy) {
        let wanted = Arc::new(AtomicBool::new(true));
        (Self(wanted.clone()), WantedBy(wanted))
    }

    /// Wanted for ever.
    pub fn always() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether somebody still waits.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for WantedBy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
