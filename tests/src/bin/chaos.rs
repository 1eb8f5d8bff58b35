//! `make chaos`: rounds of mixed faults on real processes, with checked records. A line a round; a
//! failure says with which command the same is drawn again. Interrupted, it leaves no process and
//! no mount.
#![allow(clippy::print_stdout, reason = "a line a round is what it is for")]
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use futures::FutureExt;
use synod_tests::binary::{remove_copy, synod};
use synod_tests::chaos::{Diary, Fault, Plan, Report, round};
use synod_tests::disk::SmallDisk;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A fault that began so often, and never took effect, is a fault of the test.
const ENOUGH_TRIES: u64 = 5;
/// Exit code of a run that was interrupted.
const INTERRUPTED: u8 = 130;

/// Rounds of mixed faults on real processes, with checked records.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many rounds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// The seed of the first round; each further one has the next. The time if absent.
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on in a round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Which faults are drawn; all but `garble` if absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
}

#[derive(Debug, Default)]
struct Totals {
    rounds: u64,
    operations: u64,
    happened: BTreeMap<Fault, u64>,
    begun: BTreeMap<Fault, u64>,
    slowest: Duration,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.rounds += 1;
        self.operations += report.operations;
        self.slowest = self.slowest.max(report.served_after);
        for (of, more) in [(&mut self.happened, &report.happened), (&mut self.begun, &report.begun)] {
            more.iter().for_each(|(fault, count)| *of.entry(*fault).or_default() += count);
        }
    }

    /// The faults that never took effect, although they began often.
    fn without_effect(&self) -> Vec<Fault> {
        let often = self.begun.iter().filter(|(_, count)| **count >= ENOUGH_TRIES);
        often.map(|(fault, _)| *fault).filter(|fault| !self.happened.contains_key(fault)).collect()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    separate_mounts();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let code = runtime.block_on(async {
        // From now on, not from when they are first waited for: members start before that.
        let listen = |kind| signal(kind).expect("signals can be listened for");
        let (mut interrupt, mut terminate) =
            (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
        tokio::select! {
            code = run(&arguments) => code,
            () = either(&mut interrupt, &mut terminate) => {
                eprintln!("interrupted");
                ExitCode::from(INTERRUPTED)
            }
        }
    });
    remove_copy();
    code
}

/// Has the mounts of this process be its own, so that they end with it, however it ends.
fn separate_mounts() {
    let (none, root) = (std::ptr::null(), c"/".as_ptr());
    // SAFETY: no other thread runs yet, and both calls only read what they are given.
    let separate = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, root, none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
    };
    if !separate {
        eprintln!("no right to mount: disks are not filled");
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
}

/// The faults that can be had here.
fn available(arguments: &Arguments) -> Vec<Fault> {
    let asked = if arguments.faults.is_empty() { Fault::usual() } else { arguments.faults.clone() };
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let mounts = SmallDisk::mount(&folder.path().join("disk")).is_some();
    asked.into_iter().filter(|fault| mounts || !fault.needs_a_mount()).collect()
}

async fn run(arguments: &Arguments) -> ExitCode {
    synod();
    let faults = available(arguments);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let first = arguments.seed.unwrap_or(now);
    let began = Instant::now();
    let mut totals = Totals::default();
    for seed in (0..arguments.rounds).map(|n| first.wrapping_add(n)) {
        let plan = Plan { seed, lasts: Duration::from_secs(arguments.seconds), faults: faults.clone() };
        let diary = Diary::default();
        let Ok(report) = AssertUnwindSafe(round(&plan, &diary)).catch_unwind().await else {
            tell_failure(arguments, seed, &diary);
            return ExitCode::FAILURE;
        };
        tell(seed, &report);
        totals.add(&report);
    }
    let without_effect = totals.without_effect();
    println!(
        "{} rounds in {} s, {} operations checked, no violation; healed clusters served within {} ms; {:?}",
        totals.rounds,
        began.elapsed().as_secs(),
        totals.operations,
        totals.slowest.as_millis(),
        totals.happened,
    );
    if without_effect.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("these faults began, and never took effect: {without_effect:?}");
    ExitCode::FAILURE
}

fn tell(seed: u64, report: &Report) {
    let mix = report
        .mix
        .iter()
        .map(|fault| format!("{} {}", fault.name(), report.happened.get(fault).copied().unwrap_or_default()));
    println!(
        "seed {seed}: {} members, {} operations, served after {} ms; {}",
        report.members,
        report.operations,
        report.served_after.as_millis(),
        mix.collect::<Vec<_>>().join(", ")
    );
}

fn tell_failure(arguments: &Arguments, seed: u64, diary: &Diary) {
    println!("seed {seed} FAILED. What was done:");
    diary.lines().iter().for_each(|line| println!("  {line}"));
    let git = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let faults: Vec<String> = arguments.faults.iter().map(|fault| fault.name()).collect();
    let faults = if faults.is_empty() { String::new() } else { format!(" FAULTS={}", faults.join(",")) };
    println!(
        "at commit {}; the same is drawn again by: make chaos ROUNDS=1 SEED={seed} SECONDS={}{faults}",
        commit.unwrap_or_default(),
        arguments.seconds
    );
}
