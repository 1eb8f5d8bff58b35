//! Linearizability: whether one order of all operations explains every answer and agrees with real
//! time.
//!
//! The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993), with Lowe's
//! memory of configurations that lead nowhere ("Testing for linearizability", 2017): a
//! configuration is the set of operations that took effect and the state after them. It trusts
//! nothing that the server says of itself, unlike a check against the log, and in the worst case it
//! takes exponentially many steps: so they are counted, and a search may end undecided.
//!
//! Rules keep it short; `search` says why they lose nothing. An operation that fits and changes
//! nothing is taken at once. One with an unknown outcome is taken only when no answered one fits.
//! Of unknown ones that are alike the one that was invoked first is taken first. The strongest one
//! needs written values that are all different: an answer that shows such a value proves that it
//! was written, and it is not overwritten before the last answer that shows it. So draw them so.
mod failures;
mod marks;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::history::{Keyed, Operation};
use crate::model::Model;
use crate::violation::{Property, Violation};
use search::{Observed, Search};

/// How many steps of the model a search may take. A history of few concurrent operations takes two
/// or three for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps(pub u64);

impl Default for Steps {
    /// Seconds to a minute, by the size of the model's states.
    fn default() -> Self {
        Self(20_000_000)
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Violation(Violation),
    /// The steps did not suffice.
    Undecided,
}

impl Verdict {
    /// The violation, if one was found.
    pub fn violation(self) -> Option<Violation> {
        match self {
            Self::Violation(violation) => Some(violation),
            Self::Linearizable | Self::Undecided => None,
        }
    }
}

/// An operation on one of many objects.
pub type KeyedOperation<K, M> = Operation<Keyed<K, <M as Model>::Input>, <M as Model>::Output>;

/// Checks the history of one object.
pub fn check<M: Model>(model: &M, operations: &[Operation<M::Input, M::Output>], steps: Steps) -> Verdict {
    let observed = operations.iter().map(|operation| Observed::new(operation, &operation.input));
    let mut left = steps.0;
    match observed.collect() {
        Ok(observed) => run(model, observed, "", &mut left),
        Err(violation) => Verdict::Violation(violation),
    }
}

/// Checks the history of many objects, each by itself: linearizability is local. All of them share
/// `steps`; one that stays undecided does not hide the violation of another.
pub fn check_by_key<M: Model, K: Ord + Debug>(
    model: &M,
    operations: &[KeyedOperation<K, M>],
    steps: Steps,
) -> Verdict {
    let mut objects = BTreeMap::<&K, Vec<Observed<'_, M>>>::new();
    for operation in operations {
        match Observed::new(operation, &operation.input.input) {
            Ok(observed) => objects.entry(&operation.input.key).or_default().push(observed),
            Err(violation) => return Verdict::Violation(violation),
        }
    }
    let mut left = steps.0;
    let mut verdict = Verdict::Linearizable;
    for (key, observed) in objects {
        match run(model, observed, &format!("object {key:?}: "), &mut left) {
            Verdict::Linearizable => {}
            Verdict::Undecided => verdict = Verdict::Undecided,
            found @ Verdict::Violation(_) => return found,
        }
    }
    verdict
}

fn run<M: Model>(model: &M, observed: Vec<Observed<'_, M>>, object: &str, left: &mut u64) -> Verdict {
    match Search::new(model, observed).run(left) {
        search::End::Found => Verdict::Linearizable,
        search::End::OutOfSteps => Verdict::Undecided,
        search::End::None { why } => {
            Verdict::Violation(Violation::new(Property::Linearizable, format!("{object}{why}")))
        }
    }
}
