//! Where Synod keeps what can be made again: guests' target directories and unpacked sources.
//!
//! It is below the user's cache folder and never below `CARGO_TARGET_DIR`, which is another one in
//! every checkout, test and tool, and which the cargo around a build script has locked. It removes
//! nothing: `rm -r` of the folder is always safe.
use std::fs;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::BuildError;

/// The folder `name` in Synod's cache.
pub(crate) fn folder(environment: &Environment, name: &str) -> Result<PathBuf, BuildError> {
    Ok(environment.cache_home().ok_or(BuildError::NoCacheFolder)?.join("synod").join(name))
}

/// A file lock that is held until drop: who shares a folder comes one after the other.
#[derive(Debug)]
pub(crate) struct FolderLock(#[allow(dead_code, reason = "the lock is held by the open file")] fs::File);

impl FolderLock {
    /// Makes the folder if need be, and waits for its lock.
    pub(crate) fn acquire(folder: &Path) -> Result<Self, BuildError> {
        fs::create_dir_all(folder).map_err(BuildError::io("create", folder))?;
        let path = folder.join(".synod-lock");
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(BuildError::io("open", &path))?;
        file.lock().map_err(BuildError::io("lock", &path))?;
        Ok(Self(file))
    }
}
