//! What can go wrong with a disk, sorted by what happens next.
//!
//! It does not decide what happens: the consensus and the node do, by the variant.
use std::io;
use std::path::{Path, PathBuf};

/// A storage failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// No space left: writes are refused until there is; reads go on.
    #[error("the disk of {} is full; free space there, then the member goes on by itself", path.display())]
    Full {
        /// The data directory.
        path: PathBuf,
    },
    /// Reading, writing or syncing failed, or data is corrupt: the process must end, because what
    /// is on the disk is unknown.
    #[error("{0}")]
    Fatal(String),
    /// The data directory cannot be used by this member or this version; nothing was changed.
    #[error("{0}")]
    Unusable(String),
    /// A received snapshot is damaged, cut short or not what it claims to be: nothing was changed;
    /// it must be sent again.
    #[error("{0}; nothing was changed, the snapshot must be sent again")]
    BadSnapshot(String),
}

/// Whether a store takes writes.
#[derive(Clone, Debug)]
pub enum Health {
    /// It does.
    Ready,
    /// Little or nothing is free on the disk: what was already handed over is written from the
    /// reserve, or waits for space; new work should be refused. Reads go on.
    Full,
    /// It refuses everything, for this cause.
    Failed(StorageError),
}

impl StorageError {
    /// Classifies a failed file operation; `action` reads like "cannot write the snapshot file".
    pub(crate) fn from_io(action: &str, path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path: path.to_path_buf() }
            }
            _ => Self::Fatal(format!("{action} {}: {error}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests;
