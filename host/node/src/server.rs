//! The server half: puts a member together, serves its two ports, and takes it down in order.
//!
//! Data moves forward through what is built here: services call the member, the member proposes to
//! the consensus, the consensus drives the apply thread. Nothing built here is reached from below.
mod apply;
mod disk;
mod form;
mod govern;
mod grpc;
mod hand_over;
mod hello;
mod identity;
mod listen;
mod member;
mod peer_service;
mod peers;
mod prepare;
mod queries;
mod replication;
mod roster;
mod rows;
mod runtime;
mod standing;
mod status;
mod tripwire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use synod_consensus::{BadSettings, EntryId, Raft, Settings};
use synod_machine::Environment;
use synod_service::{MachineReplica, Member, MemberParts, ProposerLimits};
use synod_storage::{LogStore, MetaStore, RocksOptions, RocksStore, StateStore, StorageError};
use synod_vm::{Modules, WasmVm};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::apply::ApplyThread;
use self::form::Former;
use self::govern::Governor;
use self::grpc::{Front, encode_event};
use self::hello::Greeter;
use self::identity::Identity;
use self::listen::{ClientPort, PeerPort};
use self::member::{NodeMember, NodeRaft};
use self::peer_service::PeerService;
use self::peers::Peers;
use self::prepare::{Compiler, MajorityPreparer};
use self::queries::QueryThreads;
use self::replication::RaftReplication;
use self::roster::Roster;
use self::rows::Rows;
use self::runtime::{TokioTasks, WallClock};
use self::standing::Standing;
use self::status::Reporter;
use self::tripwire::Tripwire;
use crate::settings::{ServerOptions, StartError};

/// Share of the entries between two compactions that stay in the log behind one.
const KEEP_OF_COMPACTION: u64 = 5;

fn storage_error(error: StorageError) -> StartError {
    match error {
        StorageError::Unusable(_) => StartError::Usage(error.to_string()),
        StorageError::Full { .. } => StartError::Unavailable(error.to_string()),
        StorageError::Fatal(_) | StorageError::BadSnapshot(_) => StartError::Fatal(error.to_string()),
    }
}

fn fatal(error: impl std::fmt::Display) -> StartError {
    StartError::Fatal(error.to_string())
}

