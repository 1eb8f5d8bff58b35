//! From a run that fails to the fewest of its faults with which it still does.
//!
//! Faults are numbered in the order in which a run draws them, and each has chance of its own, so
//! that those that are left out change the others no more than by their effects. The search leaves
//! out halves, quarters and so on down to single ones (ddmin without its complements: Zeller,
//! Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
use std::collections::BTreeSet;

use crate::engines::Engines;
use crate::finding::Check;
use crate::run::{Options, Report, run};

/// Most runs that are tried for one failure.
const RUNS: usize = 60;

/// Numbers of faults.
pub type Faults = BTreeSet<u64>;

/// The faults of `failed`, a run of `options`, without which it does not fail in the same way; none
/// if faults are not its cause.
pub fn shrink(options: &Options, failed: &Report, engines: &Engines) -> Option<Faults> {
    let check = failed.findings.first().map(|finding| finding.check)?;
    if check == Check::Coverage {
        return None;
    }
    let fails = |only: &Faults| {
        let options = Options { only: Some(only.clone()), trace: false, ..options.clone() };
        run(&options, engines).findings.iter().any(|finding| finding.check == check)
    };
    let all: Faults = match &options.only {
        Some(only) => only.clone(),
        None => (1..=failed.faults).collect(),
    };
    Some(fewest(all, RUNS, fails))
}

/// A subset of `all` that fails and of which no part can go, as far as `runs` tries tell.
fn fewest(all: Faults, runs: usize, mut fails: impl FnMut(&Faults) -> bool) -> Faults {
    let (mut left, mut tries) = (all, 0);
    let mut size = left.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut has_shrunk = false;
        while at < left.len() {
            if tries == runs {
                return left;
            }
            tries += 1;
            let without: Faults = left
                .iter()
                .enumerate()
                .filter(|(n, _)| !(at..at + size).contains(n))
                .map(|(_, n)| *n)
                .collect();
            if fails(&without) {
                left = without;
                has_shrunk = true;
            } else {
                at += size;
            }
        }
        size = match size {
            1 if has_shrunk => 1,
            size => size / 2,
        };
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_needs_is_left_and_nothing_else() {
        for needed in [&[3, 17][..], &[1], &[40, 39, 2], &[]] {
            let needed: Faults = needed.iter().copied().collect();
            let left = fewest((1..=40).collect(), usize::MAX, |only| needed.is_subset(only));
            assert_eq!(left, needed);
        }
    }

    #[test]
    fn a_failure_is_never_lost_when_tries_are_few() {
        let mut tries = 0;
        let left = fewest((1..=40).collect(), 7, |only| {
            tries += 1;
            only.contains(&11) && only.contains(&30)
        });
        assert!(left.contains(&11) && left.contains(&30) && left.len() < 40);
        assert_eq!(tries, 7);
    }
}
