//! Keeps spaces to how much of their past they may keep: the leader's duty, by commands that forget
//! the oldest events.
//!
//! The event logs are kept in memory, up to date with apply; the events themselves are read only
//! when a space has too much, to find out up to which revision, where that holds up nobody. A space
//! is visited once a second at most, unless one compaction did not suffice, so that steady writing
//! costs one command a second and not one for each event.
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use synod_abi::{Revision, SpaceId, Time, encode, limits};
use synod_machine::directory::Page;
use synod_machine::events::{self, EventLog, EventPosition};
use synod_machine::{Action, EventLogChange, EventRetention, Fatal, Outcome, RangeLimit, Reply, StateView};

use super::duty::{Duty, Round};
use crate::ports::{Monotonic, Runtime, Store};
use crate::progress::{Signal, lock};
use crate::read::paged;

/// Compactions that are proposed at once.
const COMPACTIONS_IN_FLIGHT: usize = 8;
/// How long a space is left alone after a compaction that sufficed, or could not be planned.
const REST: Duration = Duration::from_secs(1);
/// Bytes of events that planning one compaction reads.
const PLAN_BYTES: usize = 4 * 1_024 * 1_024;
/// Length of an event's key.
const KEY_BYTES: u64 = 16;

#[derive(Debug, Default)]
struct State {
    /// The term whose lead was taken up.
    lead: Option<u64>,
    logs: HashMap<SpaceId, EventLog>,
    /// When spaces are to be looked at, by cluster time; not those in `busy`.
    due: BTreeSet<(Time, SpaceId)>,
    /// Those that are being compacted, or rest.
    busy: HashSet<SpaceId>,
    resting: BTreeSet<(Monotonic, SpaceId)>,
    /// Counts the times that everything began again: what was planned before is nothing any more.
    begun: u64,
    /// What was read of spaces that have too much.
    planned: Vec<(SpaceId, Option<Excess>)>,
}

impl State {
    fn set(&mut self, space: SpaceId, log: Option<EventLog>) {
        let before = match log {
            Some(log) => self.logs.insert(space, log),
            None => self.logs.remove(&space),
        };
        if self.busy.contains(&space) {
            return;
        }
        if let Some(at) = before.as_ref().and_then(due_at) {
            self.due.remove(&(at, space));
        }
        if let Some(at) = log.as_ref().and_then(due_at) {
            self.due.insert((at, space));
        }
    }

    fn release(&mut self, space: SpaceId) {
        self.busy.remove(&space);
        if let Some(at) = self.logs.get(&space).and_then(due_at) {
            self.due.insert((at, space));
        }
    }

    fn begin_again(&mut self) {
        self.begun += 1;
        self.planned.clear();
        self.resting.clear();
        for space in std::mem::take(&mut self.busy) {
            self.release(space);
        }
    }
}

/// When a space has too much: at once, or when its oldest event is too old; never while it keeps
/// none.
fn due_at(log: &EventLog) -> Option<Time> {
    let EventRetention { events, bytes, age_ms } = log.retention;
    match log.oldest_at {
        _ if log.events == 0 => None,
        Some(oldest) if log.events <= events && log.bytes <= bytes => {
            Some(Time(oldest.0.saturating_add(age_ms)))
        }
        _ => Some(Time(0)),
    }
}

/// What spaces keep of their events. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention(Arc<(Mutex<State>, Signal)>);

impl Retention {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.0)
    }

    /// Reads everything from `view` again; a leader takes its duty up again.
    pub(crate) fn reload(&self, view: &impl StateView) -> Result<(), Fatal> {
        let page = |after: Option<&SpaceId>, limit: usize| {
            let (items, more) = events::event_logs(view, after.copied(), limit)?;
            Ok(Page { items, more })
        };
        let logs = paged(None, page, |(space, _)| *space);
        let mut loaded = State::default();
        for log in logs {
            let (space, log) = log?;
            loaded.set(space, Some(log));
        }
        let mut state = self.state();
        loaded.begun = state.begun + 1;
        *state = loaded;
        drop(state);
        self.0.1.raise();
        Ok(())
    }

    /// An entry was applied that changed these.
    pub(crate) fn applied(&self, changes: &[EventLogChange]) {
        if changes.is_empty() {
            return;
        }
        let raise = {
            let mut state = self.state();
            let before = state.due.first().copied();
            changes.iter().for_each(|change| state.set(change.space, change.log));
            state.lead.is_some() && state.due.first().copied() != before
        };
        if raise {
            self.0.1.raise();
        }
    }
}

/// The compaction of a space; `more`: it has more that is too much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    space: SpaceId,
    more: bool,
}

/// The leader's part of it.
pub(crate) struct RetentionDuty<S, R> {
    retention: Retention,
    store: S,
    runtime: R,
    /// Spaces that are planned or compacted.
    in_flight: usize,
}

impl<S: Store, R: Runtime> RetentionDuty<S, R> {
    pub(crate) fn new(retention: Retention, store: S, runtime: R) -> Self {
        Self { retention, store, runtime, in_flight: 0 }
    }

