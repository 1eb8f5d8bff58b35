//! The watches of one client's stream, as its transport uses them: create, cancel, poll.
//!
//! Where a watch starts is decided in [`watch_start`](super::watch_start); what it gets is the
//! [`watch`](crate::watch) hub's.
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use super::Member;
use super::watch_start::NewWatch;
use crate::ports::Ports;
use crate::progress::lock;
use crate::watch::{Hub, Reading, Reservation, StreamKey, WatchBatch, WatchId};

/// The watches of one client's stream. Clones share it; dropping the last one ends its watches.
pub struct WatchStream<P: Ports> {
    member: Member<P>,
    handle: Arc<Handle>,
}

struct Handle {
    hub: Hub,
    key: StreamKey,
    reading: Mutex<Option<Reading>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.hub.end_stream(self.key);
    }
}

impl<P: Ports> Clone for WatchStream<P> {
    fn clone(&self) -> Self {
        Self { member: self.member.clone(), handle: self.handle.clone() }
    }
}

impl<P: Ports> fmt::Debug for WatchStream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchStream").field(&self.handle.key).finish()
    }
}

/// The reserved id of a watch that is being created. Dropping it frees the id, unless the stream
/// got an update for it.
struct Creating<'a> {
    handle: &'a Handle,
    id: WatchId,
    answered: bool,
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        let Handle { hub, key, .. } = self.handle;
        if !self.answered {
            hub.abandon(*key, self.id);
        }
        hub.wake_creators(*key);
    }
}

impl<P: Ports> Member<P> {
    #[cfg(test)]
    pub(crate) fn watch_hub(&self) -> &Hub {
        &self.0.watches
    }

    /// A stream for the watches of one client.
    pub fn watch_stream(&self) -> WatchStream<P> {
        let hub = self.0.watches.clone();
        let key = hub.open_stream();
        WatchStream { member: self.clone(), handle: Arc::new(Handle { hub, key, reading: Mutex::default() }) }
    }
}

impl<P: Ports> WatchStream<P> {
    #[cfg(test)]
    pub(crate) fn key(&self) -> StreamKey {
        self.handle.key
    }

    /// Creates a watch. An update reports the result, unless this future is dropped first. Waits
    /// while [`WATCH_CREATES`](crate::watch::WATCH_CREATES) creates are under way or have updates
    /// that the transport has not taken; `timeout` counts from then.
    pub async fn create(&self, new: NewWatch, timeout: Duration) {
        let Handle { hub, key, .. } = &*self.handle;
        let id = new.id;
        let reserved = poll_fn(|cx| hub.reserve(*key, id, cx.waker())).await;
        if reserved == Reservation::Refused {
            return;
        }
        let mut creating = Creating { handle: &self.handle, id, answered: false };
        match self.member.start_watch(new, timeout).await {
            Ok(begin) => hub.begin(*key, id, begin),
            Err(end) => hub.refuse(*key, id, end),
        }
        creating.answered = true;
    }

    /// Cancels a watch. An update reports it, after those that were taken before.
    pub fn cancel(&self, id: WatchId) {
        self.handle.hub.cancel(self.handle.key, id);
    }

    /// Asks for a progress mark. It is sent when this member is known to be up to date and no watch
    /// of the stream is behind; a member that is cut off sends none.
    pub fn request_progress(&self) {
        self.handle.hub.want_progress(self.handle.key);
    }

    /// The next updates; `None` when the member stops. For one caller at a time, which is woken
    /// when there may be more.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<WatchBatch>> {
        let Handle { key, reading, .. } = &*self.handle;
        match self.member.0.delivery.poll(cx, *key, &mut lock(reading)) {
            Ok(poll) => poll,
            Err(fatal) => {
                self.member.fail(fatal);
                Poll::Ready(None)
            }
        }
    }
}
