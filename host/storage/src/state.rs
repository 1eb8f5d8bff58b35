//! The machine's rows, in generations: a snapshot is installed into a new generation beside the
//! present one, and one synced write switches. After a crash the rows are as of some earlier entry;
//! the log runs the rest again.
use std::path::{Path, PathBuf};
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
    /// Digest of its rows, order-independent, computed by the store over every row of every table;
    /// verified on install.
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
    owner: Arc<FileOwner>,
}

impl SnapshotFile {
    /// Takes over the file at `path`: it is removed with the last clone. A received file is better
    /// opened with [`StateStore::open_snapshot`], which reads `meta` from it.
    pub fn new(meta: SnapshotMeta, path: PathBuf, length_bytes: u64) -> Self {
        let owner = Arc::new(FileOwner(path.clone()));
        Self { meta, path, length_bytes, owner }
    }

    /// How many handles keep the file.
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.owner)
    }
}

/// Removes its file on drop. What a crash leaves behind is removed when the store is opened.
#[derive(Debug)]
struct FileOwner(PathBuf);

impl Drop for FileOwner {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a snapshot file");
        }
    }
}

/// Steps of installing a snapshot, for tests that kill a member after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstallStep {
    /// The file was read through; its checksums, order, count and digest are right.
    Verified,
    /// The new generation exists, empty.
    GenerationCreated,
    /// The rows are written to it.
    Loaded,
    /// The rows are on disk.
    Flushed,
    /// The new generation is the present one, and the log begins behind it, on disk.
    Switched,
    /// The old generation is given up; its folder goes with its last reader.
    OldDropped,
}

impl InstallStep {
    /// Every step, in order.
    pub const ALL: [Self; 6] = [
        Self::Verified,
        Self::GenerationCreated,
        Self::Loaded,
        Self::Flushed,
        Self::Switched,
        Self::OldDropped,
    ];

    /// Its name, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::GenerationCreated => "generation_created",
            Self::Loaded => "loaded",
            Self::Flushed => "flushed",
            Self::Switched => "switched",
            Self::OldDropped => "old_dropped",
        }
    }
}

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
    /// Writes a snapshot file of the present rows; blocks, while others go on writing.
    fn build_snapshot(&self) -> Result<SnapshotFile, StorageError>;
    /// An empty file to receive a snapshot into.
    fn receive_path(&self) -> Result<PathBuf, StorageError>;
    /// Takes over a received file and reads what it claims to be of; only preparing verifies the
    /// rows.
    fn open_snapshot(&self, path: &Path) -> Result<SnapshotFile, StorageError>;
    /// Whether the disk is so full that of what the log takes only votes and purges still fit.
    fn is_short(&self) -> bool;
    /// Whether there is room to receive a snapshot of this length and to make it a state.
    /// [`StorageError::Full`] if there is not.
    fn room_for(&self, length_bytes: u64) -> Result<(), StorageError>;
    /// Verifies a received file and loads it into a new generation, on disk. Blocks, while others
    /// go on reading and writing. [`StorageError::BadSnapshot`] and [`StorageError::Full`] leave
    /// everything as it was. Killed at any step, the member starts with what it had.
    fn prepare(&self, file: &SnapshotFile) -> Result<Self::Incoming, StorageError>;
    /// Makes a prepared snapshot the state: one synced batch of the log, which also removes the log
    /// up to its entry, or all of it if its record of that entry is another one. The old generation
    /// goes when its last reader does. Killed at any step, the member starts with either the old or
    /// the new whole.
    fn install(&self, incoming: Self::Incoming) -> Result<(), StorageError>;
    /// [`prepare`](Self::prepare), then [`install`](Self::install).
    fn install_snapshot(&self, file: &SnapshotFile) -> Result<(), StorageError> {
        self.install(self.prepare(file)?)
    }
}
