//! The store on RocksDB: two databases with opposite needs. `log/` is synced with every batch, and
//! nothing in it may be lost; `state-NUMBER/` has no write-ahead log, because what it loses in a
//! crash is run again from the log.
//!
//! `log` is written through `book` (memory) and `writer` (disk); `generation` is a state, `keeper`
//! flushes it, `compactor` compacts what is `worn`, and `install` switches to another one. `state`
//! has the views; `walk` reads a range with an iterator that `ranges` keeps open. Only this folder
//! knows RocksDB.
mod book;
mod compactor;
pub(crate) mod directory;
mod gaps;
mod generation;
mod handles;
mod install;
mod keeper;
mod log;
mod open;
mod options;
mod ranges;
pub(crate) mod record;
mod shared;
mod state;
mod store;
mod tables;
mod walk;
pub(crate) mod watermark;
mod worn;
mod writer;

use std::path::Path;

pub use install::RocksIncoming;
pub use options::RocksOptions;
pub use state::RocksView;
pub use store::RocksStore;

use crate::StorageError;

/// Column families of the log's database.
const LOG: &str = "log";
const META: &str = "meta";

/// Keys of `meta`.
const KEY_VOTE: &str = "vote";
const KEY_COMMITTED: &str = "committed";
const KEY_PURGED: &str = "purged";
const KEY_GENERATION: &str = "generation";

/// What to do about data that is damaged.
const REPLACE: &str = "this member's data is damaged and must not be repaired in place, because it may have \
    acknowledged what is lost; while most of the other members run, replace it: move the folder away, and \
    start the member once with an empty one and --replace-lost";

/// Sorts an error of RocksDB; `action` reads like "cannot write to".
fn sort(root: &Path, action: &str, error: &rocksdb::Error) -> StorageError {
    let text = error.to_string();
    let path = root.display();
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        return StorageError::Full { path: root.to_path_buf() };
    }
    match error.kind() {
        rocksdb::ErrorKind::Corruption => StorageError::Fatal(format!("{action} {path}: {text}: {REPLACE}")),
        _ => StorageError::Fatal(format!("{action} {path}: {text}")),
    }
}

/// Sorts an error of opening a database.
fn opening(root: &Path, error: &rocksdb::Error) -> StorageError {
    let text = error.to_string();
    if text.contains("lock") && (text.contains("LOCK") || text.contains("hold by current process")) {
        directory::in_use(root)
    } else {
        sort(root, "cannot open", error)
    }
}

/// What must be there is not, or is not what it was.
fn lost(root: &Path, what: &str) -> StorageError {
    StorageError::Fatal(format!("data is lost in {}: {what}: {REPLACE}", root.display()))
}
