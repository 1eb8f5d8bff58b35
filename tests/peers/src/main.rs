//! `peers`: compares Synod with ZooKeeper and etcd on this machine. `peers drive` is the driver of
//! Synod that it starts itself.
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use synod_peers::comparison::{News, Plan, Scenario, compare};
use synod_peers::drive::{Order, drive, leader};
use synod_peers::install::{Own, install, usual_cache};
use synod_peers::kind::Kind;
use synod_peers::plot::draw;
use synod_peers::summary::Summary;
use synod_peers::workload::Workload;

/// How long it is measured when the leader is killed: more than the 7 s after which a write that
/// etcd sent on to it ends.
const FAILOVER: Duration = Duration::from_secs(12);
/// Exit code of wrong usage.
const USAGE: u8 = 2;
/// Exit code of a driver that does not know the workload.
const UNKNOWN: u8 = 3;

/// Compares Synod with ZooKeeper and etcd on this machine: clusters of three members, one at a
/// time, the same loads on each, and the ratio of Synod's operations a second to those of the
/// better of the two.
#[derive(Parser)]
#[command(name = "peers", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    compare: Compare,
}

#[derive(Subcommand)]
enum Command {
    /// Puts one load on a running cluster of Synod: see DRIVERS.md.
    Drive(Drive),
}

#[derive(Args)]
struct Compare {
    /// The services to compare.
    #[arg(long, value_delimiter = ',', default_values = ["synod", "zookeeper", "etcd"])]
    services: Vec<Kind>,
    /// The workloads to measure.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Workload::LOADS)]
    workloads: Vec<Workload>,
    /// With how many clients each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    clients: Vec<usize>,
    /// How many watchers see each event of the workload `watch`.
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
    /// How often everything is measured; the result is the median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each load runs before it is measured, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    warmup_ms: u64,
    /// How long each load is measured, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    measure_ms: u64,
    /// Leave the kill of the leader out.
    #[arg(long)]
    no_failover: bool,
    /// So many keys are written, and the members started again; 0 leaves that out.
    #[arg(long, default_value_t = 0)]
    many_keys: u64,
    /// The `synod` that is compared.
    #[arg(long, default_value = "synod")]
    synod: PathBuf,
    /// Where the peers are built and kept.
    #[arg(long, default_value_os_t = usual_cache())]
    cache: PathBuf,
    /// Where the members' data is while they run; it has to be on a real disk.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    place: PathBuf,
    /// Compare only with peers that are built already.
    #[arg(long)]
    no_install: bool,
    /// Write everything that was measured to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw a picture to this file, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
}

#[derive(Args)]
struct Drive {
    /// The members, `host:port`, separated by commas.
    #[arg(long)]
    endpoints: String,
    /// What one operation is; `leader` says which member leads.
    #[arg(long)]
    workload: String,
    #[arg(long, default_value_t = 1)]
    clients: usize,
    #[arg(long, default_value_t = 0)]
    warmup_ms: u64,
    #[arg(long, default_value_t = 1_000)]
    measure_ms: u64,
    #[arg(long, default_value_t = 10_000)]
    keys: u64,
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Drive(arguments)) => drive_one(arguments),
        None => compare_all(&cli.compare),
    }
}

fn drive_one(arguments: Drive) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let answer = if arguments.workload == "leader" {
        runtime.block_on(leader(&arguments.endpoints)).map(|place| format!("{{\"leader\":{place}}}"))
    } else {
        let Ok(workload) = clap::ValueEnum::from_str(&arguments.workload, false) else {
            eprintln!("error: this driver knows no workload `{}`", arguments.workload);
            return ExitCode::from(UNKNOWN);
        };
        let order = Order {
            endpoints: arguments.endpoints,
            workload,
            clients: arguments.clients.max(1),
            warmup: Duration::from_millis(arguments.warmup_ms),
            measure: Duration::from_millis(arguments.measure_ms),
            keys: arguments.keys.max(1),
            value_bytes: arguments.value_bytes,
        };
        let measured = runtime.block_on(drive(&order));
        measured.and_then(|answer| serde_json::to_string(&answer).map_err(|error| error.to_string()))
    };
    runtime.shutdown_background();
    match answer {
        Ok(line) => say(&line),
        Err(reason) => fail(&reason),
    }
}

