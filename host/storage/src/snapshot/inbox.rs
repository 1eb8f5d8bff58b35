//! Where the files of a snapshot are received.
//!
//! A file lies there under its content hash, so what has arrived serves whatever snapshot comes
//! next, from whomever, after a restart, too: most files of a state are in the next snapshot of it
//! as well. A file is there under that name only once it is whole, verified and synced. What no
//! snapshot that is being received needs is removed, all of it when the state has got as far.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_abi::ClusterId;

use super::{ContentHash, Manifest, ManifestFile, TABLE, hash_file, sync_folder};
use crate::StorageError;
pub(crate) use crate::budget::Budget;
use crate::budget::Reservation;
use crate::rocks::directory::{remove_folder, replace_file};

/// The file that says of which entry what is received is.
const INDEX: &str = "INDEX";
const UNFINISHED_INDEX: &str = "INDEX.tmp";
/// What the name of a file ends with that is not whole.
const PART: &str = ".part";

/// A file that a receiver lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its place in the manifest.
    pub file: usize,
    /// Where what it lacks begins. It may be the file's end: then only its end is to be told.
    pub from_byte: u64,
}

/// See the module. One per store.
pub(crate) struct Inbox {
    folder: PathBuf,
    budget: Arc<dyn Budget>,
    present: Mutex<Present>,
}

/// What is being received.
struct Present {
    /// Counts who received: only the newest may.
    turn: u64,
    /// The entry that it is of.
    index: Option<u64>,
}

/// The right to put the files of one snapshot into the inbox; it ends when another one begins.
pub struct Receiving {
    inbox: Arc<Inbox>,
    turn: u64,
    manifest: Manifest,
    reservation: Reservation,
    open: Option<Open>,
}

/// The file that is being written.
struct Open {
    file: usize,
    writer: File,
    at: u64,
}

