//! The store on RocksDB: one database for the log and the state, so that one write-ahead log orders
//! both and one sync covers both.
//!
//! `log` is written through `book` (memory) and `writer` (disk); `state` is one set of tables per
//! generation, and `install` switches generations. Only this folder knows RocksDB.
mod book;
pub(crate) mod directory;
mod gaps;
mod handles;
mod install;
mod log;
mod options;
mod record;
mod shared;
mod state;
mod store;
mod walk;
mod writer;

use std::path::Path;

pub use options::{InstallHook, RocksOptions};
pub use state::RocksView;
pub use store::RocksStore;

use crate::StorageError;

/// Column families beside those of generations.
const LOG: &str = "log";
const META: &str = "meta";

/// Keys of `meta`.
const KEY_VOTE: &str = "vote";
const KEY_COMMITTED: &str = "committed";
const KEY_PURGED: &str = "purged";
const KEY_GENERATION: &str = "generation";
const KEY_APPLIED: &str = "applied";

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
