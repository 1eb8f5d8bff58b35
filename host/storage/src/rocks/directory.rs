//! The data directory: `FORMAT` says which version of this layout it has, `log/` and
//! `state-NUMBER/` are RocksDB's, `WATERMARK` says how far the log is, `snapshots/` holds those
//! that are sent, which no crash survives, and in `received/` what has arrived of one. `LOCK` keeps
//! a second process out.
//!
//! `FORMAT` is a file of its own because opening RocksDB already changes it: a directory of a newer
//! version must be refused before. It also says whether the databases are still being created: then
//! whatever is there may be made anew. Otherwise what is missing is lost. It opens no database.
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::watermark;
use crate::StorageError;
use crate::snapshot::sync_folder;

/// Version of the layout and of every encoding in it.
const FORMAT_VERSION: u32 = 2;
const FORMAT_PREFIX: &str = "synod data format ";
/// What `FORMAT` says behind the version until the databases are there.
const CREATING: &str = ", being created";
/// The file that says so.
pub(crate) const FORMAT: &str = "FORMAT";
const UNFINISHED_FORMAT: &str = "FORMAT.tmp";
const LOCK: &str = "LOCK";
const STATE_PREFIX: &str = "state-";
const RECEIVED: &str = "received";
/// What else a new folder may hold: what file systems put there.
pub(crate) const LOST_AND_FOUND: &str = "lost+found";

/// What the names of identity files begin with, which are there before everything else.
const IDENTITY: &str = "identity";

/// Whether the folder `root` holds a database that was created.
pub(crate) fn holds_databases(root: &Path) -> bool {
    root.join("log").join("CURRENT").exists()
}

/// Whether the databases must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// No: they are to be created, and nothing was ever stored in them.
    Creating,
    /// Yes.
    Whole,
}

/// What a text of `FORMAT` says; the error is the version that it has, if it is one of synod's at
/// all.
pub(crate) fn known_format(text: &str) -> Result<Contents, Option<u32>> {
    let line = text.strip_suffix('\n').and_then(|line| line.strip_prefix(FORMAT_PREFIX)).ok_or(None)?;
    let (version, contents) = match line.strip_suffix(CREATING) {
        Some(version) => (version, Contents::Creating),
        None => (line, Contents::Whole),
    };
    match version.parse::<u32>() {
        Ok(FORMAT_VERSION) if format_text(contents) == text => Ok(contents),
        Ok(FORMAT_VERSION) => Err(None),
        Ok(other) => Err(Some(other)),
        Err(_) => Err(None),
    }
}

/// The text of `FORMAT`.
pub(crate) fn format_text(contents: Contents) -> String {
    let creating = if contents == Contents::Creating { CREATING } else { "" };
    format!("{FORMAT_PREFIX}{FORMAT_VERSION}{creating}\n")
}

/// Paths of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) root: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) snapshots: PathBuf,
}

/// A folder, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    fn of(folder: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(folder)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Keeps other processes out of a data directory while it lives.
#[derive(Debug)]
pub(crate) struct DirectoryLock(File);

