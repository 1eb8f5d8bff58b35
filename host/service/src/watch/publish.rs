//! How published events reach the watches that want them: the tail keeps the event, the index finds
//! the watches, and each that has everything before is queued in its stream.
use std::sync::Arc;

use synod_abi::{Revision, SpaceId};
use synod_machine::events::EventPosition;
use synod_planted::{Bug, happens};

use super::end::after;
use super::event::SharedEvent;
use super::feed::{Fed, Taken};
use super::index::WatchKey;
use super::state::State;
use crate::ports::Monotonic;

impl State {
    /// Publishes what was fed. Returns whether more waits in the feed.
    pub(super) fn publish(&mut self, taken: Taken, now: Monotonic) -> bool {
        let Taken { lost, entries, upto } = taken;
        if let Some(upto) = lost {
            self.lose(upto);
        }
        let mut found = std::mem::take(&mut self.found);
        for entry in entries {
            self.publish_entry(entry, &mut found, now);
        }
        self.found = found;
        let Some((revision, time)) = upto else { return true };
        self.published = self.published.max(revision);
        self.time = self.time.max(time);
        false
    }

    fn publish_entry(&mut self, entry: Fed, found: &mut Vec<WatchKey>, now: Monotonic) {
        for emitted in entry.events {
            if happens(Bug::EventLost, 50) {
                continue;
            }
            let space = emitted.space;
            let Some(event) = self.tails.push(emitted, found) else { continue };
            for watch in found.drain(..) {
                self.offer(watch, space, &event, now);
            }
        }
        for space in entry.deleted {
            self.delete(space);
        }
        self.published = self.published.max(entry.revision);
        self.time = self.time.max(entry.time);
        self.tails.trim();
    }

    /// A watch wants an event, unless it has it.
    fn offer(&mut self, key: WatchKey, space: SpaceId, event: &Arc<SharedEvent>, now: Monotonic) {
        let at = event.position;
        let Some(watch) = self.watches.get_mut(&key) else { return };
        if watch.position.at() > at {
            return;
        }
        let Some(stream) = self.streams.get_mut(&watch.stream) else { return };
        if watch.position.publish(at) {
            stream.queue.push_back(key);
        }
        stream.count((space, at), event.bytes(), now);
        if stream.unread.too_much_since().is_some() {
            self.over.insert(watch.stream);
        }
        self.woken.extend(stream.waker.take());
    }

    /// Every watch of a deleted space is queued, to be ended after its last events.
    fn delete(&mut self, space: SpaceId) {
        let Some(tail) = self.tails.get_mut(space) else { return };
        tail.deleted = true;
        let watches: Vec<WatchKey> = tail.index.all().collect();
        let end = EventPosition::at(Revision(u64::MAX));
        for key in watches {
            self.queue(key, end);
        }
    }

    /// Events up to `upto` were dropped before they were published: every watch looks for them in
    /// the store.
    fn lose(&mut self, upto: Revision) {
        let next = EventPosition::at(after(self.published));
        self.published = self.published.max(upto);
        self.tails.clear(upto);
        let watches: Vec<WatchKey> = self.watches.keys().copied().collect();
        for key in watches {
            let at = self.watches.get(&key).map_or(next, |watch| watch.position.at().max(next));
            self.queue(key, at);
        }
    }

    /// Queues a watch to look at what is at `at`, if it follows.
    fn queue(&mut self, key: WatchKey, at: EventPosition) {
        let Some(watch) = self.watches.get_mut(&key) else { return };
        let Some(stream) = self.streams.get_mut(&watch.stream) else { return };
        if watch.position.publish(at) {
            stream.queue.push_back(key);
        }
        self.woken.extend(stream.waker.take());
    }
}
