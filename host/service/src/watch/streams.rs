//! The stream of one client, in the hub: its watches, and what waits to be taken.
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use synod_abi::SpaceId;
use synod_machine::events::EventPosition;

use super::index::WatchKey;
use super::{WATCH_CREATES, WatchId, WatchUpdate};
use crate::ports::Monotonic;

/// A stream of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamKey(pub(super) u64);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    pub(super) watches: BTreeMap<WatchId, WatchKey>,
    /// Watches that are being created, and whether they were cancelled meanwhile.
    pub(super) creating: BTreeMap<WatchId, bool>,
    /// Told before any event.
    pub(super) outbox: VecDeque<WatchUpdate>,
    /// Those of them that say that a watch was created.
    created: usize,
    /// Watches with something to take; some may be gone.
    pub(super) pending: VecDeque<WatchKey>,
    /// Whether a progress mark is due.
    pub(super) progress: bool,
    pub(super) waker: Option<Waker>,
    creators: Vec<Waker>,
    /// Bytes that were published for it since it was last polled.
    pub(super) unread: usize,
    /// Since when some are.
    pub(super) waiting_since: Option<Monotonic>,
    counted: Option<(SpaceId, EventPosition)>,
}

impl StreamState {
    pub(super) fn tell(&mut self, update: WatchUpdate) {
        self.created += usize::from(matches!(update, WatchUpdate::Created { .. }));
        self.outbox.push_back(update);
    }

    /// The next of what is told before events; who waits to create may go on.
    pub(super) fn told(&mut self, woken: &mut Vec<Waker>) -> Option<WatchUpdate> {
        let update = self.outbox.pop_front()?;
        if matches!(update, WatchUpdate::Created { .. }) {
            self.created -= 1;
            woken.append(&mut self.creators);
        }
        Some(update)
    }

    pub(super) fn has_room(&self) -> bool {
        self.creating.len() + self.created < WATCH_CREATES
    }

    pub(super) fn wait_for_room(&mut self, waker: &Waker) {
        if !self.creators.iter().any(|creator| creator.will_wake(waker)) {
            self.creators.push(waker.clone());
        }
    }

    pub(super) fn take_creators(&mut self, woken: &mut Vec<Waker>) {
        woken.append(&mut self.creators);
    }

    /// Counts an event that is wanted, once however many watches want it.
    pub(super) fn count(&mut self, event: (SpaceId, EventPosition), bytes: usize, now: Monotonic) {
        if self.counted != Some(event) {
            self.counted = Some(event);
            self.unread += bytes;
            self.waiting_since.get_or_insert(now);
        }
    }
}
