//! The present availability of a member, shared by what notes observations and what follows them.
use std::sync::{Arc, Mutex};

use super::{Availability, Observed, Problem};
use crate::progress::{Progress, Signal, lock};

#[derive(Debug, Default)]
struct State {
    observed: Observed,
    now: Availability,
    followers: Vec<Signal>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Counts the changes of the availability.
    changes: Progress,
}

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub struct Standing(Arc<Shared>);

impl Standing {
    pub(crate) fn new() -> Self {
        let observed = Observed::default();
        let state = State { observed, now: Availability::of(&observed), followers: Vec::new() };
        Self(Arc::new(Shared { state: Mutex::new(state), changes: Progress::default() }))
    }

    /// The availability now.
    pub fn get(&self) -> Availability {
        lock(&self.0.state).now
    }

    /// Notes what was observed.
    pub fn note(&self, change: impl FnOnce(&mut Observed)) {
        let followers = {
            let mut state = lock(&self.0.state);
            change(&mut state.observed);
            let now = Availability::of(&state.observed);
            if now == state.now {
                return;
            }
            state.now = now;
            self.0.changes.advance(self.0.changes.get() + 1);
            state.followers.clone()
        };
        followers.iter().for_each(Signal::raise);
    }

    /// Raises `signal` whenever the availability has changed.
    pub(crate) fn follow(&self, signal: Signal) {
        lock(&self.0.state).followers.push(signal);
    }

    /// Resolves when the availability differs from `seen`.
    pub async fn changed(&self, seen: Availability) -> Availability {
        loop {
            let next = self.0.changes.get() + 1;
            let now = self.get();
            if now != seen {
                return now;
            }
            self.0.changes.reach(next).await;
        }
    }

    /// Resolves with the problem once `of` names one.
    pub(crate) async fn until(&self, of: impl Fn(Availability) -> Option<Problem>) -> Problem {
        let mut now = self.get();
        loop {
            if let Some(problem) = of(now) {
                return problem;
            }
            now = self.changed(now).await;
        }
    }
}
