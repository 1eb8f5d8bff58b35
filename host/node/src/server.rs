//! The server half of the binary: a member is opened, built, served, and stopped in order.
//!
//! Data moves forward through what is built here: the ports call the member's logic, which proposes
//! to the consensus, which drives the apply thread. Nothing built here is reached from below.
//!
//! The rooms, each of which imports only from those below it:
//!
//! - `fuzzing`: what tests throw arbitrary bytes at,
//! - `serve`, below it `build`, below it `open`: the steps of a start, last to first,
//! - `duties`: what a member does without being asked,
//! - `client`: the gRPC services for clients,
//! - `peer`: the gRPC service for the other members,
//! - `ports`: what the service crate asks for, over disk, threads, engine and consensus,
//! - `net`: identity, roster, connections to the others, listening sockets,
//! - `heap`: how free memory goes back to the system.
mod build;
mod client;
mod duties;
pub(crate) mod fuzzing;
mod heap;
mod net;
mod open;
mod peer;
mod ports;
mod serve;

use std::sync::Arc;
use std::time::{Duration, Instant};

use synod_abi::MemberId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::build::{Built, build, raft_settings};
use self::duties::belong::Belonging;
use self::duties::form::Former;
use self::duties::govern::{self, Governor};
use self::duties::renew::Renewal;
use self::duties::{agree, disk, fail_over, hand_over, lead, members, tell};
use self::net::descriptors::Descriptors;
use self::net::owner::Ends;
use self::net::roster::Roster;
use self::open::Data;
use self::ports::halt::Halt;
use self::ports::{NodeMember, NodeRaft};
use self::serve::{Serving, Sockets};
use crate::settings::{ServerOptions, StartError};

pub(crate) use self::ports::compile::{is_child as is_compiler, run_child as run_compiler};

/// Runs a member until a signal stops it, or it cannot go on.
///
/// # Errors
/// [`StartError`], also for a cause that ends the member later.
pub(crate) async fn run(mut options: ServerOptions) -> Result<(), StartError> {
    let started = Instant::now();
    heap::keep_compact();
    ignore_hang_ups();
    let descriptors = Descriptors::raise(options.open_files);
    options.open_files = descriptors.table_files;
    let settings = raft_settings(&options).map_err(|error| StartError::Usage(error.to_string()))?;
    let sockets = Sockets::bind(&options).await?;
    let client_address = sockets.client_address().to_owned();

    let data = Data::open(&options).await?;
    let roster = Arc::new(Roster::new(&options, data.identity.me, &client_address));
    let built = build(&options, settings, roster, data).await?;
    let (ends, ended_connections) = Ends::new();
    let serving = Serving::start(&options, &built, sockets, descriptors, ends, started);
    tracing::info!(
        member = options.name,
        clients = client_address,
        startup_ms = started.elapsed().as_millis() as u64,
        "serving"
    );

    let governing = start_duties(&options, &built, ended_connections);
    let mut signals = StopSignals::listen();
    let ended = tokio::select! {
        ended = until_broken(&options, &built, &serving) => ended,
        _ = signals.next() => Ok(()),
    };
    governing.abort();
    tokio::select! {
        () = stop(&options, &built, serving) => ended,
        signal = signals.next() => {
            tracing::warn!("this member was told twice to stop, and ends at once");
            std::process::exit(128 + signal)
        }
    }
}

