//! The watches of one client's stream, as the transport has them.
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::deliver::Delivery;
use super::event::WatchedSpace;
use super::hub::{Hub, refused, too_many};
use super::streams::{StreamKey, StreamState};
use super::{NewWatch, WATCHES_PER_STREAM, WatchBatch, WatchId};
use crate::failure::{Reason, Rejected};
use crate::member::Member;
use crate::ports::{Ports, Store};

/// The watches of one client's stream. Clones share it; the last one that is dropped ends its
/// watches.
pub struct WatchStream<P: Ports> {
    pub(super) member: Member<P>,
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    hub: Hub,
    key: StreamKey,
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

/// The id of a watch that is being created, until that is answered.
struct Creating<'a> {
    handle: &'a Handle,
    id: WatchId,
    answered: bool,
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.handle.hub.with(|state| {
            if let Some(stream) = state.streams.get_mut(&self.handle.key) {
                if !self.answered {
                    stream.creating.remove(&self.id);
                }
                stream.take_creators(&mut state.woken);
            }
        });
    }
}

impl<P: Ports> WatchStream<P> {
    pub(crate) fn new(member: Member<P>) -> Self {
        let hub = member.watch_hub().clone();
        let key = hub.with(|state| {
            let key = StreamKey(state.new_key());
            state.streams.insert(key, StreamState::default());
            key
        });
        Self { member, handle: Arc::new(Handle { hub, key }) }
    }

    /// Creates a watch; answered by an update, whatever becomes of it, unless this is dropped
    /// first. Waits while [`WATCH_CREATES`](super::WATCH_CREATES) are being created or not yet
    /// taken by the transport; `timeout` counts from then.
    pub async fn create(&self, new: NewWatch, timeout: Duration) {
        let (hub, key, id) = (&self.handle.hub, self.handle.key, new.id);
        let reserved = poll_fn(|cx| self.reserve(id, cx)).await;
        if !reserved {
            return;
        }
        let mut creating = Creating { handle: &self.handle, id, answered: false };
        match self.start(new, timeout).await {
            Ok(begin) => hub.begin(key, id, begin),
            Err(refusal) => hub.with(|state| {
                if let Some(stream) = state.streams.get_mut(&key) {
                    stream.creating.remove(&id);
                    stream.tell(refusal(id));
                    state.wake(key);
                }
            }),
        }
        creating.answered = true;
    }

    /// Whether the id is the caller's to create a watch with; what is wrong with it is told.
    fn reserve(&self, id: WatchId, cx: &Context<'_>) -> Poll<bool> {
        let key = self.handle.key;
        self.handle.hub.with(|state| {
            let closed = state.closed.clone();
            let Some(stream) = state.streams.get_mut(&key) else { return Poll::Ready(false) };
            let failure = if let Some(failure) = closed {
                failure
            } else if id.0 == 0 {
                Rejected::new(Reason::InvalidRequest, "a watch has an id from 1").in_field("watch_id").into()
            } else if stream.watches.contains_key(&id) || stream.creating.contains_key(&id) {
                let message = format!("the stream has a watch {} already, which goes on; count ids up", id.0);
                Rejected::new(Reason::WatchExists, message).into()
            } else if stream.watches.len() + stream.creating.len() >= WATCHES_PER_STREAM {
                too_many("the stream", "WATCHES_PER_STREAM", WATCHES_PER_STREAM)
            } else if stream.has_room() {
                stream.creating.insert(id, false);
                return Poll::Ready(true);
            } else {
                stream.wait_for_room(cx.waker());
                return Poll::Pending;
            };
            stream.tell(refused(id, failure));
            state.wake(key);
            Poll::Ready(false)
        })
    }

    /// Cancels a watch; answered by an update, behind what was taken before.
    pub fn cancel(&self, id: WatchId) {
        self.handle.hub.cancel(self.handle.key, id);
    }

    /// Asks for a progress mark. It comes when this member is known to be up to date and no watch
    /// of the stream is behind; from a member that is cut off it does not come.
    pub fn request_progress(&self) {
        self.handle.hub.want_progress(self.handle.key);
    }

    /// The next updates; nothing more when the member stops. For one caller at a time, which is
    /// woken when there may be more.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<WatchBatch>> {
        let inner = self.member.parts_of_watches();
        let schema = |space: &WatchedSpace| {
            let present = inner.directory.space(&space.name, || inner.store.view())?;
            if let Some(present) = present.filter(|present| present.record.id == space.id) {
                space.learn(&present.schema);
            }
            Ok(space.schema())
        };
        let delivery = Delivery {
            hub: &self.handle.hub,
            store: inner.store,
            encode: inner.encode_event,
            schema: &schema,
        };
        match delivery.poll(cx, self.handle.key) {
            Ok(poll) => poll,
            Err(fatal) => {
                self.member.fail(fatal);
                Poll::Ready(None)
            }
        }
    }
}
