//! The stream of one client, in the hub: its watches, the updates and watches that wait to be
//! taken, and how much its transport leaves unread.
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use synod_abi::SpaceId;
use synod_machine::events::EventPosition;

use super::end::{End, too_many, watch_exists};
use super::index::WatchKey;
use super::limits::{WATCH_CREATES, WATCH_UNREAD_BYTES, WATCHES_PER_STREAM};
use super::update::{WatchId, WatchUpdate};
use crate::failure::CallFailure;
use crate::ports::Monotonic;

/// A stream of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamKey(pub(super) u64);

/// What the id of a watch stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A watch that is being created.
    Creating,
    /// The same, and its client cancelled it meanwhile.
    Abandoned,
    /// A watch.
    Open(WatchKey),
}

/// Whether another watch can be created now.
pub(super) enum Admission {
    Admitted,
    /// Later: too many creates are under way.
    Full,
    Refused(CallFailure),
}

/// What was published for a stream since its transport last polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unread {
    #[default]
    Nothing,
    Since {
        at: Monotonic,
        bytes: usize,
    },
}

impl Unread {
    /// Since when, if it is more than a stream may leave unread.
    pub(super) fn too_much_since(self) -> Option<Monotonic> {
        match self {
            Self::Since { at, bytes } if bytes > WATCH_UNREAD_BYTES => Some(at),
            Self::Since { .. } | Self::Nothing => None,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    pub(super) slots: BTreeMap<WatchId, Slot>,
    /// Slots of watches that are being created.
    creating: usize,
    /// Updates that go out before any event.
    outbox: VecDeque<WatchUpdate>,
    /// `Created` updates among them.
    created: usize,
    /// Watches that wait to be taken in hand; some may have ended.
    pub(super) queue: VecDeque<WatchKey>,
    /// A progress mark is sent when nothing else waits.
    pub(super) mark_due: bool,
    pub(super) waker: Option<Waker>,
    /// Creates that wait for room.
    creators: Vec<Waker>,
    pub(super) unread: Unread,
    /// The event that was last counted as unread.
    counted: Option<(SpaceId, EventPosition)>,
}

impl StreamState {
    /// Reserves an id for a watch that is being created.
    pub(super) fn reserve(&mut self, id: WatchId) -> Admission {
        let slots = self.slots.len();
        match self.slots.entry(id) {
            Entry::Occupied(_) => Admission::Refused(watch_exists(id)),
            Entry::Vacant(_) if slots >= WATCHES_PER_STREAM => {
                Admission::Refused(too_many("the stream", "WATCHES_PER_STREAM", WATCHES_PER_STREAM))
            }
            Entry::Vacant(_) if self.creating + self.created >= WATCH_CREATES => Admission::Full,
            Entry::Vacant(slot) => {
                slot.insert(Slot::Creating);
                self.creating += 1;
                Admission::Admitted
            }
        }
    }

    /// Frees an id. Returns what it stood for.
    pub(super) fn free(&mut self, id: WatchId) -> Option<Slot> {
        let slot = self.slots.remove(&id)?;
        self.creating -= usize::from(matches!(slot, Slot::Creating | Slot::Abandoned));
        Some(slot)
    }

    /// Gives a freed id to a watch.
    pub(super) fn open(&mut self, id: WatchId, watch: WatchKey) {
        self.slots.insert(id, Slot::Open(watch));
    }

    pub(super) fn slot_mut(&mut self, id: WatchId) -> Option<&mut Slot> {
        self.slots.get_mut(&id)
    }

    /// Its watches, without those being created.
    pub(super) fn watches(&self) -> impl Iterator<Item = WatchKey> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::Open(watch) => Some(*watch),
            Slot::Creating | Slot::Abandoned => None,
        })
    }

    pub(super) fn has_watches(&self) -> bool {
        self.slots.len() > self.creating
    }

    /// Whether updates or watches wait to be taken.
    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.outbox.is_empty()
    }

    /// Sends an update before any event.
    pub(super) fn send(&mut self, update: WatchUpdate) {
        self.created += usize::from(matches!(update, WatchUpdate::Created { .. }));
        self.outbox.push_back(update);
    }

    /// Sends the end of a watch.
    pub(super) fn send_end(&mut self, id: WatchId, end: impl Into<End>) {
        self.send(end.into().update(id));
    }

    /// Sends that a cancel named no watch, unless a flood of those waits already.
    pub(super) fn send_unknown(&mut self, id: WatchId, failure: CallFailure) {
        if self.outbox.len() < WATCHES_PER_STREAM {
            self.send_end(id, failure);
        }
    }

    /// The next update that goes out before events; waiting creates may go on.
    pub(super) fn next_update(&mut self, woken: &mut Vec<Waker>) -> Option<WatchUpdate> {
        let update = self.outbox.pop_front()?;
        if matches!(update, WatchUpdate::Created { .. }) {
            self.created -= 1;
            woken.append(&mut self.creators);
        }
        Some(update)
    }

    /// Has `waker` woken when another watch can be created.
    pub(super) fn wait_for_room(&mut self, waker: &Waker) {
        if !self.creators.iter().any(|creator| creator.will_wake(waker)) {
            self.creators.push(waker.clone());
        }
    }

    pub(super) fn take_creators(&mut self, woken: &mut Vec<Waker>) {
        woken.append(&mut self.creators);
    }

    /// Counts a wanted event as unread, once for all watches that want it.
    pub(super) fn count(&mut self, event: (SpaceId, EventPosition), size: usize, now: Monotonic) {
        if self.counted == Some(event) {
            return;
        }
        self.counted = Some(event);
        self.unread = match self.unread {
            Unread::Nothing => Unread::Since { at: now, bytes: size },
            Unread::Since { at, bytes } => Unread::Since { at, bytes: bytes + size },
        };
    }
}
