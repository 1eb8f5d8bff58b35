//! A watch as its handle, its stream and the hub see it: its position, the stream that serves it,
//! and what it has received.
//!
//! It is served by at most one stream, under one id; what comes from another is ignored.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use synod_api::v1::create_watch::Start;
use synod_api::v1::{CreateWatch, Event, Failure, Value, WatchCancelled, WatchCreated, WatchQuery};
use tokio::sync::OwnedSemaphorePermit;

use super::inbox::{Heard, Inbox};
use super::lane::WatchLane;
use crate::WatchError;
use crate::core::{Begin, Next, Watching};
use crate::shell::client::Client;

/// Whether a watch is served, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// A member serves it, and it has received everything up to now.
    Live,
    /// A member serves it, and it has events left to receive.
    CatchingUp,
    /// No member serves it; it looks for one.
    Disconnected {
        /// Since when.
        since: Instant,
    },
    /// It holds as much as it may for its application, and goes on when that is read.
    Waiting,
    /// It has ended.
    Over,
}

/// What the stream is to do with a watch.
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// Cancel it.
    Cancel,
    /// It is off the stream, because the member cannot serve it.
    Elsewhere(Box<Failure>),
}

/// Where it is served.
enum Place {
    /// In the hub's queue.
    Queued,
    /// On a stream, under this id.
    At(Arc<WatchLane>, u64),
    /// Nowhere, until its inbox has room.
    Waiting,
    /// Nowhere: it has ended.
    Over,
}

/// The start of a watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun {
    /// Events after this revision follow.
    pub(crate) revision: u64,
    /// Cluster time of the state that its query read.
    pub(crate) time_ms: u64,
    /// The query's result.
    pub(crate) result: Option<Value>,
}

struct Inner {
    watching: Watching,
    inbox: Inbox,
    place: Place,
    begun: Option<Begun>,
    end: Option<WatchError>,
    /// Whether its stream has created it; `caught_up`: and has delivered everything so far.
    served: bool,
    caught_up: bool,
    down_since: Instant,
    heard_at: Instant,
    trouble: Option<String>,
    waker: Option<Waker>,
}

/// A watch.
pub(super) struct Shared {
    pub(super) client: Client,
    wanted: CreateWatch,
    from: Begin,
    query: Option<WatchQuery>,
    inner: Mutex<Inner>,
}

