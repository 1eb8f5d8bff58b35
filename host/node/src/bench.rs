//! `synod bench`: how many calls a running cluster takes, how long each takes, and what they cost
//! it.
//!
//! Costs come from the members' own counters before and after: fsyncs a second and commands per
//! entry. Every call is durable on a majority before it is answered, so calls per entry above 1 is
//! what makes more calls than fsyncs possible. It measures the cluster and this client together; on
//! one machine they share its cores.

mod fanout;
mod handler;
mod histogram;
mod idle;
mod load;
mod paced;
mod report;
mod watch_load;
mod watchers;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use synod_client::api::MemberStatus;
use synod_client::{Client, Follow, Options};

use super::calling::schema_of_space;
use super::fail::{Exit, Failed};
use super::progress::Spinner;
use super::token::seconds;
use super::{Global, output};
use fanout::Fanout;
use idle::Idlers;
use report::Report;
use watch_load::WatchLoad;
use workload::{Caller, Kind, Putter, Workload};

/// Most callers: each holds one request in flight.
const CLIENTS: u64 = 10_000;
/// Most watches.
const WATCHERS: u64 = 100_000;
/// Watches of `watch-fanout`.
const FANOUT_WATCHERS: u64 = 1_000;
/// Watches of `watch-load`.
const LOAD_WATCHERS: u64 = 10_000;

/// Flags of `synod bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// What is measured.
    #[arg(value_enum, default_value = "kv-put")]
    workload: Kind,
    /// Callers, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=CLIENTS))]
    clients: u64,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How long to run before measuring, in seconds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=600), value_name = "SECONDS")]
    warmup_seconds: u64,
    /// Size of the values that are put, in bytes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=255 * 1_024), value_name = "BYTES")]
    value_bytes: u64,
    /// How many keys are used.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// The space [default: the recipe's name: counter, kv or lock].
    #[arg(long)]
    space: Option<String>,
    /// Time to live of sessions, in seconds [default: the cluster's, 10].
    #[arg(long, value_name = "S", value_parser = seconds)]
    ttl: Option<Duration>,
    /// Which members are called.
    #[arg(long, value_enum, default_value_t)]
    via: Via,
    /// Watches, all at one member [default: 1000 for watch-fanout, 10000 for watch-load].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=WATCHERS))]
    watchers: Option<u64>,
    /// Connections that the watches are spread over, each with one stream.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    connections: u64,
    /// The member that is watched, host:port [default: the leader].
    #[arg(long, value_name = "HOST:PORT")]
    watch_at: Option<String>,
    /// Events a second of watch-load.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    events_per_second: u64,
    /// Watches that each event of watch-load matches.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=WATCHERS))]
    matching: u64,
    /// How often watch-load has watches come and go.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
}

/// Which members the callers talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Via {
    /// The leader, as the client library does by itself.
    #[default]
    Leader,
    /// All members, the callers spread evenly: followers forward.
    All,
}

pub(crate) async fn run(args: BenchArgs, global: &Global) -> Result<(), Failed> {
    let learning = Options { learn_members: true, ..global.client_options() };
    let client = Client::connect_with(&global.endpoint, learning).await?;
    let (length, clients) =
        (Duration::from_secs(args.seconds), usize::try_from(args.clients).unwrap_or(usize::MAX));
    let measured = match args.workload {
        Kind::IdleSessions => idle_sessions(&args, &client, clients, length).await?.measured(),
        Kind::WatchFanout => watch_fanout(&args, &client, length).await?,
        Kind::WatchLoad => watch_load(&args, &client, clients, length).await?,
        Kind::Handler => bound_handler(&args, &client, clients, length).await?,
        kind => calls(&args, global, &client, kind.recipe(), clients, length).await?.measured(),
    };
    output::answer(global.output, &measured.json, || measured.text)?;
    if measured.calls == 0 {
        let error = measured.errors.first().map_or("no call was answered", String::as_str);
        return Err(Failed::new(Exit::Unavailable, format!("no call succeeded: {error}")));
    }
    Ok(())
}

/// What came of a benchmark.
struct Measured {
    json: Value,
    text: String,
    calls: u64,
    errors: Vec<String>,
}

impl BenchArgs {
    fn warmup(&self) -> Duration {
        Duration::from_secs(self.warmup_seconds)
    }

