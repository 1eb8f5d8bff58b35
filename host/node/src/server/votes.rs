//! Whether this member may vote. One that comes back with an empty folder has forgotten whom it voted for and what it
//! acknowledged: it votes again only after it has caught up with a leader that a majority confirmed.
use std::sync::atomic::{AtomicBool, Ordering};

use tonic::Status;

/// The gate in front of votes.
#[derive(Debug)]
pub(crate) struct VoteGate(AtomicBool);

impl VoteGate {
    /// Open for a member that remembers, shut for one with an empty folder.
    pub(crate) fn new(open: bool) -> Self {
        Self(AtomicBool::new(open))
    }

    /// Lets the member vote from now on.
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the member may vote.
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Refuses while the gate is shut.
    #[allow(clippy::result_large_err, reason = "tonic's own error type")]
    pub(crate) fn check(&self) -> Result<(), Status> {
        if self.is_open() {
            return Ok(());
        }
        Err(Status::unavailable("this member came with an empty folder and does not vote until it has caught up"))
    }
}
