//! Putting a member together over its open data: ports, logic, apply thread, consensus.
//!
//! Each part is given what it needs when it is made. Only the replication port is made before the
//! consensus that it stands for, because the consensus applies entries while it starts; it is bound
//! to the consensus at the end.
use std::sync::Arc;

use synod_consensus::{BadSettings, Raft, Settings};
use synod_service::{MachineReplica, Member, MemberParts, ProposerLimits};
use synod_storage::{IdentityFile, RocksStore, StateStore};
use synod_vm::{Editions, WasmVm};

use super::client::encode_event;
use super::net::identity::Identity;
use super::net::peers::Peers;
use super::net::roster::Roster;
use super::open::{Data, storage_error};
use super::ports::apply::ApplyThread;
use super::ports::compile::ChildCompiler;
use super::ports::environments::Environments;
use super::ports::prepare::{Compiler, MajorityPreparer};
use super::ports::queries::QueryThreads;
use super::ports::recipes::Recipes;
use super::ports::replication::RaftReplication;
use super::ports::rows::Rows;
use super::ports::runtime::{TokioTasks, WallClock};
use super::ports::{NodeMember, NodeRaft};
use crate::settings::{ServerOptions, StartError};

/// Share of the entries between two compactions that stay in the log behind one.
const KEEP_OF_COMPACTION: u64 = 5;
/// Share of the log's limit after which it is compacted.
const COMPACTION_OF_LIMIT: u64 = 4;

/// A member that runs, before its ports are served.
pub(super) struct Built {
    /// Who it is.
    pub(super) identity: Arc<Identity>,
    /// Who the members are.
    pub(super) roster: Arc<Roster>,
    /// The connections to the others.
    pub(super) peers: Peers,
    /// Whose folder it is.
    pub(super) file: Arc<IdentityFile>,
    /// Its log and state.
    pub(super) store: RocksStore,
    /// Its logic.
    pub(super) member: NodeMember,
    /// Its consensus.
    pub(super) raft: NodeRaft,
    /// The consensus as its logic sees it.
    pub(super) replication: RaftReplication,
    /// Compiles modules.
    pub(super) compiler: Compiler,
    /// Its rows, and the log that they follow.
    pub(super) rows: Rows,
    /// What this binary means by an entry.
    pub(super) environments: Arc<Environments>,
    /// Whether it started with a log or a state.
    pub(super) has_log: bool,
}

/// Builds a member and starts its apply thread and consensus. Entries that are
/// committed but not yet in the state are applied before this returns.
///
/// # Errors
/// The data cannot be read, or the host lacks threads.
pub(super) async fn build(
    options: &ServerOptions,
    settings: Settings,
    roster: Arc<Roster>,
    data: Data,
) -> Result<Built, StartError> {
    let Data { file, incarnation, store, tripwire, identity, applied, has_log } = data;
    let editions = Editions::with_cache(&options.data_dir.join("modules"), Arc::new(ChildCompiler::new()));
    let editions = editions.map_err(StartError::fatal)?;
    let environments = Arc::new(Environments::new(editions.clone()));
    let tripwire = Arc::new(tripwire);
    let rows = Rows { log: store.clone(), state: store.clone(), tripwire: tripwire.clone() };
    let peers = Peers::new(identity.clone(), roster.clone());
    let (replication, unbound) = RaftReplication::new(roster.me(), peers.clone());
    let compiler = Compiler(editions.clone());
    let preparer =
        MajorityPreparer { compiler: compiler.clone(), peers: peers.clone(), roster: roster.clone() };
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    let queries = QueryThreads::start(editions.newest().clone(), processors).map_err(StartError::Fatal)?;
    let vm = Recipes::new(WasmVm::new(editions).map_err(StartError::fatal)?, tripwire);
    let (own_rows, supported) = (rows.clone(), environments.clone());
    let (me, port, whose) = (roster.me(), replication.clone(), identity.clone());
    let start = move || {
        let view = rows.state.view().map_err(storage_error)?;
        let replica = MachineReplica::load(&view, supported.supported(), vm).map_err(StartError::fatal)?;
        drop(view);
        let parts = MemberParts {
            member: me,
            incarnation,
            limits: ProposerLimits::default(),
            applied_index: applied.map_or(0, |entry| entry.index),
            applied_term: applied.map_or(0, |entry| entry.term),
            runtime: TokioTasks::new(),
            clock: Arc::new(WallClock),
            replication: port,
            store: rows.clone(),
            replica,
            queries: Arc::new(queries),
            preparer: Arc::new(preparer),
            encode_event,
        };
        let (member, executor) = Member::start(parts).map_err(StartError::fatal)?;
        let applier = ApplyThread::start(executor, rows, whose).map_err(StartError::fatal)?;
        Ok::<_, StartError>((member, Arc::new(applier)))
    };
    let (member, applier) = tokio::task::spawn_blocking(start).await.map_err(StartError::fatal)??;
    let starting = Raft::start(roster.me(), settings, store.clone(), store.clone(), applier, peers.clone());
    let raft = starting.await.map_err(StartError::fatal)?;
    unbound.bind(raft.clone());
    Ok(Built {
        file,
        identity,
        roster,
        peers,
        store,
        member,
        raft,
        replication,
        compiler,
        rows: own_rows,
        environments,
        has_log,
    })
}

/// The settings of the consensus.
///
/// # Errors
/// The options contradict each other.
pub(super) fn raft_settings(options: &ServerOptions) -> Result<Settings, BadSettings> {
    let defaults = Settings::default();
    let kept = options.snapshot_entries * 2 / KEEP_OF_COMPACTION;
    let settings = Settings {
        heartbeat_interval_ms: options.heartbeat_ms,
        election_timeout_min_ms: options.election_min_ms,
        election_timeout_max_ms: options.election_max_ms,
        quorum_loss_probe_interval_ms: defaults
            .quorum_loss_probe_interval_ms
            .max(options.election_max_ms.saturating_mul(5) / 2),
        replication_idle_timeout_ms: defaults.replication_idle_timeout_ms.max(options.election_max_ms),
        compaction_entries: options.snapshot_entries,
        compaction_bytes: defaults.compaction_bytes.min(options.log_limit_bytes / COMPACTION_OF_LIMIT),
        log_limit_bytes: options.log_limit_bytes,
        log_entries_to_keep: kept,
        purge_batch_entries: defaults.purge_batch_entries.min(kept.max(1)),
        ..defaults
    };
    settings.validate()?;
    Ok(settings)
}