    fn value_bytes(&self) -> usize {
        usize::try_from(self.value_bytes).unwrap_or(usize::MAX)
    }

    fn space(&self, recipe: &str) -> String {
        self.space.clone().unwrap_or_else(|| recipe.to_owned())
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

async fn watch_fanout(args: &BenchArgs, client: &Client, length: Duration) -> Result<Measured, Failed> {
    let (address, putter) = (watched_member(args, client).await?, putter(args, client).await?);
    let watchers = count(args.watchers.unwrap_or(FANOUT_WATCHERS));
    let fanout = Fanout { watchers, connections: count(args.connections), warmup: args.warmup(), length };
    fanout.run(client, &address, &putter).await
}

async fn watch_load(
    args: &BenchArgs,
    client: &Client,
    clients: usize,
    length: Duration,
) -> Result<Measured, Failed> {
    let (address, putter) = (watched_member(args, client).await?, Arc::new(putter(args, client).await?));
    let load = WatchLoad {
        watchers: count(args.watchers.unwrap_or(LOAD_WATCHERS)),
        matching: count(args.matching),
        connections: count(args.connections),
        events_per_second: args.events_per_second,
        warmup: args.warmup(),
        length,
        rounds: args.rounds,
    };
    let counter = Kind::CounterAdd.recipe();
    let workload =
        Workload::new(Kind::CounterAdd, counter, &schema_of_space(client, counter).await?, args.keys, 0)?;
    let callers = Caller::prepare(&Arc::new(workload), std::slice::from_ref(client), clients, None).await?;
    load.run(client, &address, &putter, &callers).await
}

async fn bound_handler(
    args: &BenchArgs,
    client: &Client,
    clients: usize,
    length: Duration,
) -> Result<Measured, Failed> {
    client.create_space(handler::SOURCE, Kind::KvPut.recipe(), 0).await?;
    client.create_space(handler::HANDLER, "audit", 0).await?;
    let measured = async {
        let schema = schema_of_space(client, handler::SOURCE).await?;
        let workload =
            Arc::new(Workload::new(Kind::KvPut, handler::SOURCE, &schema, args.keys, args.value_bytes())?);
        let callers = Caller::prepare(&workload, std::slice::from_ref(client), clients, None).await?;
        handler::run(client, &callers, args.warmup(), length).await
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

async fn calls(
    args: &BenchArgs,
    global: &Global,
    client: &Client,
    recipe: &str,
    clients: usize,
    length: Duration,
) -> Result<Report, Failed> {
    let space = args.space(recipe);
    let schema = schema_of_space(client, &space).await?;
    let workload = Arc::new(Workload::new(args.workload, &space, &schema, args.keys, args.value_bytes())?);
    let connections = connections(args, client, global).await?;
    let callers = Caller::prepare(&workload, &connections, clients, args.ttl).await?;
    if args.warmup_seconds > 0 {
        let _spinner = Spinner::new("warming up");
        load::run(&callers, args.warmup()).await?;
    }
    let before = client.status(false).await?;
    let outcome = load::run(&callers, length).await?;
    let after = client.status(false).await?;
    Caller::close(callers).await;
    Ok(Report::new(args, &space, &outcome, &before, &after))
}

async fn idle_sessions(
    args: &BenchArgs,
    client: &Client,
    clients: usize,
    length: Duration,
) -> Result<Report, Failed> {
    let status = client.status(false).await?;
    let wanted =
        |member: &&MemberStatus| member.reachable && (args.via == Via::All || member.id == status.leader_id);
    let addresses: Vec<String> =
        status.members.iter().filter(wanted).map(|member| member.client_address.clone()).collect();
    if addresses.is_empty() {
        return Err(no_leader());
    }
    let sessions = Idlers::open(&addresses, clients, args.ttl.unwrap_or_default()).await?;
    let before = client.status(false).await?;
    let outcome = sessions.keep_alive(length).await?;
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

#[allow(clippy::cast_precision_loss, reason = "rates for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Microseconds as milliseconds, for people.
fn milliseconds(us: u64) -> String {
    format!("{:.2} ms", ratio(us, 1_000))
}

#[allow(clippy::cast_precision_loss, reason = "rates for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
