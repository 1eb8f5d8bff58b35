//! A snapshot: the files of a state of one moment, and the manifest that names them.
//!
//! The manifest is what a receiver decides by: of which cluster the state is, how far it is, how
//! its files are laid out, and each file's name, length and content hash. It is checked when it is
//! decoded, because it comes from the network: a name of it becomes a name on this member's disk.
//! It says nothing of rows: those are verified once the files are a state again.
mod inbox;
mod manifest;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_abi::ClusterId;

pub(crate) use inbox::{Budget, Inbox};
pub use inbox::{Receiving, Wanted};
pub use manifest::{ContentHash, Manifest, ManifestFile};

use crate::{AppliedMark, StorageError};

/// What the name of a file ends with that never changes once it is written: it can be shared.
pub(crate) const TABLE: &str = ".sst";
/// Bytes read at once for a content hash.
const HASH_CHUNK_BYTES: usize = 256 * 1_024;

/// A snapshot on disk, to be given away. Its files stay until the last clone goes.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    manifest: Arc<Manifest>,
    folder: Arc<OwnedFolder>,
}

impl Checkpoint {
    /// Takes over a folder, which goes with the last clone, and hashes its files `names`.
    pub(crate) fn of_folder(
        folder: OwnedFolder,
        cluster: Option<ClusterId>,
        mark: AppliedMark,
        layout: &str,
        mut names: Vec<String>,
    ) -> Result<Self, StorageError> {
        names.sort();
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let path = folder.path().join(&name);
            let (hash, length_bytes) =
                hash_file(&path).map_err(|error| StorageError::from_io("cannot read", &path, &error))?;
            files.push(ManifestFile { name, length_bytes, hash });
        }
        let manifest = Manifest { cluster, mark, layout: layout.to_owned(), files };
        Ok(Self { manifest: Arc::new(manifest), folder: Arc::new(folder) })
    }

    /// What it is of, and its files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bytes of a file of the manifest from `offset` on, at most `limit_bytes`; none at its end
    /// and beyond, and of a file that the manifest does not have.
    ///
    /// # Errors
    /// [`StorageError::Fatal`] if it cannot be read.
    pub fn read(&self, file: usize, offset: u64, limit_bytes: usize) -> Result<Vec<u8>, StorageError> {
        let Some(named) = self.manifest.files.get(file) else { return Ok(Vec::new()) };
        let left = named.length_bytes.saturating_sub(offset).min(limit_bytes as u64);
        let path = self.folder.path().join(&named.name);
        let mut bytes = vec![0; left as usize];
        File::open(&path)
            .and_then(|file| file.read_exact_at(&mut bytes, offset))
            .map_err(|error| StorageError::from_io("cannot read", &path, &error))?;
        Ok(bytes)
    }

    /// How many clones keep its files.
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.folder)
    }
}

/// A folder that goes when this is dropped. What a crash leaves is removed when the store is
/// opened.
#[derive(Debug)]
pub(crate) struct OwnedFolder {
    path: PathBuf,
    /// Where it goes, because whoever drops it last must not wait for a disk; none: it is removed.
    trash: Option<Arc<Trash>>,
}

impl OwnedFolder {
    pub(crate) fn new(path: PathBuf, trash: Option<Arc<Trash>>) -> Self {
        Self { path, trash }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnedFolder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        match &self.trash {
            Some(trash) => trash.folders().push(path),
            None => remove(&path),
        }
    }
}

/// Folders that nobody needs any more, until somebody who may wait for the disk removes them.
#[derive(Debug, Default)]
pub(crate) struct Trash(Mutex<Vec<PathBuf>>);

impl Trash {
    /// Removes them.
    pub(crate) fn empty(&self) {
        let folders = std::mem::take(&mut *self.folders());
        folders.iter().for_each(|folder| remove(folder));
    }

    fn folders(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a snapshot. One that stays is removed when the store is opened the next time.
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %folder.display(), %error, "cannot remove a snapshot");
    }
}

/// The content hash and the length of a file.
fn hash_file(path: &Path) -> std::io::Result<(ContentHash, u64)> {
    use std::io::Read;
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; HASH_CHUNK_BYTES];
    let mut length = 0;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((ContentHash(*hasher.finalize().as_bytes()), length)),
            read => {
                hasher.update(&chunk[..read]);
                length += read as u64;
            }
        }
    }
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StorageError::from_io("cannot sync the folder", folder, &error))
}

#[cfg(test)]
mod tests;
