//! From the apply thread to the hub: what was emitted in spaces that are watched, in order,
//! bounded.
//!
//! The apply thread appends and goes on. When more waits than may, all of it is dropped, and so it
//! is when a snapshot jumped over entries: the hub is told the revision up to which watches have to
//! look in the store.
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use synod_abi::{Revision, SpaceId, Time};
use synod_machine::{Emitted, EventLogChange};

use super::WatchLimits;
use crate::progress::{Signal, lock};

/// Entries that the hub takes at once.
const TAKEN_ENTRIES: usize = 64;

/// What an entry did.
#[derive(Debug)]
pub(super) struct Fed {
    pub(super) revision: Revision,
    pub(super) time: Time,
    pub(super) events: Vec<Emitted>,
    pub(super) deleted: Vec<SpaceId>,
}

/// What the hub takes, in this order.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Everything up to this revision is to be looked for in the store.
    pub(super) lost: Option<Revision>,
    pub(super) entries: Vec<Fed>,
    /// How far this is; nothing if more waits.
    pub(super) upto: Option<(Revision, Time)>,
}

#[derive(Debug, Default)]
struct State {
    watched: HashSet<SpaceId>,
    lost: Option<Revision>,
    entries: VecDeque<Fed>,
    events: usize,
    bytes: usize,
    revision: Revision,
    time: Time,
}

impl State {
    fn lose(&mut self) {
        self.entries.clear();
        (self.events, self.bytes, self.lost) = (0, 0, Some(self.revision));
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Feed {
    limits: WatchLimits,
    state: Mutex<State>,
    pub(super) signal: Signal,
}

fn size(events: &[Emitted]) -> usize {
    events.iter().map(|emitted| emitted.event.topic.len() + emitted.event.payload.0.len()).sum()
}

impl Feed {
    pub(super) fn new(limits: WatchLimits) -> Self {
        Self { limits, state: Mutex::default(), signal: Signal::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// An entry was applied and written.
    pub(super) fn applied(
        &self,
        revision: Revision,
        time: Time,
        mut events: Vec<Emitted>,
        logs: &[EventLogChange],
    ) {
        {
            let mut state = self.state();
            let state = &mut *state;
            (state.revision, state.time) = (revision, time);
            if state.watched.is_empty() || (events.is_empty() && logs.is_empty()) {
                return;
            }
            events.retain(|emitted| state.watched.contains(&emitted.space));
            let deleted =
                logs.iter().filter(|change| change.log.is_none() && state.watched.contains(&change.space));
            let deleted: Vec<_> = deleted.map(|change| change.space).collect();
            if events.is_empty() && deleted.is_empty() {
                return;
            }
            state.events += events.len();
            state.bytes += size(&events);
            if state.events > self.limits.feed_events || state.bytes > self.limits.feed_bytes {
                tracing::warn!(%revision, "watches are behind: they read on in the store");
                state.lose();
            } else {
                state.entries.push_back(Fed { revision, time, events, deleted });
            }
        }
        self.signal.raise();
    }

    /// A snapshot was installed that ends at `revision`.
    pub(super) fn restored(&self, revision: Revision, time: Time) {
        {
            let mut state = self.state();
            (state.revision, state.time) = (revision, time);
            state.lose();
        }
        self.signal.raise();
    }

    /// Feeds the events of `space` from now on; the revision behind which that is.
    pub(super) fn watch(&self, space: SpaceId) -> Revision {
        let mut state = self.state();
        state.watched.insert(space);
        state.revision
    }

    pub(super) fn unwatch(&self, space: SpaceId) {
        self.state().watched.remove(&space);
    }

    /// The revision of the last entry, and its time.
    pub(super) fn present(&self) -> (Revision, Time) {
        let state = self.state();
        (state.revision, state.time)
    }

    pub(super) fn take(&self) -> Taken {
        let mut state = self.state();
        let count = state.entries.len().min(TAKEN_ENTRIES);
        let entries: Vec<Fed> = state.entries.drain(..count).collect();
        for entry in &entries {
            state.events -= entry.events.len();
            state.bytes -= size(&entry.events);
        }
        let upto = state.entries.is_empty().then_some((state.revision, state.time));
        Taken { lost: state.lost.take(), entries, upto }
    }
}
