//! `make sim`: runs seeds, and says what they were and what was found.
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use synod_planted::{Bug, plant};
use synod_sim::engines::Engines;
use synod_sim::fault::Fault;
use synod_sim::run::{Options, Report, run};
use synod_sim::shrink::{Faults, shrink};

/// Runs whole clusters in simulation, each decided by one seed.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// How many seeds to run, from --first on.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Runs this seed alone, and prints what happens: time, who, what.
    #[arg(long)]
    seed: Option<u64>,
    /// How long clients work in each run, in simulated seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only these kinds of faults, separated by commas; "none" for no fault.
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// Only these of a run's faults, by the numbers that its trace tells, separated by commas; "0"
    /// for none.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u64>,
    /// Plants a bug, which is to be found.
    #[arg(long)]
    planted: Option<String>,
    /// Ends with the first seed in which something is found.
    #[arg(long)]
    until_found: bool,
    /// Threads, each with runs of its own.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Prints what happens in every run, as for --seed.
    #[arg(long)]
    trace: bool,
    /// Prints seed and fingerprint of each run: equal for equal runs.
    #[arg(long)]
    fingerprints: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let faults = match faults(&arguments.faults) {
        Ok(faults) => faults,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    if let Some(name) = &arguments.planted {
        let Some(bug) = Bug::ALL.iter().find(|bug| bug.name() == name) else {
            let names: Vec<_> = Bug::ALL.iter().map(|bug| bug.name()).collect();
            eprintln!("error: there is no bug `{name}` to plant; there are {}", names.join(", "));
            return ExitCode::from(2);
        };
        plant(Some(*bug));
    }
    let engines = Engines::new();
    let options = |seed, trace| Options {
        seed,
        duration: Duration::from_secs(arguments.seconds),
        faults: faults.clone(),
        only: (!arguments.only.is_empty()).then(|| arguments.only.iter().copied().collect()),
        trace,
    };
    if let Some(seed) = arguments.seed {
        let report = run(&options(seed, true), &engines);
        return conclude(&[report], Duration::ZERO, |failed| {
            eprintln!("    again: {}", arguments.again(failed))
        });
    }
    let begun = Instant::now();
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first + arguments.seeds;
    let reports = Mutex::new(Vec::new());
    let found = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || (arguments.until_found && found.load(Ordering::Relaxed)) {
                        return;
                    }
                    let report = run(&options(seed, arguments.trace), &engines);
                    if arguments.fingerprints {
                        let _closed = writeln!(std::io::stdout(), "{seed} {:016x}", report.fingerprint);
                    }
                    found.fetch_or(!report.findings.is_empty(), Ordering::Relaxed);
                    for finding in &report.findings {
                        eprintln!("seed {seed}: {finding}");
                    }
                    reports.lock().expect("no run panicked").push(report);
                }
            });
        }
    });
    let reports = reports.into_inner().expect("no run panicked");
    conclude(&reports, begun.elapsed(), |failed| {
        let again = arguments.again(failed);
        eprintln!("    again, with a trace: {again}; looking for the fewest faults that it needs");
        if let Some(faults) = shrink(&options(failed.seed, false), failed, &engines) {
            eprintln!(
                "    {} of its {} faults: {again} ONLY={}",
                faults.len(),
                failed.faults,
                numbers(&faults)
            );
        }
    })
}

impl Arguments {
    /// The command that does a run again, but for what --only says.
    fn again(&self, report: &Report) -> String {
        let mut again = format!("make sim SEED={} SECONDS={}", report.seed, self.seconds);
        if !self.faults.is_empty() {
            again = format!("{again} FAULTS={}", self.faults.join(","));
        }
        match &self.planted {
            Some(bug) => format!("{again} BUG={bug}"),
            None => again,
        }
    }
}

/// As --only takes them.
fn numbers(faults: &Faults) -> String {
    if faults.is_empty() {
        return "0".to_owned();
    }
    let numbers: Vec<String> = faults.iter().map(u64::to_string).collect();
    numbers.join(",")
}

/// The commit that this checkout is at.
fn commit() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let said = described.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    said.map_or_else(|| "unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}

fn faults(names: &[String]) -> Result<Vec<Fault>, String> {
    match names {
        [] => Ok(Fault::ALL.to_vec()),
        [none] if none == "none" => Ok(Vec::new()),
        names => names.iter().map(|name| name.parse()).collect(),
    }
}

/// Says what the runs were; `explain` says more of the first failure.
fn conclude(reports: &[Report], took: Duration, explain: impl FnOnce(&Report)) -> ExitCode {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for report in reports {
        for (what, count) in &report.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    for (what, count) in &counts {
        eprintln!("{count:>10} {what}");
    }
    let simulated: Duration = reports.iter().map(|report| report.simulated).sum();
    let worked: Duration = reports.iter().map(|report| report.took).sum();
    let entries: u64 = reports.iter().map(|report| report.entries).sum();
    let terms: usize = reports.iter().map(|report| report.terms).sum();
    eprintln!(
        "{} runs, {:.2} simulated hours, {entries} entries, {terms} terms; {:.1} times real time on one \
            core, in {:.0} s",
        reports.len(),
        simulated.as_secs_f64() / 3_600.0,
        simulated.as_secs_f64() / worked.as_secs_f64().max(0.001),
        took.as_secs_f64(),
    );
    let failed: Vec<&Report> = reports.iter().filter(|report| !report.findings.is_empty()).collect();
    for report in &failed {
        eprintln!("seed {} failed: {}", report.seed, report.findings[0]);
    }
    if let Some(first) = failed.first() {
        eprintln!("commit {}, seed {}:", commit(), first.seed);
        explain(first);
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
