//! The data directory: `FORMAT` says which version of this layout it has, `db/` is RocksDB's,
//! `snapshots/` holds files that no crash survives.
//!
//! `FORMAT` is a file of its own because opening RocksDB already changes it: a directory of a newer
//! version must be refused before. It does not open the database.
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::StorageError;
use crate::snapshot::sync_folder;

/// Version of the layout and of every encoding in it.
const FORMAT_VERSION: u32 = 1;
const FORMAT_PREFIX: &str = "synod data format ";
/// What the names of identity files begin with.
const IDENTITY: &str = "identity";

/// Whether the folder `root` holds a database that was created.
pub(crate) fn holds_databases(root: &Path) -> bool {
    root.join("db").join("CURRENT").exists()
}

/// Paths of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) root: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) snapshots: PathBuf,
}

impl Directory {
    /// Checks what is there, and creates what is missing if nothing is there.
    pub(crate) fn prepare(root: &Path) -> Result<Self, StorageError> {
        let directory =
            Self { root: root.to_path_buf(), database: root.join("db"), snapshots: root.join("snapshots") };
        create(root)?;
        let format = root.join("FORMAT");
        match fs::read_to_string(&format) {
            Ok(text) => directory.check_format(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => directory.write_format(&format)?,
            Err(error) => return Err(unusable(root, &format!("its file FORMAT cannot be read: {error}"))),
        }
        create(&directory.snapshots)?;
        Ok(directory)
    }

    fn check_format(&self, text: &str) -> Result<(), StorageError> {
        let version =
            text.trim_end().strip_prefix(FORMAT_PREFIX).and_then(|version| version.parse::<u32>().ok());
        match version {
            Some(FORMAT_VERSION) => Ok(()),
            Some(other) => Err(unusable(
                &self.root,
                &format!(
                    "it has data format {other}, and this version of synod knows format {FORMAT_VERSION}; \
                        start it with a version that knows {other}"
                ),
            )),
            None => Err(unusable(&self.root, "its file FORMAT is not one of synod's")),
        }
    }

    fn write_format(&self, format: &Path) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageError::from_io("cannot write", format, &error);
        let unfinished = self.root.join("FORMAT.tmp");
        let foreign = fs::read_dir(&self.root).map_err(failed)?.filter_map(Result::ok).find(|entry| {
            !entry.file_name().to_string_lossy().starts_with(IDENTITY) && entry.path() != unfinished
        });
        if let Some(entry) = foreign {
            let name = entry.file_name();
            return Err(unusable(
                &self.root,
                &format!(
                    "it is not empty (there is `{}`) and not a data directory of synod; name an empty or a \
                        new one",
                    name.to_string_lossy()
                ),
            ));
        }
        let mut file = File::create(&unfinished).map_err(failed)?;
        writeln!(file, "{FORMAT_PREFIX}{FORMAT_VERSION}").and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&unfinished, format).map_err(failed)?;
        sync_folder(&self.root)?;
        match self.root.parent() {
            Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new(".")),
            Some(parent) => sync_folder(parent),
            None => Ok(()),
        }
    }

    /// Removes what a crash left of snapshots; only the process that has the database open may.
    pub(crate) fn remove_leftovers(&self) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageError::from_io("cannot clear", &self.snapshots, &error);
        for entry in fs::read_dir(&self.snapshots).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            tracing::info!(path = %path.display(), "removing an unfinished snapshot");
            fs::remove_file(&path).map_err(|error| StorageError::from_io("cannot remove", &path, &error))?;
        }
        Ok(())
    }

    /// Bytes that are free on its disk, if the system says.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(self.database.as_os_str().as_bytes()).ok()?;
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

fn create(folder: &Path) -> Result<(), StorageError> {
    fs::create_dir_all(folder).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::from_io("cannot create", folder, &error)
        }
        _ => unusable(folder, &format!("it cannot be created: {error}")),
    })
}

fn unusable(root: &Path, why: &str) -> StorageError {
    StorageError::Unusable(format!("the data directory {} cannot be used: {why}", root.display()))
}
