//! From the apply thread to the hub: what was emitted in watched spaces, in order, bounded.
//!
//! The apply thread appends and goes on. When more waits than may, and when a snapshot skips
//! entries, all of it is dropped: the hub gets the revision up to which watches look in the store.
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use synod_abi::{Revision, SpaceId, Time};
use synod_machine::{Emitted, EventLogChange};

use super::limits::WatchLimits;
use crate::progress::{Signal, lock};

/// Entries that the hub takes at once.
const TAKEN_ENTRIES: usize = 64;

/// What an entry did to watched spaces.
#[derive(Debug)]
pub(super) struct Fed {
    pub(super) revision: Revision,
    pub(super) time: Time,
    pub(super) events: Vec<Emitted>,
    /// Spaces that it deleted.
    pub(super) deleted: Vec<SpaceId>,
}

/// What the hub takes, in this order.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Events up to this revision were dropped.
    pub(super) lost: Option<Revision>,
    pub(super) entries: Vec<Fed>,
    /// The last applied revision and its time; `None` if more waits.
    pub(super) upto: Option<(Revision, Time)>,
}

#[derive(Debug, Default)]
struct Waiting {
    watched: HashSet<SpaceId>,
    lost: Option<Revision>,
    entries: VecDeque<Fed>,
    events: usize,
    bytes: usize,
    revision: Revision,
    time: Time,
}

impl Waiting {
    fn lose(&mut self) {
        self.entries.clear();
        self.events = 0;
        self.bytes = 0;
        self.lost = Some(self.revision);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Feed {
    limits: WatchLimits,
    waiting: Mutex<Waiting>,
    pub(super) signal: Signal,
}

fn size(events: &[Emitted]) -> usize {
    events.iter().map(|emitted| emitted.event.topic.len() + emitted.event.payload.0.len()).sum()
}

impl Feed {
    pub(super) fn new(limits: WatchLimits) -> Self {
        Self { limits, waiting: Mutex::default(), signal: Signal::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
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
            let mut waiting = self.waiting();
            let waiting = &mut *waiting;
            waiting.revision = revision;
            waiting.time = time;
            if waiting.watched.is_empty() || (events.is_empty() && logs.is_empty()) {
                return;
            }
            events.retain(|emitted| waiting.watched.contains(&emitted.space));
            let was_watched = |change: &&EventLogChange| waiting.watched.contains(&change.space);
            let deleted = logs.iter().filter(|change| change.log.is_none()).filter(was_watched);
            let deleted: Vec<SpaceId> = deleted.map(|change| change.space).collect();
            if events.is_empty() && deleted.is_empty() {
                return;
            }
            waiting.events += events.len();
            waiting.bytes += size(&events);
            if waiting.events > self.limits.feed_events || waiting.bytes > self.limits.feed_bytes {
                tracing::warn!(%revision, "the watch feed is full: watches go on in the store");
                waiting.lose();
            } else {
                waiting.entries.push_back(Fed { revision, time, events, deleted });
            }
        }
        self.signal.raise();
    }

    /// A snapshot was installed that ends at `revision`.
    pub(super) fn restored(&self, revision: Revision, time: Time) {
        {
            let mut waiting = self.waiting();
            waiting.revision = revision;
            waiting.time = time;
            waiting.lose();
        }
        self.signal.raise();
    }

    /// Feeds the events of `space` from now on. Returns the last revision that is not fed.
    pub(super) fn watch(&self, space: SpaceId) -> Revision {
        let mut waiting = self.waiting();
        waiting.watched.insert(space);
        waiting.revision
    }

    /// Feeds the events of `space` no more.
    pub(super) fn unwatch(&self, space: SpaceId) {
        self.waiting().watched.remove(&space);
    }

    /// The revision of the last entry, and its time.
    pub(super) fn present(&self) -> (Revision, Time) {
        let waiting = self.waiting();
        (waiting.revision, waiting.time)
    }

    /// Takes what waits, up to [`TAKEN_ENTRIES`].
    pub(super) fn take(&self) -> Taken {
        let mut waiting = self.waiting();
        let count = waiting.entries.len().min(TAKEN_ENTRIES);
        let entries: Vec<Fed> = waiting.entries.drain(..count).collect();
        for entry in &entries {
            waiting.events -= entry.events.len();
            waiting.bytes -= size(&entry.events);
        }
        let upto = waiting.entries.is_empty().then_some((waiting.revision, waiting.time));
        Taken { lost: waiting.lost.take(), entries, upto }
    }
}
