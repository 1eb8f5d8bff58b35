//! `synod bench`: throughput and latencies of calls on a running cluster, and what they cost its
//! members.
//!
//! Costs are differences of the members' own counters: fsyncs a second and commands per entry.
//! Every call is durable on a majority before it is answered, so only with more than one call per
//! entry can there be more calls than fsyncs. Cluster and clients are measured together; on one
//! machine they share its cores.
//!
//! This file sets workloads up and picks one; each measurement is in a file below.

mod args;
mod fanout;
mod handler;
mod histogram;
mod idle;
mod load;
mod measured;
mod paced;
mod report;
mod watch_load;
mod watchers;
mod wire;
mod workload;

use std::sync::Arc;

use synod_client::api::MemberStatus;
use synod_client::{Client, Follow, Options};

pub(crate) use args::BenchArgs;
use args::Via;
use fanout::Fanout;
use idle::Idlers;
use measured::Measured;
use report::Report;
use watch_load::WatchLoad;
use workload::{Caller, Kind, Putter, Workload};

use crate::cli::io::cluster::{Global, schema_of_space};
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output;
use crate::cli::io::progress::Spinner;
use crate::cli::values::units::count;

/// Watches of `watch-fanout`.
const FANOUT_WATCHERS: u64 = 1_000;
/// Watches of `watch-load`.
const LOAD_WATCHERS: u64 = 10_000;

/// Runs the benchmark, and fails if not a single call succeeded.
pub(crate) async fn run(args: BenchArgs, global: &Global) -> Result<(), Failed> {
    let client = global.learning_client().await?;
    let measured = match args.workload {
        Kind::IdleSessions => idle_sessions(&args, &client).await?.measured(),
        Kind::WatchFanout => watch_fanout(&args, &client).await?,
        Kind::WatchLoad => watch_load(&args, &client).await?,
        Kind::Handler => bound_handler(&args, &client).await?,
        kind => calls(&args, global, &client, kind.recipe()).await?.measured(),
    };
    output::answer(global.output, &measured.json, || measured.text)?;
    if measured.calls == 0 {
        let error = measured.errors.first().map_or("no call was answered", String::as_str);
        return Err(Failed::new(Exit::Unavailable, format!("no call succeeded: {error}")));
    }
    Ok(())
}

async fn watch_fanout(args: &BenchArgs, client: &Client) -> Result<Measured, Failed> {
    let address = watched_member(args, client).await?;
    let putter = putter(args, client).await?;
    let fanout = Fanout {
        watchers: count(args.watchers.unwrap_or(FANOUT_WATCHERS)),
        connections: count(args.connections),
        warmup: args.warmup(),
        length: args.length(),
    };
    fanout.run(client, &address, &putter).await
}

async fn watch_load(args: &BenchArgs, client: &Client) -> Result<Measured, Failed> {
    let address = watched_member(args, client).await?;
    let putter = Arc::new(putter(args, client).await?);
    let load = WatchLoad {
        watchers: count(args.watchers.unwrap_or(LOAD_WATCHERS)),
        matching: count(args.matching),
        connections: count(args.connections),
        events_per_second: args.events_per_second,
        warmup: args.warmup(),
        length: args.length(),
        rounds: args.rounds,
    };
    let counter = Kind::CounterAdd.recipe();
    let schema = schema_of_space(client, counter).await?;
    let workload = Arc::new(Workload::new(Kind::CounterAdd, counter, &schema, args.keys, 0)?);
    let callers = Caller::prepare(&workload, std::slice::from_ref(client), args.clients(), None).await?;
    load.run(client, &address, &putter, &callers).await
}

async fn bound_handler(args: &BenchArgs, client: &Client) -> Result<Measured, Failed> {
    client.create_space(handler::SOURCE, Kind::KvPut.recipe(), 0).await?;
    client.create_space(handler::HANDLER, "audit", 0).await?;
    let measured = async {
        let schema = schema_of_space(client, handler::SOURCE).await?;
        let workload = Workload::new(Kind::KvPut, handler::SOURCE, &schema, args.keys, args.value_bytes())?;
        let connection = std::slice::from_ref(client);
        let callers = Caller::prepare(&Arc::new(workload), connection, args.clients(), None).await?;
        handler::run(client, &callers, args.warmup(), args.length()).await
    };
    let measured = measured.await;
    for space in [handler::HANDLER, handler::SOURCE] {
        client.delete_space(space).await?;
    }
    measured
}

async fn putter(args: &BenchArgs, client: &Client) -> Result<Putter, Failed> {
    let space = args.space(Kind::KvPut.recipe());
    Putter::new(&space, &schema_of_space(client, &space).await?, args.value_bytes())
}

/// Where the watched member's clients connect.
async fn watched_member(args: &BenchArgs, client: &Client) -> Result<String, Failed> {
    if let Some(address) = &args.watch_at {
        return Ok(address.clone());
    }
    let status = client.status(false).await?;
    let leader = status.members.into_iter().find(|member| member.id == status.leader_id && member.reachable);
    leader.map(|leader| leader.client_address).ok_or_else(no_leader)
}

fn no_leader() -> Failed {
    Failed::new(Exit::Unavailable, "the cluster has no leader at the moment")
}

async fn calls(args: &BenchArgs, global: &Global, client: &Client, recipe: &str) -> Result<Report, Failed> {
    let space = args.space(recipe);
    let schema = schema_of_space(client, &space).await?;
    let workload = Arc::new(Workload::new(args.workload, &space, &schema, args.keys, args.value_bytes())?);
    let connections = connections(args, client, global).await?;
    let callers = Caller::prepare(&workload, &connections, args.clients(), args.ttl).await?;
    if args.warmup_seconds > 0 {
        let _spinner = Spinner::new("warming up");
        load::run(&callers, args.warmup()).await?;
    }
    let before = client.status(false).await?;
    let outcome = load::run(&callers, args.length()).await?;
    let after = client.status(false).await?;
    Caller::close(callers).await;
    Ok(Report::new(args, &space, &outcome, &before, &after))
}

async fn idle_sessions(args: &BenchArgs, client: &Client) -> Result<Report, Failed> {
    let status = client.status(false).await?;
    let wanted =
        |member: &&MemberStatus| member.reachable && (args.via == Via::All || member.id == status.leader_id);
    let addresses: Vec<String> =
        status.members.iter().filter(wanted).map(|member| member.client_address.clone()).collect();
    if addresses.is_empty() {
        return Err(no_leader());
    }
    let sessions = Idlers::open(&addresses, args.clients(), args.ttl.unwrap_or_default()).await?;
    let before = client.status(false).await?;
    let outcome = sessions.keep_alive(args.length()).await?;
    let after = client.status(false).await?;
    let ttl = sessions.ttl;
    sessions.close().await;
    let mut report = Report::new(args, "", &outcome, &before, &after);
    report.ttl = Some(ttl);
    Ok(report)
}

async fn connections(args: &BenchArgs, client: &Client, global: &Global) -> Result<Vec<Client>, Failed> {
    if args.via == Via::Leader {
        return Ok(vec![client.clone()]);
    }
    let mut connections = Vec::new();
    for address in client.addresses() {
        let options = Options { follow: Follow::Nearest, ..global.client_options() };
        connections.push(Client::connect_with(&address, options).await?);
    }
    Ok(connections)
}
