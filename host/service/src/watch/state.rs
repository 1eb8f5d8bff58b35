//! What the hub's lock guards: all watches of a member, the streams they belong to, and the tails
//! they read; how watches begin and end.
//!
//! How events reach watches is in [`publish`](super::publish); how polls take them in
//! [`plan`](super::plan).
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Waker};

use synod_abi::schema::Schema;
use synod_abi::{Revision, SpaceId, SpaceName, Time, TopicFilter};
use synod_machine::events::EventPosition;

use super::end::{End, after, too_many, too_slow, unknown_watch};
use super::event::WatchedSpace;
use super::feed::Feed;
use super::index::WatchKey;
use super::limits::{WATCH_STUCK, WATCHES_PER_MEMBER};
use super::position::{Next, Position};
use super::streams::{Slot, StreamKey, StreamState, Unread};
use super::tail::Tails;
use super::update::{EventForm, WatchId, WatchUpdate};
use crate::failure::{CallFailure, Value};
use crate::ports::Monotonic;

/// A watch.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) stream: StreamKey,
    pub(super) id: WatchId,
    pub(super) space: SpaceId,
    pub(super) filter: Arc<TopicFilter>,
    pub(super) form: EventForm,
    pub(super) position: Position,
}

/// A watch that can begin, as it was checked against one view of the state.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) space: SpaceId,
    pub(crate) name: SpaceName,
    pub(crate) schema: Arc<Schema>,
    pub(crate) filter: TopicFilter,
    pub(crate) form: EventForm,
    /// It gets the events after this revision.
    pub(crate) revision: Revision,
    pub(crate) time: Time,
    pub(crate) result: Option<Value>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    /// Every event up to here was published to watches.
    pub(super) published: Revision,
    pub(super) time: Time,
    pub(super) tails: Tails,
    pub(super) watches: BTreeMap<WatchKey, Watch>,
    pub(super) streams: BTreeMap<StreamKey, StreamState>,
    /// Why the hub is closed.
    pub(super) closed: Option<CallFailure>,
    /// Streams with more unread than they may have.
    pub(super) over: BTreeSet<StreamKey>,
    /// Streams that get a progress mark once this member is known to be up to date.
    pub(super) want_progress: BTreeSet<StreamKey>,
    /// To be woken when the lock is released.
    pub(super) woken: Vec<Waker>,
    /// Scratch space: the watches that want an event.
    pub(super) found: Vec<WatchKey>,
    feed: Arc<Feed>,
    next_key: u64,
}

impl State {
    pub(super) fn new(feed: Arc<Feed>, tail_bytes: usize) -> Self {
        Self {
            published: Revision(0),
            time: Time(0),
            tails: Tails::new(tail_bytes),
            watches: BTreeMap::new(),
            streams: BTreeMap::new(),
            closed: None,
            over: BTreeSet::new(),
            want_progress: BTreeSet::new(),
            woken: Vec::new(),
            found: Vec::new(),
            feed,
            next_key: 0,
        }
    }

    fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    pub(super) fn wake(&mut self, key: StreamKey) {
        self.woken.extend(self.streams.get_mut(&key).and_then(|stream| stream.waker.take()));
    }

    pub(super) fn open_stream(&mut self) -> StreamKey {
        let key = StreamKey(self.new_key());
        self.streams.insert(key, StreamState::default());
        key
    }

