//! The machine's rows, in generations: a snapshot is installed into a new generation beside the present one, and one
//! synced write switches.
use std::path::PathBuf;
use std::sync::Arc;

use synod_machine::{StateView, Write};

use crate::StorageError;

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

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// How far.
    pub mark: AppliedMark,
    /// Digest of its rows, order-independent, computed by the store over every row of every table; verified on install.
    pub digest: [u8; 32],
    /// Number of its rows.
    pub rows: u64,
}

/// A finished snapshot on disk; the file goes when the last handle goes.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    /// What it is of.
    pub meta: SnapshotMeta,
    /// Where.
    pub path: PathBuf,
    /// Its length.
    pub length_bytes: u64,
}

/// The state. Clones share it; one thread writes.
pub trait StateStore: Clone + Send + Sync + 'static {
    /// Rows as they were at one moment.
    type View: StateView + Send + Sync + 'static;

    /// How far the state is.
    fn applied(&self) -> Result<AppliedMark, StorageError>;
    /// The present rows; unaffected by later writes. Cheap.
    fn view(&self) -> Result<Self::View, StorageError>;
    /// Writes rows and mark in one batch, not synced: the log has it.
    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StorageError>;
    /// Writes a snapshot file of the present rows; blocks, while others go on writing.
    fn build_snapshot(&self) -> Result<SnapshotFile, StorageError>;
    /// An empty file to receive a snapshot into.
    fn receive_path(&self) -> Result<PathBuf, StorageError>;
    /// Installs a received file: verifies it, loads it into a new generation, switches, and drops the old one when its last
    /// reader is gone. Blocks. Killed at any step, the member starts with either the old or the new whole.
    fn install_snapshot(&self, file: &SnapshotFile) -> Result<(), StorageError>;
}