impl DirectoryLock {
    fn take(root: &Path) -> Result<Self, StorageError> {
        let path = root.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::from_io("cannot create", &path, &error)
            }
            _ => unusable(root, &format!("its file {LOCK} cannot be opened: {error}")),
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(in_use(root)),
            Err(TryLockError::Error(error)) => {
                Err(unusable(root, &format!("its file {LOCK} cannot be locked: {error}")))
            }
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Directory {
    /// Checks what is there, and begins a new one if nothing is there.
    pub(crate) fn prepare(root: &Path) -> Result<(Self, DirectoryLock, Contents), StorageError> {
        let directory =
            Self { root: root.to_path_buf(), log: root.join("log"), snapshots: root.join("snapshots") };
        create(root)?;
        directory.contents()?;
        let lock = DirectoryLock::take(root)?;
        let contents = match directory.contents()? {
            Some(contents) => contents,
            None => {
                directory.write_format(Contents::Creating)?;
                Contents::Creating
            }
        };
        if contents == Contents::Creating {
            directory.clear()?;
        }
        create(&directory.snapshots)?;
        Ok((directory, lock, contents))
    }

    /// The folder of a generation of the state.
    pub(crate) fn state(&self, number: u64) -> PathBuf {
        self.root.join(format!("{STATE_PREFIX}{number}"))
    }

    /// The folder of what is received of a snapshot.
    pub(crate) fn received(&self) -> PathBuf {
        self.snapshots.join(RECEIVED)
    }

    /// Notes that the databases are there; nothing is made anew from now on.
    pub(crate) fn created(&self) -> Result<(), StorageError> {
        sync_folder(&self.root)?;
        self.write_format(Contents::Whole)
    }

    /// Which folder the log is in, to be checked later; the folder is there.
    pub(crate) fn place(&self) -> Result<Place, StorageError> {
        let failed = |error: io::Error| StorageError::from_io("cannot read", &self.log, &error);
        Place::of(&self.log).map_err(failed)
    }

    /// Whether the log is still where it was when it was opened. What is written to files without a
    /// name is gone with the process, and no write says so.
    pub(crate) fn check_is_there(&self, place: Place) -> Result<(), StorageError> {
        let there = Place::of(&self.log).map(|now| now == place && self.log.join("CURRENT").exists());
        match there {
            Ok(true) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StorageError::from_io("cannot read", &self.log, &error))
            }
            Ok(false) | Err(_) => {
                let what = format!(
                    "`{}` was removed, moved or replaced while the member was running",
                    self.log.display()
                );
                Err(super::lost(&self.root, &what))
            }
        }
    }

    /// Makes the name of a new folder in it durable.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        sync_folder(&self.root)
    }

    /// What `FORMAT` says; none in a new folder.
    fn contents(&self) -> Result<Option<Contents>, StorageError> {
        let path = self.root.join(FORMAT);
        match fs::read_to_string(&path) {
            Ok(text) => self.read_format(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.refuse_others().map(|()| None),
            Err(error) => Err(unusable(&self.root, &format!("its file {FORMAT} cannot be read: {error}"))),
        }
    }

    fn read_format(&self, text: &str) -> Result<Contents, StorageError> {
        match known_format(text) {
            Ok(contents) => Ok(contents),
            Err(Some(other)) => {
                let next = if other > FORMAT_VERSION {
                    "start it with a version that knows it"
                } else {
                    "it cannot be converted: start it with the version that wrote it, or start a new \
                        cluster in empty folders"
                };
                let why = format!(
                    "it has data format {other}, and this version of synod knows format \
                        {FORMAT_VERSION}; {next}"
                );
                Err(unusable(&self.root, &why))
            }
            Err(None) => Err(unusable(&self.root, &format!("its file {FORMAT} is not one of synod's"))),
        }
    }

    fn refuse_others(&self) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageError::from_io("cannot read", &self.root, &error);
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let ours = [UNFINISHED_FORMAT, LOCK, LOST_AND_FOUND].iter().any(|known| name == *known);
            if !ours && !name.to_string_lossy().starts_with(IDENTITY) {
                let why = format!(
                    "it is not empty (there is `{}`) and not a data directory of synod; name an empty or a \
                        new one",
                    name.to_string_lossy()
                );
                return Err(unusable(&self.root, &why));
            }
        }
        Ok(())
    }

    fn write_format(&self, contents: Contents) -> Result<(), StorageError> {
        replace_file(&self.root, FORMAT, UNFINISHED_FORMAT, &format_text(contents))
            .map_err(|error| StorageError::from_io("cannot write", &self.root.join(FORMAT), &error))
    }

    /// Removes databases that were not created to the end.
    fn clear(&self) -> Result<(), StorageError> {
        remove_folder(&self.log)?;
        let watermark = self.root.join(watermark::FILE);
        match fs::remove_file(&watermark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::from_io("cannot remove", &watermark, &error));
            }
            _ => {}
        }
        self.remove_generations_but(None)
    }

    /// Removes what a crash left: snapshots that were sent, and every generation of the state but
    /// `present`.
    pub(crate) fn remove_leftovers(&self, present: u64) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageError::from_io("cannot clear", &self.snapshots, &error);
        for entry in fs::read_dir(&self.snapshots).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path != self.received() {
                tracing::info!(path = %path.display(), "removing a snapshot that was sent");
                remove_folder(&path)?;
            }
        }
        self.remove_generations_but(Some(present))
    }

    fn remove_generations_but(&self, present: Option<u64>) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageError::from_io("cannot read", &self.root, &error);
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(STATE_PREFIX)?.parse::<u64>().ok());
            if number.is_some_and(|number| Some(number) != present) {
                tracing::info!(path = %entry.path().display(), "removing a former state");
                remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Bytes that are free on its disk, if the system says.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(self.root.as_os_str().as_bytes()).ok()?;
        let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: `path` is a C string and `stat` has room for the answer, which is read only after
        // success.
        let stat = unsafe {
            if libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) != 0 {
                return None;
            }
            stat.assume_init()
        };
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Has the file `name` in the folder `root` hold `text`, on disk on return: it is written as
/// `unfinished` first, so that a crash leaves the old text or the new one. The name of the folder
/// is made durable, too.
pub(crate) fn replace_file(root: &Path, name: &str, unfinished: &str, text: &str) -> io::Result<()> {
    let unfinished = root.join(unfinished);
    let mut file = File::create(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, root.join(name))?;
    let parent =
        root.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    for folder in [Some(root), parent].into_iter().flatten() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Removes a folder, if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::from_io("cannot remove", path, &error))
        }
        _ => Ok(()),
    }
}

fn create(folder: &Path) -> Result<(), StorageError> {
    fs::create_dir_all(folder).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::from_io("cannot create", folder, &error)
        }
        _ => unusable(folder, &format!("it cannot be created: {error}")),
    })
}

/// Another process has the directory open.
pub(crate) fn in_use(root: &Path) -> StorageError {
    unusable(root, "it is in use by another process; stop that one, or name another directory")
}

fn unusable(root: &Path, why: &str) -> StorageError {
    StorageError::Unusable(format!("the data directory {} cannot be used: {why}", root.display()))
}
