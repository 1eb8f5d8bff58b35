//! What is handed to whoever applies committed entries.
//!
//! This crate decides *what* is committed and in which order; it never writes the state itself,
//! because rows and the applied mark go to disk in one batch, which only the applier can make.
use std::future::Future;

use bytes::Bytes;
use synod_storage::{AppliedMark, Fatal, StateView};

/// An entry that a majority has on disk. It will be at this position on every member, for good.
#[derive(Clone, Debug)]
pub struct CommittedEntry {
    /// Its position; the next entry has the next one.
    pub index: u64,
    /// The term of the leader that appended it.
    pub term: u64,
    /// To be committed in the same batch as the entry's writes; if several entries share a batch:
    /// the last one's.
    pub mark: AppliedMark,
    /// What it carries.
    pub payload: CommittedPayload,
}

/// What a committed entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommittedPayload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// What was proposed.
    Command(Bytes),
    /// Another membership; its mark carries it.
    Membership,
}

/// Applies committed entries. One per member, called by one task, one call at a time.
pub trait Applier: Send + Sync + 'static {
    /// Applies `entries`, in order, and returns when their marks are in the state store (not
    /// synced).
    ///
    /// It must not block the runtime's threads: the work belongs on a thread of its own. An entry
    /// may be committed by the others and get here before this member has it on disk; the state
    /// store's commit waits for that.
    fn apply(&self, entries: Vec<CommittedEntry>) -> impl Future<Output = Result<(), Fatal>> + Send;

    /// Looks at the rows of a state that another member sent, before it becomes this one's: whether
    /// they are what they say that they are. Called where work may block.
    ///
    /// # Errors
    /// What is wrong with them.
    fn verify(&self, rows: &impl StateView) -> Result<(), String>;

    /// The state was replaced by a snapshot: whatever was cached of it is to be read again.
    fn restored(&self) -> impl Future<Output = Result<(), Fatal>> + Send;
}
