//! Has the members compare their digests: the leader's duty, by commands that tell what its own
//! were after the last applied entry.
//!
//! One is proposed a second at most after something was applied, one a second, and after a thousand
//! entries; what they do themselves counts for nothing, so an idle cluster writes none.
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use synod_machine::{Action, DigestRecord, Outcome};

use super::duty::{Duty, Round};
use crate::ports::Monotonic;
use crate::progress::{Signal, lock};

/// How long something that was applied stays without a checkpoint.
const EVERY: Duration = Duration::from_secs(1);
/// How many entries do, at most.
const EVERY_ENTRIES: u64 = 1_000;

#[derive(Debug, Default)]
struct State {
    /// The term whose lead was taken up.
    lead: Option<u64>,
    /// Entries since the last checkpoint that hold more than checkpoints.
    entries: u64,
    /// After the last applied entry.
    digests: DigestRecord,
}

/// What was applied since the last checkpoint. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints(Arc<(Mutex<State>, Signal)>);

impl Checkpoints {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.0)
    }

    /// An entry with commands was applied, after which the digests are these. `is_told`: it holds
    /// nothing but checkpoints.
    pub(crate) fn applied(&self, digests: DigestRecord, is_told: bool) {
        let raise = {
            let mut state = self.state();
            state.digests = digests;
            state.entries += u64::from(!is_told);
            !is_told && state.lead.is_some() && (state.entries == 1 || state.entries == EVERY_ENTRIES)
        };
        if raise {
            self.0.1.raise();
        }
    }
}

/// The leader's part of it.
#[derive(Debug, Default)]
pub(crate) struct CheckpointDuty {
    checkpoints: Checkpoints,
    in_flight: bool,
    due: Monotonic,
}

impl CheckpointDuty {
    pub(crate) fn new(checkpoints: Checkpoints) -> Self {
        Self { checkpoints, ..Self::default() }
    }
}

impl Duty for CheckpointDuty {
    type Decision = ();

    fn signal(&self) -> &Signal {
        &self.checkpoints.0.1
    }

    fn take_up(&mut self, leading: Option<u64>, now: Monotonic) -> bool {
        let mut state = self.checkpoints.state();
        if std::mem::replace(&mut state.lead, leading) == leading {
            return false;
        }
        self.in_flight = false;
        self.due = now.after(EVERY);
        true
    }

    fn decide(&mut self, round: &mut Round<'_, ()>) -> Option<Monotonic> {
        let mut state = self.checkpoints.state();
        if state.entries == 0 || self.in_flight || round.is_paused() {
            return None;
        }
        if state.entries < EVERY_ENTRIES && round.now < self.due {
            return Some(self.due);
        }
        state.entries = 0;
        self.in_flight = true;
        self.due = round.now.after(EVERY);
        round.propose((), Action::Checkpoint(state.digests));
        None
    }

    fn resolved(&mut self, (): (), outcome: Option<&Outcome>, _: Monotonic) {
        self.in_flight = false;
        if outcome.is_none() {
            let mut state = self.checkpoints.state();
            state.entries = state.entries.max(1);
        }
    }
}
