//! Configurations from which nothing leads on.
//!
//! Of those that differ only in which unknown operations are taken the smallest sets are kept: with
//! more of them taken, less can follow.
use std::collections::HashMap;
use std::hash::Hash;

/// A set of numbers, or several words in a row.
pub(super) type Bits = Box<[u64]>;

/// See the module.
pub(super) struct Failures<S>(HashMap<Bits, HashMap<S, Vec<Bits>>>);

impl<S> Default for Failures<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: Eq + Hash> Failures<S> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is taken but for unknown ones, the state, and the unknown ones that are taken.
    pub(super) fn add(&mut self, taken: Bits, state: S, unknown: Bits) {
        let sets = self.0.entry(taken).or_default().entry(state).or_default();
        sets.retain(|set| !is_within(&unknown, set));
        sets.push(unknown);
    }

    /// Whether it is known that nothing leads on.
    pub(super) fn has(&self, taken: &[u64], state: &S, unknown: &[u64]) -> bool {
        let sets = self.0.get(taken).and_then(|states| states.get(state));
        sets.is_some_and(|sets| sets.iter().any(|set| is_within(set, unknown)))
    }
}

fn is_within(part: &[u64], whole: &[u64]) -> bool {
    part.iter().zip(whole).all(|(part, whole)| part & !whole == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bits: u64) -> Bits {
        [7, bits].into()
    }

    #[test]
    fn what_took_the_same_and_more_leads_nowhere_either() {
        let mut failures = Failures::default();
        assert!(failures.is_empty());
        failures.add(bits(1), "state", bits(0b0110));
        failures.add(bits(1), "state", bits(0b1001));
        for (unknown, known) in
            [(0b0110, true), (0b1110, true), (0b1101, true), (0b0010, false), (0b0101, false)]
        {
            assert_eq!(failures.has(&bits(1), &"state", &bits(unknown)), known, "{unknown:b}");
        }
        assert!(!failures.has(&bits(2), &"state", &bits(0b0110)), "others are taken");
        assert!(!failures.has(&bits(1), &"other", &bits(0b0110)), "another state");
        failures.clear();
        assert!(!failures.has(&bits(1), &"state", &bits(0b0110)));
    }

    #[test]
    fn only_the_smallest_sets_are_kept() {
        let mut failures = Failures::default();
        for unknown in [0b0111, 0b0011, 0b1000, 0b0001] {
            failures.add(bits(1), "state", bits(unknown));
        }
        let sets = &failures.0[&bits(1)]["state"];
        assert_eq!(sets.iter().map(|set| set[1]).collect::<Vec<_>>(), [0b1000, 0b0001]);
    }
}
