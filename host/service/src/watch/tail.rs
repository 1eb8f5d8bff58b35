//! The last events of a space that is watched, and who watches it.
use std::collections::VecDeque;
use std::sync::Arc;

use synod_abi::Revision;
use synod_machine::events::EventPosition;

use super::event::{SharedEvent, WatchedSpace};
use super::index::Index;

/// See the module. It holds every event of the space behind `floor` that the hub has heard of.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) space: Arc<WatchedSpace>,
    pub(super) index: Index,
    pub(super) floor: Revision,
    pub(super) deleted: bool,
    events: VecDeque<Arc<SharedEvent>>,
}

impl Tail {
    pub(super) fn new(space: Arc<WatchedSpace>, floor: Revision) -> Self {
        Self { space, index: Index::default(), floor, deleted: false, events: VecDeque::new() }
    }

    pub(super) fn push(&mut self, event: Arc<SharedEvent>) {
        self.events.push_back(event);
    }

    /// Forgets its oldest event, if that is the one at `position`; what it counted for.
    pub(super) fn pop(&mut self, position: EventPosition) -> usize {
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

    /// Forgets all events; what they counted for.
    pub(super) fn clear(&mut self, floor: Revision) -> usize {
        self.floor = self.floor.max(floor);
        self.events.drain(..).map(|event| event.cost()).sum()
    }

    /// The events from `position` on.
    pub(super) fn from(&self, position: EventPosition) -> impl Iterator<Item = &Arc<SharedEvent>> {
        let at = self.events.partition_point(|event| event.position < position);
        self.events.range(at..)
    }
}
