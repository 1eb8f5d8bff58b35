//! What this member may take part in.
//!
//! A member that starts with an empty folder has lost its votes and the entries that it
//! acknowledged. It takes entries only after the leader has agreed to replicate to it from the
//! start, and votes only after it has caught up with a leader that a majority confirmed.
use std::sync::atomic::{AtomicU8, Ordering};

use tonic::Status;

const NOTHING: u8 = 0;
const ENTRIES: u8 = 1;
const EVERYTHING: u8 = 2;

/// How far this member takes part. It only ever grows.
#[derive(Debug)]
pub(crate) struct Participation(AtomicU8);

impl Participation {
    /// Of a member that has its data: everything. Of one with an empty folder: nothing yet.
    pub(crate) fn new(empty_folder: bool) -> Self {
        Self(AtomicU8::new(if empty_folder { NOTHING } else { EVERYTHING }))
    }

    /// Lets the member take entries and snapshots.
    pub(crate) fn allow_entries(&self) {
        self.0.fetch_max(ENTRIES, Ordering::AcqRel);
    }

    /// Lets the member vote, too.
    pub(crate) fn allow_everything(&self) {
        self.0.fetch_max(EVERYTHING, Ordering::AcqRel);
    }

    /// Whether the member takes part in everything.
    pub(crate) fn is_full(&self) -> bool {
        self.0.load(Ordering::Acquire) == EVERYTHING
    }

    /// Refuses entries and snapshots until they are allowed.
    #[allow(clippy::result_large_err, reason = "tonic's own error type")]
    pub(crate) fn check_entries(&self) -> Result<(), Status> {
        if self.0.load(Ordering::Acquire) >= ENTRIES {
            return Ok(());
        }
        Err(Status::unavailable("this member came with an empty folder and has not found its cluster yet"))
    }

    /// Refuses votes until they are allowed.
    #[allow(clippy::result_large_err, reason = "tonic's own error type")]
    pub(crate) fn check_vote(&self) -> Result<(), Status> {
        if self.is_full() {
            return Ok(());
        }
        Err(Status::unavailable(
            "this member came with an empty folder and does not vote until it has caught up",
        ))
    }
}

#[cfg(test)]
mod tests;
