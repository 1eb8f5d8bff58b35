//! Opening the data folder: the databases, and what they say about this member.
use std::sync::Arc;

use synod_consensus::EntryId;
use synod_storage::{
    IdentityFile, InstallHook, InstallStep, LogStore, MemberIdentity, RocksOptions, RocksStore, StateStore,
    StorageError,
};

use super::net::identity::Identity;
use super::net::roster::Roster;
use super::ports::tripwire::Tripwire;
use crate::settings::{ServerOptions, StartError};

/// The open data folder of a member.
pub(super) struct Data {
    /// Whose folder it is.
    pub(super) file: Arc<IdentityFile>,
    /// This start's number.
    pub(super) incarnation: u64,
    /// Log and state.
    pub(super) store: RocksStore,
    /// The entry that is being applied.
    pub(super) tripwire: Tripwire,
    /// Who the member is.
    pub(super) identity: Arc<Identity>,
    /// The last entry that is applied.
    pub(super) applied: Option<EntryId>,
    /// Whether the member starts with an empty folder, and so knows nothing of any cluster.
    pub(super) empty: bool,
}

impl Data {
    /// Opens the folder, recovering what a crash has left.
    ///
    /// # Errors
    /// The folder cannot be used, belongs to another member, or holds an entry on which this member
    /// crashes.
    pub(super) async fn open(options: &ServerOptions, roster: &Roster) -> Result<Self, StartError> {
        let file = IdentityFile::open(&options.data_dir, &options.name, || Ok(roster.me()));
        let file = Arc::new(file.map_err(storage_error)?);
        let present = file.present();
        check_place(&present, roster)?;
        let store = open_store(options).await?;
        let incarnation = file.opened().map_err(storage_error)?;
        let tripwire = Tripwire::open(&options.data_dir)?;
        let cluster = present.cluster.map(|(cluster, _)| cluster);
        let identity = Arc::new(Identity::new(roster.me(), options.name.clone(), cluster));
        let mark = store.applied().map_err(storage_error)?;
        let applied = EntryId::of_mark(&mark).map_err(StartError::fatal)?;
        let bounds = store.bounds().map_err(storage_error)?;
        let empty = applied.is_none()
            && bounds.last.is_none()
            && bounds.purged.is_none()
            && store.vote().map_err(storage_error)?.is_none();
        Ok(Self { file, incarnation, store, tripwire, identity, applied, empty })
    }
}

/// Checks that the member has the place in the list that it had.
fn check_place(present: &MemberIdentity, roster: &Roster) -> Result<(), StartError> {
    if present.member == roster.me() {
        return Ok(());
    }
    Err(StartError::Usage(format!(
        "the data folder is of member {}, and `{}` is member {} of --peers: start it with the members that the \
            cluster was formed of",
        present.member,
        present.name,
        roster.me()
    )))
}

/// Opens the databases on a thread of their own: recovery reads a lot.
async fn open_store(options: &ServerOptions) -> Result<RocksStore, StartError> {
    let path = options.data_dir.clone();
    let on_install_step = options.crash_at.clone().map(crash_at);
    let opening = tokio::task::spawn_blocking(move || {
        RocksStore::open(&path, &RocksOptions { on_install_step, ..RocksOptions::default() })
    });
    opening.await.map_err(StartError::fatal)?.map_err(storage_error)
}

/// For tests: ends the process at the step of installing a snapshot that is named `point`.
fn crash_at(point: String) -> InstallHook {
    Arc::new(move |step: InstallStep| {
        if step.name() == point {
            tracing::warn!(point, "dying, as --crash-at wants it");
            std::process::abort();
        }
    })
}

/// The reason for which a member does not start with a store that failed.
pub(super) fn storage_error(error: StorageError) -> StartError {
    match error {
        StorageError::Unusable(_) => StartError::Usage(error.to_string()),
        StorageError::Full { .. } => StartError::Unavailable(error.to_string()),
        StorageError::Fatal(_) | StorageError::BadSnapshot(_) => StartError::Fatal(error.to_string()),
    }
}