impl Shared {
    /// A watch that begins as soon as a member can be reached.
    pub(super) fn begin(
        client: Client,
        wanted: CreateWatch,
        from: Begin,
        query: Option<WatchQuery>,
    ) -> Arc<Self> {
        let inner = Inner {
            watching: Watching::new(from, client.options().policy.backoff),
            inbox: Inbox::default(),
            place: Place::Queued,
            begun: None,
            end: None,
            served: false,
            caught_up: false,
            down_since: Instant::now(),
            heard_at: Instant::now(),
            trouble: None,
            waker: None,
        };
        let shared = Arc::new(Self { client, wanted, from, query, inner: Mutex::new(inner) });
        shared.client.hub().begin(&shared.client, Arc::clone(&shared), 0);
        shared
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it if `lane` serves it under `watch_id`, and wakes its reader.
    fn change<T>(
        &self,
        lane: &Arc<WatchLane>,
        watch_id: u64,
        change: impl FnOnce(&mut Inner) -> T,
    ) -> Option<T> {
        let (result, waker) = {
            let mut inner = self.inner();
            if !matches!(&inner.place, Place::At(at, id) if *id == watch_id && Arc::ptr_eq(at, lane)) {
                return None;
            }
            let result = change(&mut inner);
            (result, inner.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(result)
    }

    fn create(&self, inner: &Inner) -> CreateWatch {
        let (from, space_id) = inner.watching.request();
        let start = match from {
            Begin::Now => None,
            Begin::Revision(revision) => Some(Start::FromRevision(revision)),
            Begin::Oldest => Some(Start::FromOldest(true)),
            Begin::Query => self.query.clone().map(Start::Query),
        };
        CreateWatch { start, space_id, ..self.wanted.clone() }
    }

    /// Begins it on `lane`; the hub calls this.
    pub(super) fn start(self: &Arc<Self>, lane: &Arc<WatchLane>, permit: OwnedSemaphorePermit) {
        let mut inner = self.inner();
        if !matches!(inner.place, Place::Queued) {
            return;
        }
        let create = self.create(&inner);
        let options = self.client.options();
        let patience_ms = inner.watching.patience_ms(options.answer_hedge_ms, options.attempt_timeout_ms);
        match lane.begin(Arc::clone(self), create, permit, patience_ms) {
            Some(watch_id) => inner.place = Place::At(Arc::clone(lane), watch_id),
            None => {
                drop(inner);
                self.client.hub().begin(&self.client, Arc::clone(self), 0);
            }
        }
    }

    /// No member can be reached.
    pub(super) fn unreachable(&self, why: &str) {
        self.inner().trouble = Some(why.to_owned());
    }

    /// The member created it.
    pub(super) fn created(
        self: &Arc<Self>,
        lane: &Arc<WatchLane>,
        watch_id: u64,
        created: WatchCreated,
    ) -> Verdict {
        let verdict = self.change(lane, watch_id, |inner| {
            let WatchCreated { revision, space_id, result, time_ms } = created;
            if let Err(error) = inner.watching.created(revision, space_id) {
                inner.over(error);
                return Verdict::Cancel;
            }
            inner.heard_at = Instant::now();
            inner.caught_up = inner.begun.is_none() && matches!(self.from, Begin::Now | Begin::Query);
            inner.begun.get_or_insert(Begun { revision, time_ms, result });
            inner.served = true;
            inner.trouble = None;
            if !inner.caught_up {
                lane.catches_up();
            }
            Verdict::Keep
        });
        verdict.unwrap_or(Verdict::Keep)
    }

    /// The member sent events.
    pub(super) fn events(
        &self,
        lane: &Arc<WatchLane>,
        watch_id: u64,
        events: Vec<Event>,
        partial: bool,
    ) -> Verdict {
        let verdict = self.change(lane, watch_id, |inner| {
            if inner.inbox.is_full() {
                inner.watching.grounded();
                inner.place = Place::Waiting;
                (inner.served, inner.caught_up) = (false, false);
                return Verdict::Cancel;
            }
            inner.heard_at = Instant::now();
            match inner.watching.events(events, partial) {
                Ok(whole) => {
                    for whole in whole {
                        inner.inbox.push(Heard::Events(whole));
                    }
                    Verdict::Keep
                }
                Err(error) => {
                    inner.over(error);
                    Verdict::Cancel
                }
            }
        });
        verdict.unwrap_or(Verdict::Keep)
    }

    /// The member reports that everything up to `revision` was delivered.
    pub(super) fn progress(&self, lane: &Arc<WatchLane>, watch_id: u64, revision: u64, time_ms: u64) {
        self.change(lane, watch_id, |inner| {
            if inner.watching.progress(revision) {
                inner.heard_at = Instant::now();
                inner.caught_up = true;
                inner.inbox.push(Heard::Progress { revision, time_ms });
            }
        });
    }

    /// The member cancelled it, or did not create it.
    pub(super) fn cancelled(
        self: &Arc<Self>,
        lane: &Arc<WatchLane>,
        watch_id: u64,
        cancelled: WatchCancelled,
    ) -> Verdict {
        let WatchCancelled { failure, resume_revision, compacted_revision } = cancelled;
        let failure = failure.unwrap_or_else(|| Failure {
            message: "the member ended the watch".into(),
            ..Failure::default()
        });
        let (failed, jitter) = (failure.clone(), self.client.jitter());
        let again = self.change(lane, watch_id, |inner| {
            match inner.watching.cancelled(failed, compacted_revision, resume_revision, jitter) {
                Next::Over(error) => {
                    inner.over(error);
                    None
                }
                Next::Again { after_ms, elsewhere } => {
                    inner.down(&failure.message);
                    Some((after_ms, elsewhere))
                }
            }
        });
        let Some((after_ms, elsewhere)) = again.flatten() else { return Verdict::Keep };
        self.client.hub().begin(&self.client, Arc::clone(self), after_ms);
        if elsewhere { Verdict::Elsewhere(Box::new(failure)) } else { Verdict::Keep }
    }

    /// The stream is gone.
    pub(super) fn grounded(self: &Arc<Self>, lane: &Arc<WatchLane>, watch_id: u64, why: &str) {
        let jitter = self.client.jitter();
        let after_ms = self.change(lane, watch_id, |inner| {
            inner.down(why);
            inner.watching.lost(jitter)
        });
        if let Some(after_ms) = after_ms {
            self.client.hub().begin(&self.client, Arc::clone(self), after_ms);
        }
    }

    /// The application's next item; none: it is over, and the error was returned before.
    pub(super) fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Heard, WatchError>>> {
        let mut inner = self.inner();
        let Some(heard) = inner.inbox.pop() else {
            if let Some(error) = inner.end.take() {
                return Poll::Ready(Some(Err(error)));
            }
            if matches!(inner.place, Place::Over) {
                return Poll::Ready(None);
            }
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        if matches!(inner.place, Place::Waiting) && inner.inbox.has_room() {
            inner.place = Place::Queued;
            inner.down_since = Instant::now();
            drop(inner);
            self.client.hub().begin(&self.client, Arc::clone(self), 0);
        }
        Poll::Ready(Some(Ok(heard)))
    }

    /// Its start, as soon as it has begun.
    pub(super) fn poll_begun(&self, cx: &mut Context<'_>) -> Poll<Result<Begun, WatchError>> {
        let mut inner = self.inner();
        if let Some(begun) = &mut inner.begun {
            let Begun { revision, time_ms, result } = begun;
            return Poll::Ready(Ok(Begun { revision: *revision, time_ms: *time_ms, result: result.take() }));
        }
        if let Some(error) = inner.end.take() {
            return Poll::Ready(Err(error));
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The last failure, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        self.inner().trouble.clone()
    }

    /// Its state.
    pub(super) fn state(&self) -> WatchState {
        let inner = self.inner();
        match inner.place {
            Place::At(..) if inner.caught_up => WatchState::Live,
            Place::At(..) if inner.served => WatchState::CatchingUp,
            Place::At(..) | Place::Queued => WatchState::Disconnected { since: inner.down_since },
            Place::Waiting => WatchState::Waiting,
            Place::Over => WatchState::Over,
        }
    }

    /// When a member last sent something for it.
    pub(super) fn heard_at(&self) -> Instant {
        self.inner().heard_at
    }

    /// Asks for a progress mark.
    pub(super) fn request_progress(&self) {
        if let Place::At(lane, _) = &self.inner().place {
            lane.request_progress();
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.inner().place, Place::Over)
    }

    /// Ends it: its application dropped it.
    pub(super) fn finish(&self) {
        let place = std::mem::replace(&mut self.inner().place, Place::Over);
        if let Place::At(lane, watch_id) = place {
            lane.remove(watch_id, true);
        }
    }
}

impl Inner {
    fn over(&mut self, error: WatchError) {
        self.end = Some(error);
        self.place = Place::Over;
        (self.served, self.caught_up) = (false, false);
    }

    fn down(&mut self, why: &str) {
        if std::mem::take(&mut self.served) {
            self.down_since = Instant::now();
        }
        self.place = Place::Queued;
        self.caught_up = false;
        self.trouble = Some(why.to_owned());
    }
}
