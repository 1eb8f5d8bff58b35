//! A few seeds in every test run: nothing is found, and a seed gives the same run again. `make sim`
//! runs more.
use std::time::Duration;

use synod_sim::check::covered;
use synod_sim::engines::Engines;
use synod_sim::fault::Fault;
use synod_sim::finding::{Check, Finding};
use synod_sim::observe::Observer;
use synod_sim::run::{Options, Report, run};
use synod_sim::workload::Extra;
use synod_world::World;

fn simulate(engines: &Engines, seed: u64, seconds: u64) -> Report {
    let duration = Duration::from_secs(seconds);
    run(&Options { seed, duration, faults: Fault::ALL.to_vec(), only: None, trace: false }, engines)
}

#[test]
fn nothing_is_found_in_a_few_seeds_and_each_gives_the_same_run_again() {
    let engines = Engines::new();
    for seed in 1..=8 {
        let report = simulate(&engines, seed, 10);
        assert!(report.findings.is_empty(), "make sim SEED={seed} SECONDS=10: {:?}", report.findings);
        let again = simulate(&engines, seed, 10);
        assert_eq!(report.fingerprint, again.fingerprint, "seed {seed}");
        assert_eq!((report.entries, &report.counts), (again.entries, &again.counts), "seed {seed}");
    }
}

#[test]
fn a_run_in_which_too_little_happens_fails() {
    let observer = Observer::new(World::default(), false);
    let extra = Extra { handler: true, operator: true };
    covered(&observer, Duration::from_secs(60), &[Fault::Crash.name()], extra);
    let found: Vec<Finding> = observer.findings();
    assert!(found.len() == 12 && found.iter().all(|finding| finding.check == Check::Coverage), "{found:?}");
}

#[test]
fn an_unknown_fault_is_refused_with_all_that_there_are() {
    let error = "flood".parse::<Fault>().expect_err("there is no such fault");
    assert!(Fault::ALL.iter().all(|fault| error.contains(fault.name())), "{error}");
}
