//! How much an operation is likely to cost, so that an entry is not packed with more work than
//! apply should do at once.
//!
//! It is what apply counts towards an entry's ceiling, learnt from past commands. A local estimate:
//! it decides how commands are packed, never what they do.
use std::collections::HashMap;

use synod_abi::{OperationId, SpaceId, costs, limits};

/// An operation of a space, or one of the keys below, for which space 0 is free.
pub(crate) type FuelKey = (SpaceId, OperationId);

/// The end of a session: the hooks of the spaces that it called.
pub(crate) const END_OF_SESSION: FuelKey = (SpaceId(0), OperationId(1));
/// A tick: the hooks of what is due.
pub(crate) const TICK: FuelKey = (SpaceId(0), OperationId(2));
/// A cancelled request, or a hook that is owed: a hook.
pub(crate) const CANCEL: FuelKey = (SpaceId(0), OperationId(3));
/// A session that is opened.
pub(crate) const OPEN_SESSION: FuelKey = (SpaceId(0), OperationId(4));
/// Events that are forgotten, thousands at once.
pub(crate) const COMPACTION: FuelKey = (SpaceId(0), OperationId(5));
/// A space that is deleted, with what waits in it.
pub(crate) const DELETION: FuelKey = (SpaceId(0), OperationId(6));

/// Estimate for an operation that has run in no space yet: 25 fill an entry, and 50 are in flight
/// at most before it is known what they cost.
pub(crate) const UNKNOWN_FUEL: u64 = limits::ENTRY_FUEL / 25;
/// Estimate for the other commands, which run no recipe and touch a few rows.
pub(crate) const SYSTEM_FUEL: u64 = costs::COMMAND + 8 * costs::TOUCHED_ROW;
/// Operations that are remembered; when as many are known, the ones not seen since the last time
/// are forgotten.
const REMEMBERED: usize = 4_096;

/// Exponentially weighted means: quick to rise, slow to fall.
#[derive(Debug, Default)]
pub(crate) struct FuelEstimates {
    recent: HashMap<FuelKey, u64>,
    older: HashMap<FuelKey, u64>,
}

impl FuelEstimates {
    pub(crate) fn estimate(&self, key: Option<FuelKey>) -> u64 {
        match key {
            None => SYSTEM_FUEL,
            Some(key) => self.known(key).or_else(|| self.known(in_any_space(key))).unwrap_or(UNKNOWN_FUEL),
        }
    }

    pub(crate) fn learn(&mut self, key: FuelKey, fuel: u64) {
        self.learn_one(key, fuel);
        if key != in_any_space(key) {
            self.learn_one(in_any_space(key), fuel);
        }
    }

    fn known(&self, key: FuelKey) -> Option<u64> {
        self.recent.get(&key).or_else(|| self.older.get(&key)).copied()
    }

    fn learn_one(&mut self, key: FuelKey, fuel: u64) {
        let estimate = match self.known(key) {
            None => fuel,
            Some(old) if fuel > old => old + (fuel - old) / 2,
            Some(old) => old - (old - fuel) / 16,
        };
        if self.recent.len() >= REMEMBERED && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, estimate);
    }
}

/// What an operation of this name costs wherever it runs, for the spaces in which it has not yet.
fn in_any_space((_, operation): FuelKey) -> FuelKey {
    (SpaceId(0), operation)
}

#[cfg(test)]
mod tests;
