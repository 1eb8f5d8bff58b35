//! Whether a run did enough to prove anything: operations of each kind, and faults.
//!
//! A check that passes because nothing happened is worse than none. etcd's robustness tests fail a
//! run whose traffic was below a minimum before the fault, and so does openraft's Jepsen suite if a
//! fault did not happen.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::violation::{Property, Violation};

/// What a run must have done at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minimum {
    /// Of what: a kind of operation, a fault.
    pub of: String,
    /// How many.
    pub least: u64,
}

impl Minimum {
    /// At least `least` of `of`.
    pub fn new(of: impl Into<String>, least: u64) -> Self {
        Self { of: of.into(), least }
    }
}

/// What a run did, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, of: &str) {
        self.add_many(of, 1);
    }

    /// Counts `many` more.
    pub fn add_many(&mut self, of: &str, many: u64) {
        match self.0.get_mut(of) {
            Some(count) => *count += many,
            None => drop(self.0.insert(of.to_owned(), many)),
        }
    }

    /// How many there were.
    pub fn of(&self, of: &str) -> u64 {
        self.0.get(of).copied().unwrap_or(0)
    }

    /// Every kind that was counted, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(of, count)| (of.as_str(), *count))
    }
}

/// Checks that nothing is short.
///
/// # Errors
///
/// The violation, with everything that is short: [`Property::Covered`].
pub fn check(counts: &Counts, minima: &[Minimum]) -> Result<(), Violation> {
    let short = minima.iter().filter(|minimum| counts.of(&minimum.of) < minimum.least);
    let short: Vec<String> = short
        .map(|minimum| format!("{} of {}, at least {}", counts.of(&minimum.of), minimum.of, minimum.least))
        .collect();
    if short.is_empty() {
        return Ok(());
    }
    let why = format!("the run proves nothing, there were only {}", short.join("; "));
    Err(Violation::new(Property::Covered, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        let mut counts = Counts::default();
        counts.add("kill");
        counts.add("kill");
        counts.add_many("put", 100);
        counts
    }

    #[test]
    fn a_run_that_did_enough_passes() {
        let minima = [Minimum::new("kill", 2), Minimum::new("put", 99), Minimum::new("pause", 0)];
        assert_eq!(check(&counts(), &minima), Ok(()));
        assert_eq!(counts().all().collect::<Vec<_>>(), [("kill", 2), ("put", 100)]);
    }

    #[test]
    fn everything_that_is_short_is_named() {
        let minima = [Minimum::new("kill", 3), Minimum::new("put", 100), Minimum::new("pause", 1)];
        let violation = check(&counts(), &minima).expect_err("a violation");
        assert_eq!(violation.property, Property::Covered);
        assert!(violation.why.ends_with("only 2 of kill, at least 3; 0 of pause, at least 1"), "{violation}");
    }
}