fn compare_all(arguments: &Compare) -> ExitCode {
    let scenarios = scenarios(arguments);
    if scenarios.is_empty() || arguments.rounds == 0 {
        eprintln!("error: nothing to measure: name a workload with clients, and at least one round");
        return ExitCode::from(USAGE);
    }
    let own = match std::env::current_exe() {
        Ok(driver) => Own { server: arguments.synod.clone(), driver },
        Err(error) => return fail(&error),
    };
    let mut services = Vec::new();
    for kind in arguments.services.iter().copied() {
        let spinner = ProgressBar::new_spinner().with_message(format!("building {}", kind.name()));
        spinner.enable_steady_tick(Duration::from_millis(100));
        let installed = install(kind, &own, &arguments.cache, !arguments.no_install);
        spinner.finish_and_clear();
        match installed {
            Ok(installed) => services.push((kind, installed)),
            Err(missing) => eprintln!("{} is left out: {missing}", kind.name()),
        }
    }
    if services.is_empty() {
        return fail(&"no service can be run");
    }
    let plan = Plan {
        scenarios,
        rounds: arguments.rounds,
        warmup: Duration::from_millis(arguments.warmup_ms),
        measure: Duration::from_millis(arguments.measure_ms),
        failover: FAILOVER,
        place: arguments.place.clone(),
    };
    let bar = ProgressBar::new((plan.scenarios.len() * plan.rounds * services.len()) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {msg}") {
        bar.set_style(style);
    }
    let mut failures = 0;
    let samples = compare(&plan, &services, |news| match news {
        News::Begins { round, kind, scenario } => {
            let (name, clients) = (scenario.name(), scenario.clients());
            bar.set_message(format!("round {}: {}, {name}, {clients} clients", round + 1, kind.name()));
        }
        News::Measured(_) => bar.inc(1),
        News::Failed { kind, scenario, error } => {
            failures += 1;
            bar.inc(1);
            let clients = scenario.clients();
            bar.suspend(|| eprintln!("{}, {}, {clients} clients: {error}", kind.name(), scenario.name()));
        }
    });
    bar.finish_and_clear();
    tell(arguments, &Summary::of(plan.rounds, samples), failures)
}

/// Loads of one cluster first, then those that need a cluster of their own.
fn scenarios(arguments: &Compare) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for workload in arguments.workloads.iter().copied() {
        let watchers = [arguments.watchers];
        let clients = if workload == Workload::Watch { &watchers[..] } else { &arguments.clients };
        scenarios.extend(clients.iter().map(|clients| Scenario::Load { workload, clients: *clients }));
    }
    if !arguments.no_failover {
        scenarios.push(Scenario::Failover);
    }
    if arguments.many_keys > 0 {
        scenarios.push(Scenario::ManyKeys { keys: arguments.many_keys });
    }
    scenarios
}

fn tell(arguments: &Compare, summary: &Summary, failures: usize) -> ExitCode {
    if say(&summary.table()) == ExitCode::FAILURE {
        return ExitCode::FAILURE;
    }
    if let Some(file) = &arguments.json {
        let written = serde_json::to_string_pretty(summary)
            .map_err(|error| error.to_string())
            .and_then(|text| std::fs::write(file, text + "\n").map_err(|error| error.to_string()));
        if let Err(error) = written {
            return fail(&format!("cannot write {}: {error}", file.display()));
        }
    }
    if let Some(file) = &arguments.plot
        && let Err(error) = draw(summary, file)
    {
        return fail(&error);
    }
    if failures > 0 { fail(&format!("{failures} measurements failed")) } else { ExitCode::SUCCESS }
}

fn say(text: &dyn std::fmt::Display) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
