//! Every bug of `host/planted` is found within a few seeds by the checker that has to find it, and
//! the seed passes without it. One test: a process plants one bug at a time.
//!
//! Which seed finds a bug may change with every change of the host, so the search goes on from the
//! seed that found it before.
use std::time::Duration;

use synod_planted::{Bug, plant};
use synod_sim::engines::Engines;
use synod_sim::fault::Fault;
use synod_sim::finding::Check;
use synod_sim::run::{Options, run};

/// Seeds that are tried for a bug.
const SEEDS: u64 = 200;
/// How long clients work.
const DURATION: Duration = Duration::from_secs(20);

/// Where a bug is looked for.
struct Search {
    /// The seed that found it when this was last looked at.
    first_seed: u64,
    /// Kinds of faults that may be drawn: all, or those that a rare bug needs.
    faults: &'static [Fault],
}

const fn search(bug: Bug) -> Search {
    let (first_seed, faults): (_, &[Fault]) = match bug {
        Bug::ReadWithoutMajority => (52, Fault::ALL),
        Bug::VoteForgotten => (61, Fault::ALL),
        Bug::AppliedTwice => (34, Fault::ALL),
        Bug::WrittenTooEarly => (79, &[Fault::PowerLoss, Fault::SlowDisk]),
        Bug::ForwardedTwice => {
            (150, &[Fault::Reset, Fault::SlowApply, Fault::SlowDisk, Fault::FarApart, Fault::Loss])
        }
        Bug::ReadIndexShared => (27, &[Fault::SlowApply, Fault::SlowDisk, Fault::FarApart, Fault::SlowLink]),
        Bug::ForgottenNotTold => (69, Fault::ALL),
        Bug::InstanceRemembers => (12, Fault::ALL),
        Bug::TimeOfOneClock => (88, Fault::ALL),
        Bug::HandlerSkipped | Bug::ReadBeforeApply | Bug::RevisionNotAwaited => (7, Fault::ALL),
        _ => (1, Fault::ALL),
    };
    Search { first_seed, faults }
}

/// Which checker has to report a bug.
const fn reported_by(bug: Bug) -> Check {
    match bug {
        Bug::RowNotWritten | Bug::OrderOfRows | Bug::SnapshotNotLoaded => Check::Digests,
        Bug::ReadWithoutMajority | Bug::InstanceRemembers => Check::Witness,
        Bug::ReadBeforeApply | Bug::OutcomeIgnored => Check::Linearizable,
        Bug::TokenRepeats => Check::Fencing,
        Bug::SessionEndNotTold | Bug::SessionEndsEarly | Bug::TouchNotCounted => Check::Sessions,
        Bug::WatchSkips | Bug::WatchRepeats | Bug::EventLost => Check::Watch,
        Bug::HandlerSkipped => Check::Handlers,
        Bug::ForgottenNotTold | Bug::ProgressTooEarly => Check::Watch,
        Bug::VoteForgotten => Check::ElectionSafety,
        Bug::WrittenTooEarly => Check::StateMachineSafety,
        Bug::TruncationLost | Bug::TruncatesTooMuch => Check::MemberFailed,
        Bug::AppliedTwice => Check::Digests,
        Bug::ForwardedTwice | Bug::UnknownIsRefused | Bug::ReadIndexShared => Check::Linearizable,
        Bug::RevisionNotAwaited => Check::Monotonic,
        Bug::TimeOfOneClock => Check::Time,
        Bug::TermGrantsNothing => Check::Sessions,
    }
}

fn found(engines: &Engines, search: &Search, seed: u64) -> Vec<Check> {
    let faults = search.faults.to_vec();
    let options = Options { seed, duration: DURATION, faults, only: None, trace: false };
    run(&options, engines).findings.iter().map(|finding| finding.check).collect()
}

#[test]
fn every_planted_bug_is_found_by_its_checker_in_a_seed_that_passes_without_it() {
    let engines = Engines::new();
    for bug in Bug::ALL {
        let (search, check) = (search(*bug), reported_by(*bug));
        plant(Some(*bug));
        let mut seeds = search.first_seed..search.first_seed + SEEDS;
        let seed = seeds.find(|seed| found(&engines, &search, *seed).contains(&check));
        plant(None);
        let name = bug.name();
        let seed = seed.unwrap_or_else(|| panic!("{name}: {check:?} does not report it"));
        let without = found(&engines, &search, seed);
        assert!(without.is_empty(), "seed {seed} without {name}: {without:?}");
        eprintln!("{name}: {check:?} reports it in seed {seed}");
    }
}
