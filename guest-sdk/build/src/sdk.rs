//! The SDK's sources, carried in the binary and unpacked into a cache folder per version and
//! contents.
//!
//! Unpacking is whole or not at all: files go to a folder beside it, which is then renamed. A
//! folder that was damaged or edited is put right. It knows nothing of recipes; `scaffold` links
//! them to it.
use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{self, File};
use crate::cache::{self, FolderLock};
use crate::environment::Environment;
use crate::error::BuildError;

static ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sdk.archive"));

/// The version and the hash of the sources, which name their folder.
pub const NAME: &str = concat!(env!("CARGO_PKG_VERSION"), "-", env!("SYNOD_SDK_HASH"));

/// Unpacks the sources, unless they are there, and returns their folder.
///
/// # Errors
/// [`BuildError::NoCacheFolder`], or [`BuildError::Io`] if the folder cannot be written.
pub fn unpack(environment: &Environment) -> Result<PathBuf, BuildError> {
    let (cache, files) = (folder(environment)?, files()?);
    let sdk = cache.join(NAME);
    if is_whole(&sdk, &files) {
        return Ok(sdk);
    }
    let _alone = FolderLock::acquire(&cache)?;
    if is_whole(&sdk, &files) {
        return Ok(sdk);
    }
    let (new, old) = (cache.join(format!(".new-{NAME}")), cache.join(format!(".old-{NAME}")));
    for leftover in [&new, &old] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(BuildError::io("remove", leftover))?;
        }
    }
    for file in &files {
        let path = new.join(file.path);
        let folder = path.parent().unwrap_or(&new);
        fs::create_dir_all(folder).map_err(BuildError::io("create", folder))?;
        fs::write(&path, file.contents).map_err(BuildError::io("write", &path))?;
    }
    if sdk.exists() {
        fs::rename(&sdk, &old).map_err(BuildError::io("move away", &sdk))?;
    }
    fs::rename(&new, &sdk).map_err(BuildError::io("put in place", &sdk))?;
    drop(fs::remove_dir_all(&old));
    Ok(sdk)
}

/// The folder that holds unpacked sources, of every version.
pub(crate) fn folder(environment: &Environment) -> Result<PathBuf, BuildError> {
    cache::folder(environment, "sdk")
}

/// The lock file of the workspace that the sources are from: the versions that they were tested
/// with.
pub(crate) fn lock_file() -> Result<&'static [u8], BuildError> {
    Ok(files()?.into_iter().find(|file| file.path == "Cargo.lock").map_or(&[], |file| file.contents))
}

fn files() -> Result<Vec<File<'static>>, BuildError> {
    archive::read(ARCHIVE).ok_or_else(|| BuildError::Garbled {
        tool: "this program",
        reason: "the SDK that it carries is damaged".to_owned(),
    })
}

/// The folder holds every file with its contents. Cargo may have changed the lock file, which
/// recipes don't use.
fn is_whole(sdk: &Path, files: &[File<'_>]) -> bool {
    files
        .iter()
        .filter(|file| file.path != "Cargo.lock")
        .all(|file| fs::read(sdk.join(file.path)).is_ok_and(|found| found == file.contents))
}

#[cfg(test)]
mod tests;
