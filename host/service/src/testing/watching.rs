//! Streams of watches for tests: they take updates when a test says so, or at once, and reduce them
//! to what tests compare.
use std::cell::Cell;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use synod_abi::{Revision, SpaceId, Time, TopicFilter, decode, encode};

use super::cluster::{Cluster, Pending, TIMEOUT, TestPorts};
use crate::failure::{CallFailure, Rejected, Value};
use crate::progress::lock;
use crate::watch::{EventForm, EventRef, WatchId, WatchUpdate};
use crate::{NewWatch, WatchStart, WatchStream};

type Hook = Box<dyn FnOnce()>;

thread_local! {
    static ENCODED: Cell<usize> = const { Cell::new(0) };
    static HOOK: Cell<Option<Hook>> = const { Cell::new(None) };
}

/// Calls `hook` while the next event is encoded.
pub(crate) fn while_encoding(hook: impl FnOnce() + 'static) {
    HOOK.set(Some(Box::new(hook)));
}

/// Events that were encoded on this thread.
pub(crate) fn encoded() -> usize {
    ENCODED.get()
}

/// The position and topic of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) revision: u64,
    pub(crate) number: u32,
    pub(crate) topic: String,
}

/// An event as the tests' members encode it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TestEvent {
    pub(crate) revision: u64,
    pub(crate) number: u32,
    pub(crate) time: u64,
    pub(crate) topic: String,
    pub(crate) json: Option<String>,
    pub(crate) postcard: Option<Vec<u8>>,
}

pub(crate) fn encode_event(event: EventRef<'_>) -> Vec<u8> {
    ENCODED.set(ENCODED.get() + 1);
    HOOK.take().into_iter().for_each(|hook| hook());
    let (json, postcard) = match event.payload {
        Value::Json(text) => (Some(text.clone()), None),
        Value::Postcard(bytes) => (None, Some(bytes.clone())),
    };
    let EventRef { revision, number, time, topic, .. } = event;
    encode(&TestEvent { revision: revision.0, number, time: time.0, topic: topic.to_owned(), json, postcard })
}

pub(crate) fn read(event: &Bytes) -> TestEvent {
    decode(event).expect("an event")
}

fn seen(event: &Bytes) -> Seen {
    let TestEvent { revision, number, topic, .. } = read(event);
    Seen { revision, number, topic }
}

/// A watch from `start`, of `filter` in the space `counter`.
pub(crate) fn watch(id: u64, filter: TopicFilter, start: WatchStart) -> NewWatch {
    NewWatch {
        id: WatchId(id),
        space: "counter".into(),
        filter,
        start,
        form: EventForm::Json,
        signature: 0,
        space_id: None,
    }
}

/// An update of one watch, without payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Created(Revision, SpaceId, Option<Value>),
    Events(Vec<Seen>, bool),
    Cancelled(Option<CallFailure>, Option<Revision>, Option<Revision>),
}

/// A stream whose updates a test looks at.
#[derive(Clone)]
pub(crate) struct TestStream {
    pub(crate) stream: WatchStream<TestPorts>,
}

/// One batch, or none, or the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pulled {
    Updates(Vec<WatchUpdate>),
    Nothing,
    End,
}

impl TestStream {
    pub(crate) fn on(cluster: &Cluster, member: u64) -> Self {
        Self { stream: cluster.member(member).watch_stream() }
    }

    pub(crate) fn start(&self, cluster: &Cluster, new: NewWatch) -> Pending<()> {
        let stream = self.stream.clone();
        cluster.sim.start(async move {
            stream.create(new, TIMEOUT).await;
            Ok(())
        })
    }

    /// Creates a watch, and runs until that has a result.
    pub(crate) fn create(&self, cluster: &mut Cluster, new: NewWatch) {
        let _pending = self.start(cluster, new);
        cluster.run();
    }

    /// Takes one batch.
    pub(crate) fn pull(&self) -> Pulled {
        match self.stream.poll_next(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(Some(batch)) => Pulled::Updates(batch.updates),
            Poll::Ready(None) => Pulled::End,
            Poll::Pending => Pulled::Nothing,
        }
    }

    /// Takes all batches.
    pub(crate) fn drain(&self) -> Vec<WatchUpdate> {
        let (mut updates, mut idle) = (Vec::new(), 0);
        while idle < 100 {
            match self.pull() {
                Pulled::Updates(more) => updates.extend(more),
                Pulled::Nothing => idle += 1,
                Pulled::End => break,
            }
        }
        updates
    }

    /// Takes all batches; returns the updates of one watch.
    pub(crate) fn told(&self, id: u64) -> Vec<Told> {
        self.drain().into_iter().filter_map(|update| told(update, id)).collect()
    }

    /// Takes all batches; returns the events of one watch.
    pub(crate) fn events(&self, id: u64) -> Vec<Seen> {
        events(self.told(id))
    }

    /// Takes every batch as soon as there is one, and keeps it.
    pub(crate) fn follow(self, cluster: &Cluster) -> Arc<Mutex<Vec<WatchUpdate>>> {
        let kept: Arc<Mutex<Vec<WatchUpdate>>> = Arc::default();
        let all = kept.clone();
        let _ended = cluster.sim.start(async move {
            while let Some(batch) = poll_fn(|cx| self.stream.poll_next(cx)).await {
                lock(&all).extend(batch.updates);
            }
        });
        kept
    }
}

/// The update, if it is one of the watch `wanted`.
pub(crate) fn told(update: WatchUpdate, wanted: u64) -> Option<Told> {
    match update {
        WatchUpdate::Created { id, revision, space, result, time: Time(_) } if id.0 == wanted => {
            Some(Told::Created(revision, space, result))
        }
        WatchUpdate::Events { id, events, partial } if id.0 == wanted => {
            Some(Told::Events(events.iter().map(seen).collect(), partial))
        }
        WatchUpdate::Cancelled { id, failure, resume, compacted } if id.0 == wanted => {
            Some(Told::Cancelled(failure, resume, compacted))
        }
        _ => None,
    }
}

/// The events of a watch's updates.
pub(crate) fn events(told: Vec<Told>) -> Vec<Seen> {
    let events = |told| match told {
        Told::Events(events, _) => events,
        Told::Created(..) | Told::Cancelled(..) => Vec::new(),
    };
    told.into_iter().flat_map(events).collect()
}

/// The rejection in a watch's last update, the revision to resume at, and the last compacted one.
pub(crate) fn cancelled(told: &[Told]) -> (Rejected, Option<Revision>, Option<Revision>) {
    match told.last() {
        Some(Told::Cancelled(Some(CallFailure::Rejected(rejected)), resume, compacted)) => {
            ((**rejected).clone(), *resume, *compacted)
        }
        other => panic!("expected a rejection, got {other:?}"),
    }
}
