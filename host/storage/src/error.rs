//! What can go wrong with a disk, sorted by what happens next.
use std::path::PathBuf;

/// A storage failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// No space left: writes are refused until there is; reads go on.
    #[error("the disk of {} is full; free space there, then the member goes on by itself", path.display())]
    Full {
        /// The data directory.
        path: PathBuf,
    },
    /// Reading, writing or syncing failed, or data is corrupt: the process must end, because what is on the disk is unknown.
    #[error("{0}")]
    Fatal(String),
    /// The data directory cannot be used by this member or this version; nothing was changed.
    #[error("{0}")]
    Unusable(String),
}