    /// Ends a stream and its watches, without updates.
    pub(super) fn end_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.remove(&key) else { return };
        self.over.remove(&key);
        self.want_progress.remove(&key);
        for watch in stream.watches() {
            self.remove(watch);
        }
    }

    /// The transport polls, so its stream is not stuck; it is woken when there is more.
    pub(super) fn poll_by(&mut self, key: StreamKey, cx: &Context<'_>) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if stream.unread.too_much_since().is_some() {
            self.over.remove(&key);
        }
        stream.waker = Some(cx.waker().clone());
        stream.unread = Unread::Nothing;
    }

    /// Opens a watch whose id was reserved, unless its client cancelled it or limits forbid it.
    pub(super) fn begin(&mut self, key: StreamKey, id: WatchId, begin: Begin) {
        let watches = self.watches.len();
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let end = if stream.free(id) != Some(Slot::Creating) {
            Some(End::ByClient { resume: after(begin.revision) })
        } else if let Some(failure) = &self.closed {
            Some(failure.clone().into())
        } else if watches >= WATCHES_PER_MEMBER {
            Some(too_many("the member", "WATCHES_PER_MEMBER", WATCHES_PER_MEMBER).into())
        } else {
            None
        };
        match end {
            Some(end) => stream.send_end(id, end),
            None => self.open_watch(key, id, begin),
        }
        self.wake(key);
    }

    fn open_watch(&mut self, key: StreamKey, id: WatchId, begin: Begin) {
        let watch = WatchKey(self.new_key());
        let Begin { space, name, schema, filter, form, revision, time, result } = begin;
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.send(WatchUpdate::Created { id, revision, space, result, time });
        stream.open(id, watch);
        let feed = &self.feed;
        let tail = self.tails.open(WatchedSpace::new(space, name, schema), || feed.watch(space));
        tail.index.insert(&filter, watch);
        let from = EventPosition::at(after(revision));
        let behind = revision < self.published.max(tail.floor) || tail.deleted;
        let position = if behind { Position::Queued(Next::From(from)) } else { Position::Following(from) };
        stream.queue.extend(behind.then_some(watch));
        let filter = Arc::new(filter);
        self.watches.insert(watch, Watch { stream: key, id, space, filter, form, position });
    }

    /// Cancels a watch for its client.
    pub(super) fn cancel(&mut self, key: StreamKey, id: WatchId) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        match stream.slot_mut(id) {
            Some(slot @ (Slot::Creating | Slot::Abandoned)) => *slot = Slot::Abandoned,
            Some(Slot::Open(watch)) => {
                let watch = *watch;
                self.end(watch, |resume| End::ByClient { resume });
            }
            None => stream.send_unknown(id, unknown_watch(id)),
        }
        self.wake(key);
    }

    /// Ends a watch and sends that to its stream. `end` gets the revision to resume at.
    pub(super) fn end(&mut self, key: WatchKey, end: impl FnOnce(Revision) -> End) {
        let Some(watch) = self.remove(key) else { return };
        let resume = watch.position.resume(self.published);
        if let Some(stream) = self.streams.get_mut(&watch.stream) {
            stream.free(watch.id);
            stream.send_end(watch.id, end(resume));
            self.woken.extend(stream.waker.take());
        }
    }

    /// Takes a watch out of everything but its stream.
    fn remove(&mut self, key: WatchKey) -> Option<Watch> {
        let watch = self.watches.remove(&key)?;
        if let Some(tail) = self.tails.get_mut(watch.space) {
            tail.index.remove(&watch.filter, key);
            if tail.index.is_empty() {
                self.tails.close(watch.space);
                self.feed.unwatch(watch.space);
            }
        }
        Some(watch)
    }

    /// Ends every watch; every stream ends once its last updates are taken.
    pub(super) fn close(&mut self, failure: &CallFailure) {
        self.closed.get_or_insert_with(|| failure.clone());
        let watches: Vec<WatchKey> = self.watches.keys().copied().collect();
        for watch in watches {
            let failure = failure.clone();
            self.end(watch, |resume| End::ByMember { failure, resume });
        }
        let streams: Vec<StreamKey> = self.streams.keys().copied().collect();
        for stream in streams {
            self.wake(stream);
        }
    }

    /// Cancels the queued watches of stuck streams. Returns when the next stream may be stuck.
    pub(super) fn cancel_stuck(&mut self, now: Monotonic) -> Option<Monotonic> {
        let mut stuck = Vec::new();
        let mut next: Option<Monotonic> = None;
        for key in &self.over {
            let since = self.streams.get(key).and_then(|stream| stream.unread.too_much_since());
            let Some(at) = since.map(|since| since.after(WATCH_STUCK)) else { continue };
            if at <= now {
                stuck.push(*key);
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        for key in stuck {
            self.cancel_queued(key);
        }
        next
    }

    fn cancel_queued(&mut self, key: StreamKey) {
        self.over.remove(&key);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.unread = Unread::Nothing;
        let failure = too_slow();
        for watch in std::mem::take(&mut stream.queue) {
            let failure = failure.clone();
            self.end(watch, |resume| End::ByMember { failure, resume });
        }
    }

    /// Sends a progress mark to a stream when none of its watches is behind.
    pub(super) fn mark_progress(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.mark_due = true;
            self.wake(key);
        }
    }
}
