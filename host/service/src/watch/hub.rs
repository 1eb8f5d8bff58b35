//! All watches of a member, in memory: who wants what, where each is, and what waits to be taken.
//!
//! A watch that has everything is idle; it has a place again when something comes that it wants.
//! One with a place waits in its stream's list until the transport takes of it, see
//! [`deliver`](super::deliver). Locks are held briefly and never while a store is read or an event
//! is encoded; tasks are woken after the lock is let go.
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use synod_abi::schema::Schema;
use synod_abi::{Revision, SpaceId, SpaceName, Time, TopicFilter};
use synod_machine::events::EventPosition;
use synod_machine::{Emitted, EventLogChange};

use super::event::{SharedEvent, WatchedSpace};
use super::feed::{Fed, Feed, Taken};
use super::index::WatchKey;
use super::pages::PageCache;
use super::streams::{StreamKey, StreamState};
use super::tail::Tail;
use super::{
    EventForm, WATCH_STUCK, WATCH_UNREAD_BYTES, WATCHES_PER_MEMBER, WATCHES_PER_STREAM, WatchId, WatchLimits,
    WatchUpdate,
};
use crate::failure::{CallFailure, Reason, Rejected};
use crate::ports::Monotonic;
use crate::progress::lock;

/// How a watch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has everything.
    Idle,
    /// It waits in its stream's list.
    Pending,
    /// Its events are being taken; `again`: more came meanwhile.
    InHand { again: bool },
}

/// A watch.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) stream: StreamKey,
    pub(super) id: WatchId,
    pub(super) space: SpaceId,
    pub(super) filter: Arc<TopicFilter>,
    pub(super) form: EventForm,
    /// It got every event before this place that it wants; of an idle one this may be long past.
    pub(super) position: EventPosition,
    /// Whether its last update was partial.
    pub(super) open: bool,
    pub(super) stage: Stage,
}

/// A watch that can begin.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) space: SpaceId,
    pub(super) name: SpaceName,
    pub(super) schema: Arc<Schema>,
    pub(super) filter: TopicFilter,
    pub(super) form: EventForm,
    /// Events behind it follow.
    pub(super) revision: Revision,
    pub(super) time: Time,
    pub(super) result: Option<crate::failure::Value>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Everything up to here was looked at.
    pub(super) published: Revision,
    pub(super) time: Time,
    pub(super) tails: HashMap<SpaceId, Tail>,
    pub(super) watches: HashMap<WatchKey, Watch>,
    pub(super) streams: BTreeMap<StreamKey, StreamState>,
    pub(super) closed: Option<CallFailure>,
    /// Streams for which more was published than may wait.
    over: BTreeSet<StreamKey>,
    /// Streams that get a progress mark once this member is known to be up to date.
    want_progress: BTreeSet<StreamKey>,
    /// Events in memory, oldest first.
    order: VecDeque<(SpaceId, EventPosition)>,
    bytes: usize,
    tail_bytes: usize,
    next_key: u64,
    found: Vec<WatchKey>,
    pub(super) woken: Vec<Waker>,
}

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: WatchLimits,
    state: Mutex<State>,
    feed: Feed,
    pages: PageCache,
}

impl Hub {
    pub(crate) fn new(limits: WatchLimits) -> Self {
        let state = Mutex::new(State { tail_bytes: limits.tail_bytes, ..State::default() });
        Self(Arc::new(Shared {
            limits,
            state,
            feed: Feed::new(limits),
            pages: PageCache::new(limits.page_bytes),
        }))
    }

    pub(super) fn limits(&self) -> &WatchLimits {
        &self.0.limits
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub(super) fn pages(&self) -> &PageCache {
        &self.0.pages
    }

    /// Does something to the state, then wakes whom that concerns.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let (result, woken) = {
            let mut state = lock(&self.0.state);
            let result = work(&mut state);
            (result, std::mem::take(&mut state.woken))
        };
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// An entry was applied and written; to be called before its outcomes are told.
    pub(crate) fn applied(
        &self,
        revision: Revision,
        time: Time,
        events: Vec<Emitted>,
        logs: &[EventLogChange],
    ) {
        self.0.feed.applied(revision, time, events, logs);
    }

    /// A snapshot was installed, or the state was read for the first time.
    pub(crate) fn restored(&self, revision: Revision, time: Time) {
        self.0.feed.restored(revision, time);
    }

