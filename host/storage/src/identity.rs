//! Who a data folder belongs to: the small file `identity` beside the databases.
//!
//! It is outside of them because a lost database must not take along the knowledge that there was
//! one: an identity without its databases, or databases without an identity, is lost data, and a
//! member that lost what it acknowledged must not take part under its old id. Every change is
//! written to a second file, synced and renamed, so that a crash leaves the old text or the new
//! one. It opens no database.
pub(crate) mod text;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use synod_abi::{ClusterId, MemberId};

use crate::StorageError;
use crate::rocks::directory::{FORMAT, LOST_AND_FOUND, holds_databases, replace_file};

/// The file.
const FILE: &str = "identity";
/// The file while it is written.
const UNFINISHED: &str = "identity.tmp";

/// What to do about a folder whose data is gone or damaged.
const LOST: &str = "this member may have acknowledged what is lost, so it does not start with this folder. \
    While most of the other members run, replace it: move the folder away, and start the member once with an \
    empty one and --replace-lost";

/// How far the databases of a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Databases {
    /// They are being created, and nothing was written to them: creating may be done again.
    Creating,
    /// They were created: if they are missing, data is lost.
    Created,
}

/// How a member came to its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is one of these, `name=host:port` each, that the cluster was formed of.
    Formed(Vec<String>),
    /// It came in place of this member, which was lost.
    Replacing(MemberId),
}

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// Its id, drawn once and never used for another folder.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// How many times its databases were opened: no two starts of a member have the same.
    pub incarnation: u64,
    /// How far its databases are.
    pub databases: Databases,
    /// The cluster that it promised itself to, and how, once it did.
    pub cluster: Option<(ClusterId, Joined)>,
}

/// The identity of a data folder, on disk and in memory. While it exists, no other process uses
/// the folder.
#[derive(Debug)]
pub struct IdentityFile {
    root: PathBuf,
    present: Mutex<MemberIdentity>,
    _in_use: File,
}

