//! Opening the data folder: the databases, and what they say about this member.
use std::sync::Arc;

use synod_consensus::EntryId;
use synod_storage::{
    InstallHook, InstallStep, LogStore, MetaStore, RocksOptions, RocksStore, StateStore, StorageError,
};

use super::net::identity::Identity;
use super::net::roster::Roster;
use super::ports::tripwire::Tripwire;
use crate::settings::{ServerOptions, StartError};

/// The open data folder of a member.
pub(super) struct Data {
    /// Log, state and meta data.
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
        let store = open_store(options).await?;
        let tripwire = Tripwire::open(&options.data_dir)?;
        store.set_member_id(roster.me()).map_err(storage_error)?;
        let cluster = store.cluster_id().map_err(storage_error)?;
        let identity = Arc::new(Identity::new(roster.me(), options.name.clone(), cluster));
        let mark = store.applied().map_err(storage_error)?;
        let applied = EntryId::of_mark(&mark).map_err(StartError::fatal)?;
        let bounds = store.bounds().map_err(storage_error)?;
        let empty = applied.is_none()
            && bounds.last.is_none()
            && bounds.purged.is_none()
            && store.vote().map_err(storage_error)?.is_none();
        Ok(Self { store, tripwire, identity, applied, empty })
    }
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