    /// Ends all watches and streams, and tells them why.
    pub(crate) fn close(&self, failure: &CallFailure) {
        self.with(|state| {
            state.closed.get_or_insert_with(|| failure.clone());
            let keys: Vec<_> = state.watches.keys().copied().collect();
            keys.into_iter().for_each(|watch| state.cancel(&self.0.feed, watch, Some(failure.clone())));
            let streams: Vec<_> = state.streams.keys().copied().collect();
            streams.into_iter().for_each(|key| state.wake(key));
        });
        self.0.feed.signal.raise();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.with(|state| state.closed.is_some())
    }

    /// Watches of all clients.
    pub(crate) fn watches(&self) -> u64 {
        self.with(|state| state.watches.len() as u64)
    }

    /// Whether nothing at all is kept.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|state| {
            state.watches.is_empty()
                && state.streams.is_empty()
                && state.tails.is_empty()
                && state.order.is_empty()
                && state.bytes == 0
        })
    }

    /// Takes what was fed; whether more waits.
    pub(super) fn step(&self, now: Monotonic) -> bool {
        self.with(|state| {
            let Taken { lost, entries, upto } = self.0.feed.take();
            if let Some(upto) = lost {
                state.lost(upto);
            }
            entries.into_iter().for_each(|entry| state.publish(entry, now));
            if let Some((revision, time)) = upto {
                state.published = state.published.max(revision);
                state.time = state.time.max(time);
            }
            upto.is_none()
        })
    }

    /// Makes a watch, unless that is refused; its stream is told of either.
    pub(super) fn begin(&self, stream: StreamKey, id: WatchId, begin: Begin) {
        let first = self.with(|state| {
            let first = state.watches.is_empty();
            state.begin(&self.0.feed, stream, id, begin);
            first && !state.watches.is_empty()
        });
        if first {
            self.0.feed.signal.raise();
        }
    }

    /// Ends a stream: nothing is left of its watches.
    pub(super) fn end_stream(&self, key: StreamKey) {
        self.with(|state| {
            let Some(stream) = state.streams.remove(&key) else { return };
            state.over.remove(&key);
            state.want_progress.remove(&key);
            stream.watches.into_values().for_each(|watch| drop(state.take_watch(&self.0.feed, watch)));
        });
    }

    /// Cancels a watch for its client.
    pub(super) fn cancel(&self, key: StreamKey, id: WatchId) {
        self.with(|state| {
            let Some(stream) = state.streams.get_mut(&key) else { return };
            if let Some(cancelled) = stream.creating.get_mut(&id) {
                *cancelled = true;
            } else if let Some(watch) = stream.watches.get(&id).copied() {
                state.cancel(&self.0.feed, watch, None);
            } else if stream.outbox.len() < WATCHES_PER_STREAM {
                let message = format!("the stream has no watch {}; it may have been cancelled before", id.0);
                stream.tell(refused(id, Rejected::new(Reason::UnknownWatch, message).into()));
            }
            state.wake(key);
        });
    }

    /// Cancels what streams do not take; when to look again.
    pub(super) fn cancel_stuck(&self, now: Monotonic) -> Option<Monotonic> {
        self.with(|state| {
            let (mut stuck, mut next) = (Vec::new(), None::<Monotonic>);
            for key in &state.over {
                let since = state.streams.get(key).and_then(|stream| stream.waiting_since);
                match since.map(|since| since.after(WATCH_STUCK)) {
                    Some(at) if at <= now => stuck.push(*key),
                    Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    None => {}
                }
            }
            stuck.into_iter().for_each(|key| state.cancel_pending(&self.0.feed, key));
            next
        })
    }

    /// Every stream with watches wants to be told how far it is; whether there is one.
    pub(super) fn want_progress_of_all(&self) -> bool {
        self.with(|state| {
            let with_watches =
                state.streams.iter().filter(|(_, stream)| !stream.watches.is_empty()).map(|(key, _)| *key);
            state.want_progress.extend(with_watches);
            !state.want_progress.is_empty()
        })
    }

    /// A stream wants to be told how far it is.
    pub(super) fn want_progress(&self, key: StreamKey) {
        self.with(|state| state.want_progress.insert(key));
        self.0.feed.signal.raise();
    }

    /// The streams that want to be told how far they are.
    pub(super) fn take_wanting_progress(&self) -> Vec<StreamKey> {
        self.with(|state| std::mem::take(&mut state.want_progress).into_iter().collect())
    }

    /// Tells streams how far they are, each when no watch of it is behind.
    pub(super) fn mark_progress(&self, streams: &[StreamKey]) {
        self.with(|state| streams.iter().for_each(|key| state.mark_progress(*key)));
    }
}

