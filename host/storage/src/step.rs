//! Steps between which a crash makes a difference: the one list of them, for tests that kill a
//! member at each.
//!
//! A store that is opened with a hook tells it each step as it is reached; one without pays a look
//! at an option for each batch and entry.
use std::sync::Arc;

/// Called at each step, on the thread that takes it.
pub type StepHook = Arc<dyn Fn(Step) + Send + Sync>;

/// A step of the store. Each says what is done when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// `FORMAT` says that the databases are being created; none is there.
    CreateBegun,
    /// The log's database is there, and empty.
    CreateLog,
    /// The first generation of the state is there, and empty.
    CreateState,
    /// The log says which generation it is; `FORMAT` still says that they are being created.
    CreateNoted,
    /// `FORMAT` says that the databases are whole.
    CreateWhole,
    /// Of a snapshot every file has arrived, is verified and on disk.
    InstallReceived,
    /// The files lie in the folder of a new generation, on disk.
    InstallPlaced,
    /// The generation is open, and as far as was announced.
    InstallOpened,
    /// Its rows are those that it says.
    InstallVerified,
    /// The batch that switches to it is about to be written.
    SwitchBegun,
    /// The batch is written, not synced.
    SwitchWritten,
    /// The batch is on disk: the generation is the present one. Nobody was told.
    SwitchSynced,
    /// The store knows, too.
    InstallSwitched,
    /// The old generation is given up; its folder goes with its last reader.
    InstallOldDropped,
    /// The batch that purges the log is about to be written.
    PurgeBegun,
    /// The batch is written, not synced.
    PurgeWritten,
    /// The batch is on disk.
    PurgeSynced,
    /// The files of the purged records are gone.
    PurgeRemoved,
    /// The batch that truncates the log is about to be written; the watermark is lower already.
    TruncateBegun,
    /// The batch is written, not synced.
    TruncateWritten,
    /// The batch is on disk. Nobody was told.
    TruncateSynced,
    /// The batch that appends records is about to be written.
    AppendBegun,
    /// The batch is written, not synced.
    AppendWritten,
    /// The batch is on disk. Nobody was told.
    AppendSynced,
    /// The batch that keeps a vote is about to be written.
    VoteBegun,
    /// The batch is written, not synced.
    VoteWritten,
    /// The batch is on disk. Nobody was told.
    VoteSynced,
    /// What an entry changes of the state is about to be written.
    ApplyBegun,
    /// It is written, which RocksDB keeps in memory. Nobody was told.
    ApplyWritten,
    /// The state is about to be flushed.
    FlushBegun,
    /// The state is on disk as far as it was written. What waits for that does not know yet.
    FlushDone,
}

impl Step {
    /// Creating the databases, in order.
    pub const CREATING: [Self; 5] =
        [Self::CreateBegun, Self::CreateLog, Self::CreateState, Self::CreateNoted, Self::CreateWhole];
    /// Installing a snapshot, in order; the switch of generations among it.
    pub const INSTALLING: [Self; 9] = [
        Self::InstallReceived,
        Self::InstallPlaced,
        Self::InstallOpened,
        Self::InstallVerified,
        Self::SwitchBegun,
        Self::SwitchWritten,
        Self::SwitchSynced,
        Self::InstallSwitched,
        Self::InstallOldDropped,
    ];
    /// Purging the log, in order.
    pub const PURGING: [Self; 4] =
        [Self::PurgeBegun, Self::PurgeWritten, Self::PurgeSynced, Self::PurgeRemoved];
    /// Truncating the log, in order.
    pub const TRUNCATING: [Self; 3] = [Self::TruncateBegun, Self::TruncateWritten, Self::TruncateSynced];

    /// Appending records, in order.
    pub const APPENDING: [Self; 3] = [Self::AppendBegun, Self::AppendWritten, Self::AppendSynced];
    /// Keeping a vote, in order.
    pub const VOTING: [Self; 3] = [Self::VoteBegun, Self::VoteWritten, Self::VoteSynced];
    /// Applying an entry, in order.
    pub const APPLYING: [Self; 2] = [Self::ApplyBegun, Self::ApplyWritten];
    /// Flushing the state, in order.
    pub const FLUSHING: [Self; 2] = [Self::FlushBegun, Self::FlushDone];

    /// Its name, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateBegun => "create_begun",
            Self::CreateLog => "create_log",
            Self::CreateState => "create_state",
            Self::CreateNoted => "create_noted",
            Self::CreateWhole => "create_whole",
            Self::InstallReceived => "install_received",
            Self::InstallPlaced => "install_placed",
            Self::InstallOpened => "install_opened",
            Self::InstallVerified => "install_verified",
            Self::SwitchBegun => "switch_begun",
            Self::SwitchWritten => "switch_written",
            Self::SwitchSynced => "switch_synced",
            Self::InstallSwitched => "install_switched",
            Self::InstallOldDropped => "install_old_dropped",
            Self::PurgeBegun => "purge_begun",
            Self::PurgeWritten => "purge_written",
            Self::PurgeSynced => "purge_synced",
            Self::PurgeRemoved => "purge_removed",
            Self::TruncateBegun => "truncate_begun",
            Self::TruncateWritten => "truncate_written",
            Self::TruncateSynced => "truncate_synced",
            Self::AppendBegun => "append_begun",
            Self::AppendWritten => "append_written",
            Self::AppendSynced => "append_synced",
            Self::VoteBegun => "vote_begun",
            Self::VoteWritten => "vote_written",
            Self::VoteSynced => "vote_synced",
            Self::ApplyBegun => "apply_begun",
            Self::ApplyWritten => "apply_written",
            Self::FlushBegun => "flush_begun",
            Self::FlushDone => "flush_done",
        }
    }

    /// Tells `hook`, if there is one.
    pub(crate) fn tell(self, hook: Option<&StepHook>) {
        if let Some(hook) = hook {
            hook(self);
        }
    }
}
