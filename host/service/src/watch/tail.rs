//! The last events of the spaces that are watched, in memory, and the watches of each.
//!
//! All tails share one bound in bytes; the oldest event of any space goes first. A tail holds every
//! event of its space after its `floor` that was published; earlier ones are read from the store.
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use synod_abi::{Revision, SpaceId};
use synod_machine::Emitted;
use synod_machine::events::EventPosition;

use super::event::{SharedEvent, WatchedSpace};
use super::index::{Index, WatchKey};

/// Where the events from a position on are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All of them in the tail.
    Tail,
    /// Some only in the store.
    Store,
}

/// One space's tail.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) space: Arc<WatchedSpace>,
    pub(super) index: Index,
    pub(super) floor: Revision,
    /// The space was deleted; its last events are still here.
    pub(super) deleted: bool,
    events: VecDeque<Arc<SharedEvent>>,
}

impl Tail {
    /// Where the events from `position` on are.
    pub(super) fn reach(&self, position: EventPosition) -> Reach {
        if position.revision <= self.floor { Reach::Store } else { Reach::Tail }
    }

    /// The events from `position` on.
    pub(super) fn from(&self, position: EventPosition) -> impl Iterator<Item = &Arc<SharedEvent>> {
        let at = self.events.partition_point(|event| event.position < position);
        self.events.range(at..)
    }

    /// Drops its oldest event, if that is the one at `position`. Returns its cost.
    fn pop(&mut self, position: EventPosition) -> usize {
        match self.events.front() {
            Some(event) if event.position == position => {
                let cost = event.cost();
                self.floor = self.floor.max(position.revision);
                self.events.pop_front();
                cost
            }
            _ => 0,
        }
    }
}

/// The tails of all watched spaces.
#[derive(Debug)]
pub(super) struct Tails {
    spaces: HashMap<SpaceId, Tail>,
    /// Events in memory, oldest first.
    order: VecDeque<(SpaceId, EventPosition)>,
    bytes: usize,
    limit: usize,
}

impl Tails {
    pub(super) fn new(limit: usize) -> Self {
        Self { spaces: HashMap::new(), order: VecDeque::new(), bytes: 0, limit }
    }

    pub(super) fn get(&self, space: SpaceId) -> Option<&Tail> {
        self.spaces.get(&space)
    }

    pub(super) fn get_mut(&mut self, space: SpaceId) -> Option<&mut Tail> {
        self.spaces.get_mut(&space)
    }

    /// The tail of a space; a new one begins after the revision that `floor` returns.
    pub(super) fn open(&mut self, space: WatchedSpace, floor: impl FnOnce() -> Revision) -> &mut Tail {
        self.spaces.entry(space.id).or_insert_with(|| Tail {
            space: Arc::new(space),
            index: Index::default(),
            floor: floor(),
            deleted: false,
            events: VecDeque::new(),
        })
    }

    /// Keeps an event of a watched space and adds the watches that want it to `found`. `None` if
    /// the space is not watched, or its tail begins after the event.
    pub(super) fn push(&mut self, emitted: Emitted, found: &mut Vec<WatchKey>) -> Option<Arc<SharedEvent>> {
        let Emitted { space, revision, number, event } = emitted;
        let tail = self.spaces.get_mut(&space).filter(|tail| revision > tail.floor)?;
        let event = Arc::new(SharedEvent::new(EventPosition { revision, number }, event));
        tail.index.find(&event.stored.topic, found);
        tail.events.push_back(event.clone());
        self.bytes += event.cost();
        self.order.push_back((space, event.position));
        Some(event)
    }

    /// Drops the oldest events beyond the limit.
    pub(super) fn trim(&mut self) {
        while self.bytes > self.limit
            && let Some((space, position)) = self.order.pop_front()
        {
            self.bytes -= self.spaces.get_mut(&space).map_or(0, |tail| tail.pop(position));
        }
    }

    /// Drops all events; those up to `floor` are in the store.
    pub(super) fn clear(&mut self, floor: Revision) {
        self.bytes = 0;
        self.order.clear();
        for tail in self.spaces.values_mut() {
            tail.floor = tail.floor.max(floor);
            tail.events.clear();
        }
    }

    /// Drops the tail of a space.
    pub(super) fn close(&mut self, space: SpaceId) {
        let Some(tail) = self.spaces.remove(&space) else { return };
        self.bytes -= tail.events.iter().map(|event| event.cost()).sum::<usize>();
        self.order.retain(|(of, _)| *of != space);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.spaces.is_empty() && self.order.is_empty() && self.bytes == 0
    }
}
