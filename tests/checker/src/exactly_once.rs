//! Effects that happen once: sums of increments, and elements of queues.
//!
//! These need no order and no times, so they also judge a run whose clocks are of no use. They are
//! Jepsen's `counter`, `set` and `total-queue` checks.
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::violation::{Property, Violation};

/// An increment of a counter that nothing else changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Increment {
    /// Tells it from all others; a retry has the id of the first attempt and is not recorded.
    pub id: u64,
    /// By how much.
    pub by: i64,
    /// The sum that it was answered; `None`: its outcome is unknown.
    pub sum: Option<i64>,
}

/// The final value holds every acknowledged increment once, and of the unknown ones each once or
/// never.
///
/// Between the two the answers are checked as well: of increments that all grow the counter no two
/// get the same sum, and none a sum that the counter cannot have had.
///
/// # Errors
///
/// The first violation: [`Property::Sum`].
pub fn sum(increments: &[Increment], initial: i64, value: i64) -> Result<(), Violation> {
    let fail = |why: String| Err(Violation::new(Property::Sum, why));
    let mut ids = HashSet::new();
    if let Some(again) = increments.iter().find(|increment| !ids.insert(increment.id)) {
        let why = format!("an increment is recorded twice: {again:?}");
        return Err(Violation::new(Property::WellFormed, why));
    }
    let of = |is_known: bool| increments.iter().filter(move |increment| increment.sum.is_some() == is_known);
    let known: i128 = i128::from(initial) + of(true).map(|increment| i128::from(increment.by)).sum::<i128>();
    let unknown = |sign: i64| of(false).map(|increment| increment.by).filter(move |by| by.signum() == sign);
    let least = known + unknown(-1).map(i128::from).sum::<i128>();
    let most = known + unknown(1).map(i128::from).sum::<i128>();
    let unknown_count = of(false).count();
    if !(least..=most).contains(&i128::from(value)) {
        return fail(format!(
            "the value is {value}, and increments allow {least} to {most}: {} were acknowledged, of \
                {unknown_count} the outcome is unknown",
            increments.len() - unknown_count
        ));
    }
    if increments.iter().any(|increment| increment.by <= 0) {
        return Ok(());
    }
    let mut sums = HashMap::new();
    for increment in of(true) {
        let Some(sum) = increment.sum else { continue };
        if let Some(other) = sums.insert(sum, increment) {
            return fail(format!("two increments were answered with one sum: {other:?}, {increment:?}"));
        }
        let least = i128::from(initial) + i128::from(increment.by);
        if !(least..=i128::from(value)).contains(&i128::from(sum)) {
            return fail(format!(
                "the value was {initial}, became {value}, and never this sum: {increment:?}"
            ));
        }
    }
    Ok(())
}

/// What went into a queue and came out of it. Elements are best all different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements<T> {
    /// Whose push was acknowledged.
    pub acknowledged: Vec<T>,
    /// Whose push has an unknown outcome.
    pub unknown: Vec<T>,
    /// That were answered to a pop.
    pub delivered: Vec<T>,
    /// That were there at the end.
    pub left: Vec<T>,
    /// How many pops have an unknown outcome: each may have taken an element.
    pub unknown_pops: u64,
}

/// No element came out or is left more often than it went in, and of the acknowledged ones not more
/// are missing than pops with unknown outcomes can have taken.
///
/// # Errors
///
/// The first violation: [`Property::DeliveredOnce`] or [`Property::NotLost`].
pub fn queue<T: Ord + Debug>(elements: &Elements<T>) -> Result<(), Violation> {
    /// How often an element went in for sure, perhaps, and came out or is left.
    #[derive(Default)]
    struct Count {
        acknowledged: u64,
        unknown: u64,
        out: u64,
    }
    let mut counts = BTreeMap::<&T, Count>::new();
    elements.acknowledged.iter().for_each(|element| counts.entry(element).or_default().acknowledged += 1);
    elements.unknown.iter().for_each(|element| counts.entry(element).or_default().unknown += 1);
    let out = elements.delivered.iter().chain(&elements.left);
    out.for_each(|element| counts.entry(element).or_default().out += 1);
    let mut missing = Vec::new();
    for (element, Count { acknowledged, unknown, out }) in counts {
        if out > acknowledged + unknown {
            let why = format!(
                "{element:?} went in {acknowledged} times, and {unknown} times perhaps, and came out or is \
                    left {out} times"
            );
            return Err(Violation::new(Property::DeliveredOnce, why));
        }
        missing.extend((out..acknowledged).map(|_| element));
    }
    if missing.len() as u64 > elements.unknown_pops {
        let why = format!(
            "{} acknowledged elements are missing, and {} pops may have taken one: {missing:?}",
            missing.len(),
            elements.unknown_pops
        );
        return Err(Violation::new(Property::NotLost, why));
    }
    Ok(())
}
