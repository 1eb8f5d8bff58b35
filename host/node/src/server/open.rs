//! Opening the data folder: the databases, and what they say about this member.
use std::sync::Arc;

use synod_abi::MemberId;
use synod_consensus::EntryId;
use synod_storage::{
    IdentityFile, Joined, LogStore, MemberIdentity, RocksOptions, RocksStore, StateStore, StorageError,
};

use super::net::identity::Identity;
use super::ports::halt::Halt;
use super::ports::tripwire::Tripwire;
use crate::settings::{ServerOptions, StartError};

/// Bits of a member's id.
const MEMBER_ID_BITS: u32 = 53;

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
    /// Whether the member has a log or a state, and so is of a cluster that was formed.
    pub(super) has_log: bool,
}

impl Data {
    /// Opens the folder, recovering what a crash has left.
    ///
    /// # Errors
    /// The folder cannot be used, belongs to another member, or holds an entry on which this member
    /// crashes.
    pub(super) async fn open(options: &ServerOptions) -> Result<Self, StartError> {
        let file = IdentityFile::open(&options.data_dir, &options.name, random_member);
        let file = Arc::new(file.map_err(storage_error)?);
        check_peers(&file.present(), options)?;
        options.crash_at.reach("identity");
        Halt::in_folder(&options.data_dir).check()?;
        let store = open_store(options, file.clone()).await?;
        options.crash_at.reach("databases");
        let incarnation = file.opened().map_err(storage_error)?;
        options.crash_at.reach("opened");
        let tripwire = Tripwire::open(&options.data_dir)?;
        let present = file.present();
        let cluster = present.cluster.map(|(cluster, _)| cluster);
        let identity = Arc::new(Identity::new(present.member, present.name, cluster));
        let mark = store.applied().map_err(storage_error)?;
        let applied = EntryId::of_mark(&mark).map_err(StartError::fatal)?;
        let bounds = store.bounds().map_err(storage_error)?;
        let has_log = applied.is_some() || bounds.last.is_some() || bounds.purged.is_some();
        Ok(Self { file, incarnation, store, tripwire, identity, applied, has_log })
    }
}

/// Refuses to start a member of several without the others' addresses: it would have no port for
/// them, and tell them so.
fn check_peers(present: &MemberIdentity, options: &ServerOptions) -> Result<(), StartError> {
    let is_alone = match &present.cluster {
        Some((_, Joined::Formed(list))) => list.len() == 1,
        Some((_, Joined::Replacing(_))) => false,
        None => true,
    };
    if is_alone || !options.peers.is_empty() {
        return Ok(());
    }
    Err(StartError::Usage(
        "this member belongs to a cluster of several: start it with --peers, every member's address, its own \
            among them"
            .to_owned(),
    ))
}

/// Draws a member's id. It has as many bits as every reader of JSON keeps of a number.
fn random_member() -> std::io::Result<MemberId> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(MemberId(u64::from_le_bytes(bytes) >> (u64::BITS - MEMBER_ID_BITS)).max(MemberId(1)))
}

/// Opens the databases on a thread of their own: recovery reads a lot.
async fn open_store(options: &ServerOptions, file: Arc<IdentityFile>) -> Result<RocksStore, StartError> {
    let path = options.data_dir.clone();
    let rocks = RocksOptions {
        block_cache_bytes: options.block_cache_bytes,
        write_buffer_bytes: options.write_buffer_bytes,
        open_files: options.open_files,
        identity: Some(file),
        on_step: options.crash_at.hook(),
        ..RocksOptions::default()
    };
    let opening = tokio::task::spawn_blocking(move || RocksStore::open(&path, &rocks));
    opening.await.map_err(StartError::fatal)?.map_err(storage_error)
}

/// The reason for which a member does not start with a store that failed.
pub(super) fn storage_error(error: StorageError) -> StartError {
    match error {
        StorageError::Unusable(_) => StartError::Usage(error.to_string()),
        StorageError::Full { .. } => StartError::Unavailable(error.to_string()),
        StorageError::Fatal(_) | StorageError::BadSnapshot(_) => StartError::Fatal(error.to_string()),
    }
}
