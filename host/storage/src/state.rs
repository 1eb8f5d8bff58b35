//! The machine's rows, in generations: a snapshot is installed into a new generation beside the
//! present one, and one synced write switches. After a crash the rows are as of some earlier entry;
//! the log runs the rest again.
use std::sync::Arc;

use synod_machine::{StateView, Write};

use crate::{Checkpoint, Manifest, Receiving, StorageError};

/// How far the state is: written in the same batch as the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedMark {
    /// Index of the last applied entry; `None` before the first.
    pub index: Option<u64>,
    /// Its encoded id.
    pub id: Arc<[u8]>,
    /// The encoded membership as of that entry.
    pub membership: Arc<[u8]>,
}

/// Looks at the rows of a received snapshot, and says what is wrong with them.
pub type Verify<V> = dyn Fn(&V) -> Result<(), String>;

/// Bytes that are copied at once from a snapshot on this machine.
const COPY_BYTES: usize = 1_024 * 1_024;

/// The state. Clones share it; one thread writes.
pub trait StateStore: Clone + Send + Sync + 'static {
    /// Rows, as they were at one moment or as they are.
    type View: StateView + Send + Sync + 'static;
    /// A snapshot that was received and is a whole state, but not yet the present one. It is
    /// removed if it is dropped.
    type Incoming: Send + 'static;

    /// How far the state is.
    fn applied(&self) -> Result<AppliedMark, StorageError>;
    /// The present rows; unaffected by later writes. Cheap. It keeps its generation on disk while
    /// it lives.
    fn view(&self) -> Result<Self::View, StorageError>;
    /// The rows as they are at each read, without pinning a moment: for the one thread that writes.
    /// Take it again after a snapshot was installed.
    fn latest(&self) -> Result<Self::View, StorageError>;
    /// Writes rows and mark in one batch, not synced: the log has it. Waits until the log is on
    /// disk that far, and while the state cannot be flushed for want of space.
    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StorageError>;
    /// Brings the state to disk, if there is space, and returns how far it is there: after a crash
    /// it is that far or farther. Blocks.
    fn flush(&self) -> Result<AppliedMark, StorageError>;
    /// A snapshot of the present rows, on disk. Blocks, while others go on writing.
    /// [`StorageError::Full`] if there is no room to flush them.
    fn checkpoint(&self) -> Result<Checkpoint, StorageError>;
    /// Begins to receive a snapshot, instead of one that is being received. What has arrived before
    /// and belongs to it is not wanted again. [`StorageError::Full`] if there is no room for what
    /// is missing, [`StorageError::BadSnapshot`] if it is of another cluster, or this store
    /// cannot read its files.
    fn receive(&self, manifest: Manifest) -> Result<Receiving, StorageError>;
    /// Whether the disk is so full that of what the log takes only votes and purges still fit.
    fn is_short(&self) -> bool;
    /// Makes a received snapshot a state of its own, on disk and opened, which must be as far as
    /// its manifest says, and whose rows `verify` approves. Blocks, while others go on reading and
    /// writing. [`StorageError::BadSnapshot`] and [`StorageError::Full`] leave everything as it
    /// was; after the former all of it must be received again. Killed at any step, the member
    /// starts with what it had.
    fn prepare(
        &self,
        received: Receiving,
        verify: &Verify<Self::View>,
    ) -> Result<Self::Incoming, StorageError>;
    /// Makes a prepared snapshot the state: one synced batch of the log, which also removes the log
    /// up to its entry, or all of it if its record of that entry is another one. The old generation
    /// goes when its last reader does. Killed at any step, the member starts with either the old or
    /// the new whole.
    fn install(&self, incoming: Self::Incoming) -> Result<(), StorageError>;
}

/// Receives a snapshot of a store on this machine, with all of its files.
///
/// # Errors
/// Those of [`StateStore::receive`] and [`Receiving::write`], and that it cannot be read.
pub fn receive_here(state: &impl StateStore, checkpoint: &Checkpoint) -> Result<Receiving, StorageError> {
    let mut receiving = state.receive(checkpoint.manifest().clone())?;
    for wanted in receiving.wanted() {
        let mut offset = wanted.from_byte;
        loop {
            let bytes = checkpoint.read(wanted.file, offset, COPY_BYTES)?;
            receiving.write(wanted.file, offset, &bytes)?;
            offset += bytes.len() as u64;
            if offset >= checkpoint.manifest().files[wanted.file].length_bytes {
                break;
            }
        }
    }
    Ok(receiving)
}
