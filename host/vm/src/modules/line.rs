//! Who may compile now. Modules that may be proposed wait in a line for one of a few places; those
//! that the cluster has need no place and never wait behind the line. Nobody works on a module that
//! another thread works on: the second waits for the first one's result.
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use synod_abi::ModuleHash;

use crate::PrepareError;
use crate::compile::{COMPILE_LOOK_MS, COMPILE_TIMEOUT_MS, Terms};

/// Compilations of modules that are not committed that a member runs at once: two, so that a module
/// which takes its whole time holds nobody up.
pub(super) const COMPILATIONS: usize = 2;
/// Modules that wait for one of them.
pub(super) const WAITING_COMPILATIONS: usize = 16;

#[derive(Default)]
struct State {
    claimed: BTreeSet<ModuleHash>,
    line: VecDeque<u64>,
    arrived: u64,
    running: usize,
}

/// The line, and what is worked on.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

/// The right to work on a module.
pub(super) struct Claim<'a> {
    line: &'a Line,
    hash: ModuleHash,
}

/// One of the places.
pub(super) struct Place<'a>(&'a Line);

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody works on `hash`.
    ///
    /// # Errors
    /// [`PrepareError::Abandoned`].
    pub(super) fn claim(&self, hash: ModuleHash, terms: &Terms) -> Result<Claim<'_>, PrepareError> {
        let mut state = self.lock();
        while !state.claimed.insert(hash) {
            if terms.is_abandoned() {
                return Err(PrepareError::Abandoned);
            }
            state = self.wait(state);
        }
        Ok(Claim { line: self, hash })
    }

    /// Waits for a place, first come, first served; none is needed for a committed module.
    ///
    /// # Errors
    /// [`PrepareError::Busy`] if too many wait, or it takes too long; [`PrepareError::Abandoned`].
    pub(super) fn place(&self, terms: &Terms) -> Result<Option<Place<'_>>, PrepareError> {
        if matches!(terms, Terms::Committed) {
            return Ok(None);
        }
        let deadline = Instant::now() + Duration::from_millis(COMPILE_TIMEOUT_MS);
        let mut state = self.lock();
        if state.line.len() >= WAITING_COMPILATIONS {
            return Err(PrepareError::Busy);
        }
        state.arrived += 1;
        let me = state.arrived;
        state.line.push_back(me);
        while state.running >= COMPILATIONS || state.line.front() != Some(&me) {
            let given_up = match terms.is_abandoned() {
                true => Some(PrepareError::Abandoned),
                false => (Instant::now() >= deadline).then_some(PrepareError::Busy),
            };
            if let Some(error) = given_up {
                state.line.retain(|other| *other != me);
                self.changed.notify_all();
                return Err(error);
            }
            state = self.wait(state);
        }
        state.line.pop_front();
        state.running += 1;
        self.changed.notify_all();
        Ok(Some(Place(self)))
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let look = Duration::from_millis(COMPILE_LOOK_MS);
        self.changed.wait_timeout(state, look).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Those that wait for a place.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().line.len()
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.line.lock().claimed.remove(&self.hash);
        self.line.changed.notify_all();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_all();
    }
}