/// Starts what the member does on its own account, but for forming, which the caller waits for.
fn start_duties(options: &ServerOptions, built: &Built, ends: mpsc::Receiver<MemberId>) -> JoinHandle<()> {
    let Built { member, store, raft, identity, peers, .. } = built;
    tokio::spawn(govern::check_cluster(member.clone(), identity.clone()));
    tokio::spawn(members::keep(raft.clone(), built.roster.clone()));
    tokio::spawn(disk::watch(member.clone(), raft.clone(), store.clone()));
    tokio::spawn(lead::yield_while_unable(member.clone(), raft.clone(), peers.clone()));
    tokio::spawn(fail_over::replace_ended_leaders(ends, raft.clone(), peers.clone()));
    tokio::spawn(tell::tell(member.clone(), built.roster.clone()));
    let kept = member.clone();
    tokio::spawn(async move { kept.keep_available().await });
    member.keep_checkpoints();
    tokio::spawn(agree::keep_agreement(member.clone(), Halt::in_folder(&options.data_dir)));
    let scrubbed = member.clone();
    let pace = options.scrub;
    tokio::spawn(async move { scrubbed.keep_scrubs(pace).await });
    let measuring = member.clone();
    tokio::spawn(async move { measuring.keep_clocks().await });
    let governor = Governor {
        member: member.clone(),
        replication: built.replication.clone(),
        environment: built.environments.supported()[0],
        identity: identity.clone(),
        bundled: options.bundled,
        replace: options.replace,
    };
    let renewal = Renewal {
        member: member.clone(),
        replication: built.replication.clone(),
        environments: built.environments.clone(),
        rows: built.rows.clone(),
        peers: peers.clone(),
        roster: built.roster.clone(),
    };
    tokio::spawn(renewal.run());
    tokio::spawn(governor.run())
}

/// Brings the member to its cluster and keeps it known there, until it breaks or may not go on.
async fn until_broken(options: &ServerOptions, built: &Built, serving: &Serving) -> Result<(), StartError> {
    let former = Former {
        roster: built.roster.clone(),
        peers: built.peers.clone(),
        greeter: serving.greeter.clone(),
        raft: built.raft.clone(),
        file: built.file.clone(),
        identity: built.identity.clone(),
        replace_lost: options.replace_lost,
        crash_at: options.crash_at.clone(),
    };
    let belonging = Belonging {
        roster: built.roster.clone(),
        peers: built.peers.clone(),
        greeter: serving.greeter.clone(),
        raft: built.raft.clone(),
    };
    let belong = async {
        if !built.has_log || former.is_replacing() {
            former.run().await?;
        }
        belonging.run().await
    };
    tokio::select! {
        broken = broken(&built.member, &built.raft) => broken,
        ended = belong => ended.map(|never| match never {}),
    }
}

/// Waits until the consensus has stopped or the member's logic has failed.
async fn broken(member: &NodeMember, raft: &NodeRaft) -> Result<(), StartError> {
    tokio::select! {
        stopped = raft.stopped() => stopped.map_err(StartError::fatal),
        cause = member.failed() => Err(StartError::fatal(cause)),
    }
}

/// Lets calls in flight finish, hands leadership over, stops what runs, and brings the state to
/// disk.
async fn stop(options: &ServerOptions, built: &Built, serving: Serving) {
    let grace = Duration::from_millis(options.shutdown_grace_ms);
    serving.stop_clients();
    built.member.shut_down(grace).await;
    hand_over::hand_over(&built.raft).await;
    built.raft.shutdown().await;
    serving.close(grace).await;
    let store = built.store.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
        tracing::error!(%error, "the store was not closed in order");
    }
    tracing::info!("stopped");
}

/// SIGTERM and SIGINT, which stop a member. Until they are listened for, they end the process.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Self {
        Self {
            terminate: signal(SignalKind::terminate()).expect("SIGTERM can be listened for"),
            interrupt: signal(SignalKind::interrupt()).expect("SIGINT can be listened for"),
        }
    }

    /// Waits for the next of them; its number.
    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        tracing::info!(signal = kind.as_raw_value(), "told to stop");
        kind.as_raw_value()
    }
}

/// Keeps SIGHUP, as when a terminal closes, from ending the process: it is kept for reloading.
fn ignore_hang_ups() {
    let mut hang_ups = signal(SignalKind::hangup()).expect("SIGHUP can be listened for");
    tokio::spawn(async move {
        while hang_ups.recv().await.is_some() {
            tracing::info!("SIGHUP has no effect: there is nothing to reload yet");
        }
    });
}