pub(super) fn refused(id: WatchId, failure: CallFailure) -> WatchUpdate {
    WatchUpdate::Cancelled { id, failure: Some(failure), resume: None, compacted: None }
}

impl State {
    pub(super) fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    pub(super) fn wake(&mut self, key: StreamKey) {
        self.woken.extend(self.streams.get_mut(&key).and_then(|stream| stream.waker.take()));
    }

    fn mark_progress(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.progress = true;
            self.wake(key);
        }
    }

    /// The transport takes from a stream, so it is not stuck; it is woken when there is more.
    pub(super) fn poll_by(&mut self, key: StreamKey, cx: &Context<'_>) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if stream.unread > WATCH_UNREAD_BYTES {
            self.over.remove(&key);
        }
        stream.waker = Some(cx.waker().clone());
        (stream.unread, stream.waiting_since) = (0, None);
    }

    fn begin(&mut self, feed: &Feed, key: StreamKey, id: WatchId, begin: Begin) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if stream.creating.remove(&id) != Some(false) {
            stream.tell(WatchUpdate::Cancelled {
                id,
                failure: None,
                resume: Some(Revision(begin.revision.0 + 1)),
                compacted: None,
            });
            return self.wake(key);
        }
        if let Some(failure) = &self.closed {
            stream.tell(refused(id, failure.clone()));
            return self.wake(key);
        }
        if self.watches.len() >= WATCHES_PER_MEMBER {
            stream.tell(refused(id, too_many("the member", "WATCHES_PER_MEMBER", WATCHES_PER_MEMBER)));
            return self.wake(key);
        }
        let Begin { space, name, schema, filter, form, revision, time, result } = begin;
        stream.tell(WatchUpdate::Created { id, revision, space, result, time });
        let watch = WatchKey(self.new_key());
        let tail = self.tails.entry(space).or_insert_with(|| {
            let floor = feed.watch(space);
            Tail::new(Arc::new(WatchedSpace::new(space, name, schema)), floor)
        });
        tail.index.insert(&filter, watch);
        let behind = revision < self.published.max(tail.floor) || tail.deleted;
        let position = EventPosition::at(Revision(revision.0.saturating_add(1)));
        let stage = if behind { Stage::Pending } else { Stage::Idle };
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.watches.insert(id, watch);
            stream.pending.extend(behind.then_some(watch));
        }
        self.watches.insert(
            watch,
            Watch { stream: key, id, space, filter: Arc::new(filter), form, position, open: false, stage },
        );
        self.wake(key);
    }

    fn publish(&mut self, Fed { revision, time, events, deleted }: Fed, now: Monotonic) {
        for Emitted { space, revision, number, event } in events {
            let Some(tail) = self.tails.get_mut(&space).filter(|tail| revision > tail.floor) else {
                continue;
            };
            let event = Arc::new(SharedEvent::new(EventPosition { revision, number }, event));
            let mut found = std::mem::take(&mut self.found);
            tail.index.find(&event.stored.topic, &mut found);
            self.bytes += event.cost();
            self.order.push_back((space, event.position));
            tail.push(event.clone());
            found
                .drain(..)
                .for_each(|watch| self.concern(watch, event.position, Some((space, event.bytes(), now))));
            self.found = found;
        }
        for space in deleted {
            let Some(tail) = self.tails.get_mut(&space) else { continue };
            tail.deleted = true;
            let watches: Vec<_> = tail.index.all().collect();
            watches
                .into_iter()
                .for_each(|watch| self.concern(watch, EventPosition::at(Revision(u64::MAX)), None));
        }
        self.published = self.published.max(revision);
        self.time = self.time.max(time);
        while self.bytes > self.tail_bytes
            && let Some((space, position)) = self.order.pop_front()
        {
            self.bytes -= self.tails.get_mut(&space).map_or(0, |tail| tail.pop(position));
        }
    }

    /// Something at `position` concerns a watch: an event that it wants, or the end of its space.
    fn concern(
        &mut self,
        key: WatchKey,
        position: EventPosition,
        event: Option<(SpaceId, usize, Monotonic)>,
    ) {
        let Some(watch) = self.watches.get_mut(&key).filter(|watch| watch.position <= position) else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&watch.stream) else { return };
        match &mut watch.stage {
            Stage::Idle => {
                watch.position = position;
                watch.stage = Stage::Pending;
                stream.pending.push_back(key);
            }
            Stage::Pending => {}
            Stage::InHand { again } => *again = true,
        }
        if let Some((space, bytes, now)) = event {
            stream.count((space, position), bytes, now);
            if stream.unread > WATCH_UNREAD_BYTES {
                self.over.insert(watch.stream);
            }
        }
        self.woken.extend(stream.waker.take());
    }

    /// Events up to `upto` may have been missed.
    fn lost(&mut self, upto: Revision) {
        let next = EventPosition::at(Revision(self.published.0.saturating_add(1)));
        self.published = self.published.max(upto);
        self.bytes = 0;
        self.order.clear();
        for tail in self.tails.values_mut() {
            tail.clear(upto);
        }
        for (key, watch) in &mut self.watches {
            let Some(stream) = self.streams.get_mut(&watch.stream) else { continue };
            match &mut watch.stage {
                Stage::Idle => {
                    watch.position = watch.position.max(next);
                    watch.stage = Stage::Pending;
                    stream.pending.push_back(*key);
                }
                Stage::Pending => {}
                Stage::InHand { again } => *again = true,
            }
            self.woken.extend(stream.waker.take());
        }
    }

    /// The revision at which a watch would go on.
    pub(super) fn resume(&self, watch: &Watch) -> Revision {
        let next = Revision(self.published.0.saturating_add(1));
        if watch.stage == Stage::Idle { watch.position.revision.max(next) } else { watch.position.revision }
    }

    /// Takes a watch out of everything but its stream.
    fn take_watch(&mut self, feed: &Feed, key: WatchKey) -> Option<Watch> {
        let watch = self.watches.remove(&key)?;
        if let Some(tail) = self.tails.get_mut(&watch.space) {
            tail.index.remove(&watch.filter, key);
            if tail.index.is_empty() {
                self.bytes -= tail.clear(Revision(0));
                self.tails.remove(&watch.space);
                self.order.retain(|(space, _)| *space != watch.space);
                feed.unwatch(watch.space);
            }
        }
        Some(watch)
    }

    /// Ends a watch and has its stream told; it can come back where it is.
    fn cancel(&mut self, feed: &Feed, key: WatchKey, failure: Option<CallFailure>) {
        let resume = self.watches.get(&key).map(|watch| self.resume(watch));
        self.finish(feed, key, |id| WatchUpdate::Cancelled { id, failure, resume, compacted: None });
    }

    /// Ends a watch, and has its stream told.
    pub(super) fn finish(&mut self, feed: &Feed, key: WatchKey, update: impl FnOnce(WatchId) -> WatchUpdate) {
        let Some(watch) = self.take_watch(feed, key) else { return };
        if let Some(stream) = self.streams.get_mut(&watch.stream) {
            stream.watches.remove(&watch.id);
            stream.tell(update(watch.id));
            self.woken.extend(stream.waker.take());
        }
    }

    fn cancel_pending(&mut self, feed: &Feed, key: StreamKey) {
        self.over.remove(&key);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let pending = std::mem::take(&mut stream.pending);
        (stream.unread, stream.waiting_since) = (0, None);
        let message = format!(
            "more than {WATCH_UNREAD_BYTES} bytes of events waited for this client, and it took none; watch \
                again from the revision given"
        );
        let failure: CallFailure = Rejected::new(Reason::WatchTooSlow, message)
            .at_limit("WATCH_UNREAD_BYTES", WATCH_UNREAD_BYTES as u64)
            .into();
        pending.into_iter().for_each(|watch| self.cancel(feed, watch, Some(failure.clone())));
    }
}

pub(super) fn too_many(who: &str, name: &'static str, limit: usize) -> CallFailure {
    let message = format!(
        "{who} has {limit} watches, which is the limit; cancel some, or watch prefixes of topics instead"
    );
    Rejected::new(Reason::TooManyWatches, message).at_limit(name, limit as u64).into()
}
