//! The hub of a member's watches: one lock around their [`State`], the feed from the apply thread,
//! and pages of the store.
//!
//! The lock is held briefly and never while a store is read or an event is encoded; tasks are woken
//! after it is released.
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use synod_abi::{Revision, Time};
use synod_machine::{Emitted, EventLogChange};

use super::end::{End, watch_zero};
use super::feed::Feed;
use super::limits::WatchLimits;
use super::pages::PageCache;
use super::state::{Begin, State};
use super::streams::{Admission, StreamKey};
use super::update::WatchId;
use crate::failure::CallFailure;
use crate::ports::Monotonic;
use crate::progress::lock;

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: WatchLimits,
    state: Mutex<State>,
    feed: Arc<Feed>,
    pages: PageCache,
}

/// What [`Hub::reserve`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reservation {
    /// The caller creates the watch.
    Granted,
    /// The stream got the reason.
    Refused,
}

impl Hub {
    pub(crate) fn new(limits: WatchLimits) -> Self {
        let feed = Arc::new(Feed::new(limits));
        let state = Mutex::new(State::new(feed.clone(), limits.tail_bytes));
        Self(Arc::new(Shared { limits, state, feed, pages: PageCache::new(limits.page_bytes) }))
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

    /// Works on the state, then wakes the tasks that this concerns.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let (result, woken) = {
            let mut state = lock(&self.0.state);
            let result = work(&mut state);
            (result, std::mem::take(&mut state.woken))
        };
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Call for every applied entry once its writes are visible to readers, before its outcomes
    /// are sent.
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

    /// Ends all watches and streams for `failure`.
    pub(crate) fn close(&self, failure: &CallFailure) {
        self.with(|state| state.close(failure));
        self.0.feed.signal.raise();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.with(|state| state.closed.is_some())
    }

    /// How many watches there are.
    pub(crate) fn watches(&self) -> u64 {
        self.with(|state| state.watches.len() as u64)
    }

    /// Whether it holds nothing at all.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|state| state.watches.is_empty() && state.streams.is_empty() && state.tails.is_empty())
    }

    pub(crate) fn open_stream(&self) -> StreamKey {
        self.with(State::open_stream)
    }

    /// Ends a stream and its watches.
    pub(crate) fn end_stream(&self, key: StreamKey) {
        self.with(|state| state.end_stream(key));
    }

    /// Reserves the id of a watch that is to be created; pending while too many are being created.
    /// The stream gets the failure if the id cannot be had.
    pub(crate) fn reserve(&self, key: StreamKey, id: WatchId, waker: &Waker) -> Poll<Reservation> {
        self.with(|state| {
            let closed = state.closed.clone();
            let Some(stream) = state.streams.get_mut(&key) else { return Poll::Ready(Reservation::Refused) };
            let admission = match closed {
                Some(failure) => Admission::Refused(failure),
                None if id.0 == 0 => Admission::Refused(watch_zero()),
                None => stream.reserve(id),
            };
            match admission {
                Admission::Admitted => Poll::Ready(Reservation::Granted),
                Admission::Full => {
                    stream.wait_for_room(waker);
                    Poll::Pending
                }
                Admission::Refused(failure) => {
                    stream.send_end(id, failure);
                    state.wake(key);
                    Poll::Ready(Reservation::Refused)
                }
            }
        })
    }

    /// Opens a watch whose id was reserved; its stream gets `Created` or the reason why not.
    pub(crate) fn begin(&self, key: StreamKey, id: WatchId, begin: Begin) {
        let first = self.with(|state| {
            let none = state.watches.is_empty();
            state.begin(key, id, begin);
            none && !state.watches.is_empty()
        });
        if first {
            self.0.feed.signal.raise();
        }
    }

    /// Frees a reserved id whose watch is not created, and sends why.
    pub(crate) fn refuse(&self, key: StreamKey, id: WatchId, end: End) {
        self.with(|state| {
            if let Some(stream) = state.streams.get_mut(&key) {
                stream.free(id);
                stream.send_end(id, end);
                state.wake(key);
            }
        });
    }

    /// Frees a reserved id that nobody creates a watch with any longer.
    pub(crate) fn abandon(&self, key: StreamKey, id: WatchId) {
        self.with(|state| state.streams.get_mut(&key).map(|stream| stream.free(id)));
    }

    /// Lets waiting creates of a stream look for room again.
    pub(crate) fn wake_creators(&self, key: StreamKey) {
        self.with(|state| {
            if let Some(stream) = state.streams.get_mut(&key) {
                stream.take_creators(&mut state.woken);
            }
        });
    }

    /// Cancels a watch for its client.
    pub(crate) fn cancel(&self, key: StreamKey, id: WatchId) {
        self.with(|state| state.cancel(key, id));
    }

    /// Publishes what was fed. Returns whether more waits.
    pub(super) fn step(&self, now: Monotonic) -> bool {
        self.with(|state| state.publish(self.0.feed.take(), now))
    }

    /// Cancels what stuck streams do not take. Returns when to look again.
    pub(super) fn cancel_stuck(&self, now: Monotonic) -> Option<Monotonic> {
        self.with(|state| state.cancel_stuck(now))
    }

    /// Asks for a progress mark for a stream.
    pub(crate) fn want_progress(&self, key: StreamKey) {
        self.with(|state| state.want_progress.insert(key));
        self.0.feed.signal.raise();
    }

    /// Asks for a progress mark for every stream with watches. Returns whether any is asked for.
    pub(super) fn want_progress_of_all(&self) -> bool {
        self.with(|state| {
            let streams = state.streams.iter().filter(|(_, stream)| stream.has_watches());
            state.want_progress.extend(streams.map(|(key, _)| *key));
            !state.want_progress.is_empty()
        })
    }

    /// Takes the streams for which a mark is asked.
    pub(super) fn take_wanting_progress(&self) -> Vec<StreamKey> {
        self.with(|state| std::mem::take(&mut state.want_progress).into_iter().collect())
    }

    /// Sends progress marks, each when no watch of its stream is behind.
    pub(super) fn mark_progress(&self, streams: &[StreamKey]) {
        self.with(|state| streams.iter().for_each(|key| state.mark_progress(*key)));
    }
}