    /// The spaces that have too much at `stamp`, as many as there is room for.
    fn take_due(&mut self, stamp: Time) -> Vec<SpaceId> {
        let (mut state, mut taken) = (self.retention.state(), Vec::new());
        while self.in_flight < COMPACTIONS_IN_FLIGHT
            && let Some((at, space)) = state.due.first().copied().filter(|(at, _)| *at <= stamp)
        {
            state.due.remove(&(at, space));
            state.busy.insert(space);
            self.in_flight += 1;
            taken.push(space);
        }
        taken
    }

    /// Has it read what a space has too much of; a later round finds that in the state.
    fn plan(&self, space: SpaceId, stamp: Time) {
        let (retention, store) = (self.retention.clone(), self.store.clone());
        let begun = retention.state().begun;
        self.runtime.run_blocking(Box::new(move || {
            let excess = store.view().and_then(|view| excess(&view, space, stamp));
            let excess = excess.unwrap_or_else(|fatal| {
                tracing::error!(cause = %fatal, %space, "what a space has too much of cannot be read");
                None
            });
            let mut state = retention.state();
            if state.begun == begun {
                state.planned.push((space, excess));
                drop(state);
                retention.0.1.raise();
            }
        }));
    }
}

impl<S: Store, R: Runtime> Duty for RetentionDuty<S, R> {
    type Decision = Decision;

    fn signal(&self) -> &Signal {
        &self.retention.0.1
    }

    fn take_up(&mut self, leading: Option<u64>, _: Monotonic) -> bool {
        let mut state = self.retention.state();
        if std::mem::replace(&mut state.lead, leading) == leading {
            return false;
        }
        state.begin_again();
        self.in_flight = 0;
        true
    }

    fn decide(&mut self, round: &mut Round<'_, Decision>) -> Option<Monotonic> {
        let now = round.now;
        let waiting = {
            let mut state = self.retention.state();
            while let Some((_, space)) = state.resting.first().copied().filter(|(until, _)| *until <= now) {
                state.resting.pop_first();
                state.release(space);
            }
            !state.due.is_empty()
        };
        let stamp = if waiting && !round.is_paused() { round.stamp() } else { None };
        if let Some(stamp) = stamp {
            self.take_due(stamp).into_iter().for_each(|space| self.plan(space, stamp));
        }
        let planned = std::mem::take(&mut self.retention.state().planned);
        for (space, excess) in planned {
            match excess {
                Some(Excess { through, more }) => {
                    round.propose(Decision { space, more }, Action::CompactEvents { space, through });
                }
                None => {
                    self.in_flight -= 1;
                    self.retention.state().resting.insert((now.after(REST), space));
                }
            }
        }
        let state = self.retention.state();
        let rested = state.resting.first().map(|(until, _)| *until);
        let due = state.due.first().filter(|_| self.in_flight < COMPACTIONS_IN_FLIGHT);
        let due = due.and_then(|(at, _)| Some(now.after(Duration::from_millis(at.since_ms(stamp?)))));
        [rested, due].into_iter().flatten().min()
    }

    fn resolved(&mut self, Decision { space, more }: Decision, outcome: Option<&Outcome>, now: Monotonic) {
        self.in_flight -= 1;
        let mut state = self.retention.state();
        let left = matches!(outcome, Some(Outcome { result: Ok(Reply::Compacted { more: true, .. }), .. }));
        if left || (more && outcome.is_some()) {
            state.release(space);
        } else {
            state.resting.insert((now.after(REST), space));
        }
    }
}

/// What a space has too much of, as far as one compaction goes.
#[derive(Clone, Copy, Debug)]
struct Excess {
    through: Revision,
    more: bool,
}

/// Whole revisions, as long as what they leave is more than may be kept at `stamp`.
fn excess(view: &impl StateView, space: SpaceId, stamp: Time) -> Result<Option<Excess>, Fatal> {
    let log = events::event_log(view, space)?;
    let EventRetention { events: keep, bytes: keep_bytes, age_ms } = log.retention;
    let from = EventPosition::at(Revision(log.compacted.0.saturating_add(1)));
    let page =
        events::events(view, space, from, RangeLimit { rows: limits::COMPACTION_EVENTS, bytes: PLAN_BYTES })?;
    let (mut left, mut left_bytes, mut through) = (log.events, log.bytes, None);
    for (EventPosition { revision, .. }, event) in &page.events {
        let old = event.time.0.saturating_add(age_ms) <= stamp.0;
        if through != Some(*revision) && left <= keep && left_bytes <= keep_bytes && !old {
            return Ok(through.map(|through| Excess { through, more: false }));
        }
        through = Some(*revision);
        left = left.saturating_sub(1);
        left_bytes = left_bytes.saturating_sub(KEY_BYTES + encode(event).len() as u64);
    }
    Ok(through.map(|through| Excess { through, more: page.more }))
}