impl IdentityFile {
    /// Reads the identity of the folder `root`. An empty or missing folder gets one, with the id
    /// that `draw` returns; it is on disk on return.
    ///
    /// # Errors
    /// [`StorageError::Unusable`], with nothing changed, if the folder is in use, cannot be read
    /// or written, is not Synod's, is of another version or of another member than `name`, or has
    /// lost its databases or its identity.
    pub fn open(
        root: &Path,
        name: &str,
        draw: impl FnOnce() -> io::Result<MemberId>,
    ) -> Result<Self, StorageError> {
        fs::create_dir_all(root)
            .map_err(|error| unusable(root, &error, &format!("it cannot be created: {error}")))?;
        let in_use = lock(root)?;
        let path = root.join(FILE);
        let found = match fs::read(&path) {
            Ok(bytes) => Some(text::decode(&bytes).map_err(|damage| refused(root, &damage.to_string()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(refused(root, &format!("its file {FILE} cannot be read: {error}"))),
        };
        let file = |present: MemberIdentity| Self {
            root: root.to_path_buf(),
            present: Mutex::new(present),
            _in_use: in_use,
        };
        let Some(present) = found else {
            check_empty(root)?;
            let member =
                draw().map_err(|error| StorageError::Fatal(format!("cannot draw a member's id: {error}")))?;
            let identity = MemberIdentity {
                member,
                name: name.to_owned(),
                incarnation: 0,
                databases: Databases::Creating,
                cluster: None,
            };
            let file = file(identity.clone());
            file.write(&identity)
                .map_err(|error| unusable(root, &error, &format!("it cannot be written: {error}")))?;
            return Ok(file);
        };
        if present.name != name {
            return Err(refused(
                root,
                &format!("it belongs to the member `{}`, not to `{name}`; name another folder", present.name),
            ));
        }
        if present.databases == Databases::Created && !holds_databases(root) {
            return Err(refused(
                root,
                &format!("it says who the member is, but its databases are gone: {LOST}"),
            ));
        }
        Ok(file(present))
    }

    /// Who the member is.
    pub fn present(&self) -> MemberIdentity {
        self.lock().clone()
    }

    /// The cluster that the member promised itself to, once it did.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.lock().cluster.as_ref().map(|(cluster, _)| *cluster)
    }

    /// The databases are open: counts this start of the member, which is returned, and has creating
    /// them at an end. On disk on return.
    ///
    /// # Errors
    /// [`StorageError::Full`] or [`StorageError::Fatal`], with nothing changed.
    pub fn opened(&self) -> Result<u64, StorageError> {
        let mut present = self.lock();
        let next = MemberIdentity {
            incarnation: present.incarnation + 1,
            databases: Databases::Created,
            ..present.clone()
        };
        self.replace(&mut present, next)?;
        Ok(present.incarnation)
    }

    /// Promises this member to `cluster`. On disk on return.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] if it is promised to another one, or to this one in another way.
    pub fn join(&self, cluster: ClusterId, joined: Joined) -> Result<(), StorageError> {
        let mut present = self.lock();
        if let Some((promised, how)) = &present.cluster {
            if (promised, how) == (&cluster, &joined) {
                return Ok(());
            }
            return Err(refused(
                &self.root,
                &format!(
                    "it belongs to cluster {promised}{}, not to {cluster}{}",
                    how.shown(),
                    joined.shown()
                ),
            ));
        }
        let next = MemberIdentity { cluster: Some((cluster, joined)), ..present.clone() };
        self.replace(&mut present, next)
    }

    fn replace(&self, present: &mut MemberIdentity, next: MemberIdentity) -> Result<(), StorageError> {
        self.write(&next)
            .map_err(|error| StorageError::from_io("cannot write", &self.root.join(FILE), &error))?;
        *present = next;
        Ok(())
    }

    fn write(&self, identity: &MemberIdentity) -> io::Result<()> {
        replace_file(&self.root, FILE, UNFINISHED, &text::encode(identity))
    }

    fn lock(&self) -> MutexGuard<'_, MemberIdentity> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joined {
    /// The list of members, to be written behind a cluster's id.
    fn shown(&self) -> String {
        match self {
            Self::Formed(peers) => format!(" formed of {}", peers.join(",")),
            Self::Replacing(lost) => format!(" in place of member {lost}"),
        }
    }
}

/// Locks the folder for as long as the file that is returned is open.
fn lock(root: &Path) -> Result<File, StorageError> {
    let folder = File::open(root).map_err(|error| refused(root, &format!("it cannot be read: {error}")))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => {
            Err(refused(root, "it is in use by another process; stop that one, or name another folder"))
        }
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, path = %root.display(), "the folder's file system knows no locks");
            Ok(folder)
        }
    }
}

/// Checks that a folder without an identity holds nothing.
fn check_empty(root: &Path) -> Result<(), StorageError> {
    let unreadable = |error: io::Error| refused(root, &format!("it cannot be read: {error}"));
    let mut foreign = None;
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if name != UNFINISHED && name != LOST_AND_FOUND {
            foreign = Some(name);
        }
    }
    if let Ok(format) = fs::read_to_string(root.join(FORMAT)) {
        return Err(refused(
            root,
            &format!(
                "it has the `{}` of a version of synod from before members had an identity, or its file \
                    {FILE} is lost. Of the first, this version reads nothing: start a new cluster in empty \
                    folders, or go on with the old version. Of the second, {LOST}",
                format.trim_end()
            ),
        ));
    }
    if holds_databases(root) {
        return Err(refused(root, &format!("it holds databases, but its file {FILE} is gone: {LOST}")));
    }
    match foreign {
        None => Ok(()),
        Some(name) => Err(refused(
            root,
            &format!(
                "it is not empty (there is `{}`) and not a data folder of synod; name an empty or a new one",
                name.to_string_lossy()
            ),
        )),
    }
}

fn unusable(root: &Path, error: &io::Error, why: &str) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::Full { path: root.to_path_buf() }
        }
        _ => refused(root, why),
    }
}

fn refused(root: &Path, why: &str) -> StorageError {
    StorageError::Unusable(format!("the data folder {} cannot be used: {why}", root.display()))
}

#[cfg(test)]
mod tests;