impl Inbox {
    /// The inbox in `folder`, with what a former process received.
    pub(crate) fn open(folder: PathBuf, budget: Arc<dyn Budget>) -> Result<Self, StorageError> {
        let path = folder.join(INDEX);
        let index = match fs::read(&path) {
            Ok(text) => std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StorageError::from_io("cannot read", &path, &error)),
        };
        if index.is_none() {
            remove_folder(&folder)?;
        }
        let inbox = Self::new(folder, budget);
        inbox.present().index = index;
        Ok(inbox)
    }

    /// An inbox in `folder`, which is empty.
    pub(crate) fn new(folder: PathBuf, budget: Arc<dyn Budget>) -> Self {
        Self { folder, budget, present: Mutex::new(Present { turn: 0, index: None }) }
    }

    /// Begins to receive, instead of whatever was being received, and removes what `manifest` does
    /// not need.
    ///
    /// # Errors
    /// [`StorageError::BadSnapshot`], with nothing changed, if it is not of `cluster` or its files
    /// are not laid out as `layout`;
    /// [`StorageError::Full`] if there is no room for what is missing.
    pub(crate) fn begin(
        self: &Arc<Self>,
        manifest: Manifest,
        layout: &str,
        cluster: Option<ClusterId>,
    ) -> Result<Receiving, StorageError> {
        manifest.check_cluster(cluster)?;
        if manifest.layout != layout {
            let theirs = &manifest.layout;
            return Err(StorageError::BadSnapshot(format!(
                "the files of the snapshot are laid out as {theirs}, and this member reads {layout}: members \
                    must run the same version of synod"
            )));
        }
        let mut present = self.present();
        present.turn += 1;
        let index = manifest.mark.index.unwrap_or_default();
        let at = |error: &io::Error| StorageError::from_io("cannot write to", &self.folder, error);
        fs::create_dir_all(&self.folder).map_err(|error| at(&error))?;
        replace_file(&self.folder, INDEX, UNFINISHED_INDEX, &format!("{index}\n"))
            .map_err(|error| at(&error))?;
        present.index = Some(index);
        self.remove_others(&manifest)?;
        let missing =
            self.missing(&manifest).map(|(_, file, have)| file.length_bytes.saturating_sub(have)).sum();
        let reservation = Reservation::new(&self.budget, missing)?;
        Ok(Receiving { inbox: Arc::clone(self), turn: present.turn, manifest, reservation, open: None })
    }

    /// Removes everything if the state has got as far as what is being received.
    pub(crate) fn outgrown(&self, applied: Option<u64>) -> Result<(), StorageError> {
        let Ok(mut present) = self.present.try_lock() else { return Ok(()) };
        if present.index.is_some_and(|index| applied.is_some_and(|applied| applied >= index)) {
            present.turn += 1;
            present.index = None;
            return remove_folder(&self.folder);
        }
        Ok(())
    }

    /// Removes everything: what was received is not what it was said to be.
    pub(crate) fn clear(&self) -> Result<(), StorageError> {
        let mut present = self.present();
        present.turn += 1;
        present.index = None;
        remove_folder(&self.folder)
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn whole(&self, hash: ContentHash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    fn part(&self, hash: ContentHash) -> PathBuf {
        self.folder.join(format!("{hash}{PART}"))
    }

    /// The files that are not whole, with their places in the manifest and how many bytes of each
    /// are there. Files with the same contents are one.
    fn missing<'a>(&self, manifest: &'a Manifest) -> impl Iterator<Item = (usize, &'a ManifestFile, u64)> {
        let mut seen = BTreeSet::new();
        manifest.files.iter().enumerate().filter_map(move |(place, file)| {
            let is_new = seen.insert(file.hash);
            let lacks = is_new && !self.whole(file.hash).exists();
            lacks.then(|| (place, file, length(&self.part(file.hash))))
        })
    }

    fn remove_others(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageError::from_io("cannot clear", &self.folder, &error);
        let needed: BTreeSet<String> = manifest.files.iter().map(|file| file.hash.to_string()).collect();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != INDEX && !needed.contains(name.strip_suffix(PART).unwrap_or(&name)) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        for file in &manifest.files {
            let part = self.part(file.hash);
            if length(&part) > file.length_bytes {
                fs::remove_file(&part).map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl Receiving {
    /// What is received.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What is not there yet, in the order of the manifest.
    pub fn wanted(&self) -> Vec<Wanted> {
        let missing = self.inbox.missing(&self.manifest);
        missing.map(|(file, _, from_byte)| Wanted { file, from_byte }).collect()
    }

    /// Adds bytes to a file that is wanted, which must follow those that are there. With its last
    /// byte the file is verified, and on disk on return.
    ///
    /// # Errors
    /// [`StorageError::BadSnapshot`] if they do not belong there, if the file is not what the
    /// manifest says, or if another snapshot is received instead; [`StorageError::Full`].
    pub fn write(&mut self, file: usize, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        let inbox = Arc::clone(&self.inbox);
        let present = inbox.present();
        self.check_turn(&present)?;
        let Some(named) = self.manifest.files.get(file) else {
            return Err(bad(format!("it has no file {file}")));
        };
        let (part, end) = (inbox.part(named.hash), named.length_bytes);
        let failed = |error: io::Error| StorageError::from_io("cannot write", &part, &error);
        let mut open = match self.open.take().filter(|open| open.file == file) {
            Some(open) => open,
            None => {
                let writer = File::options().create(true).append(true).open(&part).map_err(failed)?;
                Open { file, at: writer.metadata().map_err(failed)?.len(), writer }
            }
        };
        let after = open.at + data.len() as u64;
        if offset != open.at || after > end {
            let (name, at) = (&named.name, open.at);
            return Err(bad(format!("byte {offset} of {name} came, byte {at} of {end} is due")));
        }
        open.writer.write_all(data).map_err(failed)?;
        open.at = after;
        self.reservation.written(data.len() as u64);
        if after < end {
            self.open = Some(open);
            return Ok(());
        }
        open.writer.sync_all().map_err(failed)?;
        let (hash, _) = hash_file(&part).map_err(failed)?;
        if hash != named.hash {
            fs::remove_file(&part).map_err(failed)?;
            return Err(bad(format!("{} has the hash {hash}, announced was {}", named.name, named.hash)));
        }
        fs::rename(&part, inbox.whole(hash)).map_err(failed)?;
        sync_folder(&inbox.folder)
    }

    /// Puts the files under their names into the empty folder `target`, on disk on return. Files
    /// that never change are shared with the inbox.
    pub(crate) fn place(&self, target: &Path) -> Result<(), StorageError> {
        let present = self.inbox.present();
        self.check_turn(&present)?;
        for file in &self.manifest.files {
            let (from, to) = (self.inbox.whole(file.hash), target.join(&file.name));
            if !from.exists() {
                return Err(bad(format!("{} is missing", file.name)));
            }
            if file.name.ends_with(TABLE) && fs::hard_link(&from, &to).is_ok() {
                continue;
            }
            fs::copy(&from, &to)
                .and_then(|_| File::open(&to)?.sync_all())
                .map_err(|error| StorageError::from_io("cannot write", &to, &error))?;
        }
        sync_folder(target)
    }

    fn check_turn(&self, present: &Present) -> Result<(), StorageError> {
        if present.turn == self.turn {
            Ok(())
        } else {
            Err(bad("another one is received instead".to_owned()))
        }
    }
}

/// The length of a file; 0 if it is not there.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn bad(what: String) -> StorageError {
    StorageError::BadSnapshot(format!("the snapshot cannot be received: {what}"))
}
