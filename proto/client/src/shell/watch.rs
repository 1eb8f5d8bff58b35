//! A watch: the events of a space that match a filter, each once, in order, and those of one
//! revision together.
//!
//! All watches of a client share a stream to one member. When that member fails, hangs or lags,
//! they resume at another one, in the background. An application that does not read delays only
//! itself: its watch holds a bounded amount of events; beyond that the watch is cancelled, and
//! resumed when there is room.

mod builder;
mod form;
mod hub;
mod inbox;
mod lane;
mod outbox;
mod shared;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use synod_api::v1::Event;
use tokio_stream::Stream;

pub use self::builder::WatchBuilder;
pub use self::form::{Form, Json, Postcard, Typed};
pub(crate) use self::hub::Hub;
use self::inbox::Heard;
pub(crate) use self::lane::WatchLane;
pub(crate) use self::shared::Begun;
use self::shared::Shared;
pub use self::shared::WatchState;
use crate::{Error, WatchError};

/// An event of a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent<P> {
    /// Revision of the command that emitted it.
    pub revision: u64,
    /// Counts the events of the space in that revision, from 0.
    pub number: u32,
    /// Cluster time of that command's entry, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: P,
}

/// An item of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchItem<P> {
    /// All matching events of one revision; at least one.
    Events {
        /// The revision.
        revision: u64,
        /// Its cluster time, in milliseconds since the Unix epoch.
        time_ms: u64,
        /// Its events, in the order in which they were emitted.
        events: Vec<WatchEvent<P>>,
    },
    /// Everything up to this revision was delivered.
    Progress {
        /// The revision.
        revision: u64,
        /// Its cluster time, in milliseconds since the Unix epoch.
        time_ms: u64,
    },
}

impl<P> WatchItem<P> {
    /// Its revision: the watch has delivered everything up to it.
    pub const fn revision(&self) -> u64 {
        match self {
            Self::Events { revision, .. } | Self::Progress { revision, .. } => *revision,
        }
    }
}

/// A watch: see [`Client::watch`](crate::Client::watch). Dropping it ends it.
///
/// It resumes after failures of members for as long as it exists; [`state`](Self::state) tells
/// whether a member serves it.
#[must_use = "a watch that is dropped has ended"]
pub struct Watch<F: Form> {
    handle: Handle,
    revision: u64,
    form: std::marker::PhantomData<fn() -> F>,
}

/// Ends the watch when dropped, even before it has begun.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl<F: Form> fmt::Debug for Watch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("revision", &self.revision)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl<F: Form> Watch<F> {
    fn new(handle: Handle, revision: u64) -> Self {
        Self { handle, revision, form: std::marker::PhantomData }
    }

    /// The next item; none: the watch has ended, and the error was returned before. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// Why the watch has ended. [`revision`](Self::revision) tells how far it came.
    pub async fn next(&mut self) -> Result<Option<WatchItem<F::Payload>>, WatchError> {
        poll_fn(|cx| self.poll_item(cx)).await.transpose()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<WatchItem<F::Payload>, WatchError>>> {
        let item = match ready!(self.handle.0.poll(cx)) {
            Some(Ok(heard)) => read::<F>(heard).map_err(WatchError::from),
            Some(Err(error)) => Err(error),
            None => return Poll::Ready(None),
        };
        match &item {
            Ok(item) => self.revision = item.revision(),
            Err(_) => self.handle.0.finish(),
        }
        Poll::Ready(Some(item))
    }

    /// It has delivered everything up to this revision; to resume, begin with the next one.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Its state; items that it holds and that were not read yet have no influence on it.
    pub fn state(&self) -> WatchState {
        self.handle.0.state()
    }

    /// When a member last sent something for it. While it is [`WatchState::Live`], what it
    /// delivered is at least as fresh as that.
    pub fn heard_at(&self) -> Instant {
        self.handle.0.heard_at()
    }

    /// An observer of its state, which does not keep it alive.
    pub(crate) fn observer(&self) -> WatchObserver {
        WatchObserver(Arc::clone(&self.handle.0))
    }

    /// Asks the member for a progress mark; otherwise one comes every few seconds.
    pub fn request_progress(&self) {
        self.handle.0.request_progress();
    }
}

/// Observes the state of a watch without keeping it alive.
#[derive(Clone)]
pub(crate) struct WatchObserver(Arc<Shared>);

impl WatchObserver {
    /// Its state.
    pub(crate) fn state(&self) -> WatchState {
        self.0.state()
    }

    /// When a member last sent something for it.
    pub(crate) fn heard_at(&self) -> Instant {
        self.0.heard_at()
    }

    /// Asks the member for a progress mark.
    pub(crate) fn request_progress(&self) {
        self.0.request_progress();
    }
}

impl<F: Form> Stream for Watch<F> {
    type Item = Result<WatchItem<F::Payload>, WatchError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

fn read<F: Form>(heard: Heard) -> Result<WatchItem<F::Payload>, Error> {
    let whole = match heard {
        Heard::Progress { revision, time_ms } => return Ok(WatchItem::Progress { revision, time_ms }),
        Heard::Events(whole) => whole,
    };
    let time_ms = whole.events.first().map_or(0, |event| event.time_ms);
    let events = whole.events.into_iter().map(|event| {
        let Event { revision, number, time_ms, topic, payload, .. } = event;
        Ok(WatchEvent { revision, number, time_ms, topic, payload: F::read(payload)? })
    });
    Ok(WatchItem::Events { revision: whole.revision, time_ms, events: events.collect::<Result<_, Error>>()? })
}