/// Runs a member until it is told to stop, or cannot go on.
///
/// # Errors
/// [`StartError`], also for what ends a member later.
pub(crate) async fn run(options: ServerOptions) -> Result<(), StartError> {
    let started = Instant::now();
    let roster = Arc::new(Roster::new(&options).map_err(StartError::Usage)?);
    let settings = settings(&options).map_err(|error| StartError::Usage(error.to_string()))?;
    let client_listener = listen::bind(&options.client_addr, "clients").await?;
    let peer_listener = match &options.peer_addr {
        Some(address) => Some(listen::bind(address, "members").await?),
        None => None,
    };
    let client_address = match &options.client_advertise {
        Some(address) => address.to_string(),
        None => client_listener.local_addr().map_err(fatal)?.to_string(),
    };

    let store = open(&options).await?;
    let (log, state, meta) = (store.clone(), store.clone(), store);
    let tripwire = Tripwire::open(&options.data_dir)?;
    meta.set_member_id(roster.me()).map_err(storage_error)?;
    let identity =
        Arc::new(Identity::new(roster.me(), options.name.clone(), meta.cluster_id().map_err(storage_error)?));
    let mark = state.applied().map_err(storage_error)?;
    let applied = EntryId::of_mark(&mark).map_err(fatal)?;
    let bounds = log.bounds().map_err(storage_error)?;
    let empty = applied.is_none()
        && bounds.last.is_none()
        && bounds.purged.is_none()
        && log.vote().map_err(storage_error)?.is_none();

    let modules = Modules::with_cache(&options.data_dir.join("modules")).map_err(fatal)?;
    let environment = Environment { semantics: Environment::SEMANTICS, engine: modules.engine_fingerprint() };
    let rows = Rows { log: log.clone(), state: state.clone() };
    let peers = Peers::new(identity.clone(), roster.clone());
    let (replication, unbound) = RaftReplication::new(roster.me(), peers.clone());
    let compiler = Compiler(modules.clone());
    let query_threads = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    let view = state.view().map_err(storage_error)?;
    let replica = MachineReplica::load(&view, environment, WasmVm::new(modules.clone()).map_err(fatal)?)
        .map_err(fatal)?;
    drop(view);
    let (member, executor) = Member::start(MemberParts {
        member: roster.me(),
        incarnation: meta.incarnation(),
        limits: ProposerLimits::default(),
        applied_index: applied.map_or(0, |entry| entry.index),
        applied_term: applied.map_or(0, |entry| entry.term),
        runtime: TokioTasks::new(),
        clock: Arc::new(WallClock),
        replication: replication.clone(),
        store: rows.clone(),
        replica,
        queries: Arc::new(QueryThreads::start(modules.clone(), query_threads).map_err(StartError::Fatal)?),
        preparer: Arc::new(MajorityPreparer {
            compiler: compiler.clone(),
            peers: peers.clone(),
            roster: roster.clone(),
        }),
        encode_event,
    })
    .map_err(fatal)?;
    let applier = Arc::new(ApplyThread::start(executor, rows, tripwire).map_err(fatal)?);
    let raft: NodeRaft =
        Raft::start(roster.me(), settings, log.clone(), state.clone(), applier, peers.clone())
            .await
            .map_err(fatal)?;
    unbound.bind(raft.clone());

    let standing = Arc::new(Standing::new(empty));
    let greeter = Arc::new(Greeter {
        identity: identity.clone(),
        roster: roster.clone(),
        raft: raft.clone(),
        standing: standing.clone(),
        client_address: client_address.clone(),
    });
    let reporter = Arc::new(Reporter {
        identity: identity.clone(),
        roster: roster.clone(),
        peers: peers.clone(),
        raft: raft.clone(),
        log: log.clone(),
        member: member.clone(),
        client_address: client_address.clone(),
        started,
    });
    let (stop_clients, clients_stopping) = watch::channel(false);
    let (stop_peers, peers_stopping) = watch::channel(false);
    let front = Front {
        identity: identity.clone(),
        member: member.clone(),
        raft: raft.clone(),
        state: state.clone(),
        call_timeout: Duration::from_millis(options.call_timeout_ms),
        replace: options.replace,
        stopping: clients_stopping.clone(),
    };
    let client_port =
        ClientPort { front, reporter: reporter.clone() }.serve(client_listener, clients_stopping).await;
    let peer_port = peer_listener.map(|listener| {
        let service = PeerService {
            identity: identity.clone(),
            raft: raft.clone(),
            member: member.clone(),
            state: state.clone(),
            compiler,
            greeter: greeter.clone(),
            reporter,
            standing: standing.clone(),
        };
        PeerPort(service).serve(listener, peers_stopping)
    });
    tracing::info!(
        member = options.name,
        clients = client_address,
        startup_ms = started.elapsed().as_millis() as u64,
        "serving"
    );

    tokio::spawn(govern::learn_cluster(member.clone(), state.clone(), meta, identity));
    tokio::spawn(disk::watch(member.clone(), raft.clone(), log));
    let governor = Governor {
        member: member.clone(),
        replication,
        state,
        environment,
        bundled: options.bundled,
        replace: options.replace,
    };
    let governing = tokio::spawn(governor.run());
    let former = Former { roster, peers, greeter, raft: raft.clone(), standing };
    let forming = async move { if empty { former.run().await } else { former.check().await } };
    let ended = tokio::select! {
        ended = wait(forming, &member, &raft) => ended,
        () = listen::stop_signal() => Ok(()),
    };
    governing.abort();
    stop_clients.send_replace(true);
    take_down(&options, &member, &raft).await;
    stop_peers.send_replace(true);
    if tokio::time::timeout(Duration::from_millis(options.shutdown_grace_ms), client_port).await.is_err() {
        tracing::debug!("connections were still open when the member stopped");
    }
    // Peers keep their streams open for ever, and nothing that comes over them can succeed any
    // more.
    peer_port.iter().for_each(JoinHandle::abort);
    tracing::info!("stopped");
    ended
}

/// Opens the data directory, away from the runtime's threads: recovery reads a lot.
async fn open(options: &ServerOptions) -> Result<RocksStore, StartError> {
    let (path, crash_at) = (options.data_dir.clone(), options.crash_at.clone());
    let opening = tokio::task::spawn_blocking(move || {
        let on_install_step = crash_at.map(|point| {
            let hook: synod_storage::InstallHook = Arc::new(move |step: synod_storage::InstallStep| {
                if step.name() == point {
                    tracing::warn!(point, "dying, as --crash-at wants it");
                    std::process::abort();
                }
            });
            hook
        });
        RocksStore::open(&path, &RocksOptions { on_install_step, ..RocksOptions::default() })
    });
    opening.await.map_err(fatal)?.map_err(storage_error)
}

fn settings(options: &ServerOptions) -> Result<Settings, BadSettings> {
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
        log_entries_to_keep: kept,
        purge_batch_entries: defaults.purge_batch_entries.min(kept.max(1)),
        ..defaults
    };
    settings.validate()?;
    Ok(settings)
}

/// Waits for what ends a member from within.
async fn wait(
    forming: impl Future<Output = Result<(), StartError>>,
    member: &NodeMember,
    raft: &NodeRaft,
) -> Result<(), StartError> {
    let running = async {
        tokio::select! {
            stopped = raft.stopped() => stopped.map_err(fatal),
            cause = member.failed() => Err(fatal(cause)),
        }
    };
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        formed = forming => formed?,
    }
    running.await
}

/// Lets calls in flight finish, hands leadership over, and stops what runs.
async fn take_down(options: &ServerOptions, member: &NodeMember, raft: &NodeRaft) {
    let grace = Duration::from_millis(options.shutdown_grace_ms);
    member.shut_down(grace).await;
    hand_over::hand_over(raft).await;
    raft.shutdown().await;
}
