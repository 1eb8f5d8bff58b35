//! Conversions of watches between prost types and those of the service crate, and the member behind
//! a stream of watches.
//!
//! An event is encoded once, however many watches get it: the member calls [`encode_event`] and
//! keeps the bytes.
use std::num::NonZeroU32;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use prost::Message;
use synod_abi::{Revision, SpaceId, TopicFilter};
use synod_api::v1::create_watch::Start;
use synod_api::v1::watch_update::Update;
use synod_api::v1::{
    self as api, CreateWatch, Event, Failure, Header, WatchCancelled, WatchCreated, WatchEvents,
    WatchProgress,
};
use synod_service::watch::{EventForm, EventRef, WatchBatch, WatchId, WatchUpdate};
use synod_service::{CallFailure, Consistency, NewWatch, QueryOptions, WatchStart, WatchStream};

use super::watch_stream::Watches;
use super::{Front, context, convert};
use crate::server::ports::NodePorts;

/// The filter for one topic, or with `prefix` for all topics that begin with it.
pub(super) fn filter(topic: String, prefix: bool) -> TopicFilter {
    if prefix { TopicFilter::Prefix(topic) } else { TopicFilter::Exact(topic) }
}

/// The topic of a filter, and whether it is a prefix.
pub(super) fn topic_of(filter: &TopicFilter) -> (String, bool) {
    match filter {
        TopicFilter::Exact(topic) => (topic.clone(), false),
        TopicFilter::Prefix(prefix) => (prefix.clone(), true),
    }
}

/// The watch that a client asks for.
pub(super) fn new_watch(create: CreateWatch) -> Result<NewWatch, CallFailure> {
    let form = match create.form() {
        api::EventForm::Unspecified | api::EventForm::Json => EventForm::Json,
        api::EventForm::Postcard => EventForm::Postcard,
    };
    let CreateWatch { watch_id, space, topic, prefix, start, form: _, signature, space_id } = create;
    let start = match start {
        None => WatchStart::Now,
        Some(Start::FromRevision(revision)) => WatchStart::Revision(Revision(revision)),
        // A field that is set to false means the same as an absent one.
        Some(Start::FromOldest(false)) => WatchStart::Now,
        Some(Start::FromOldest(true)) => WatchStart::Oldest,
        Some(Start::Query(query)) => {
            let context = query.context.unwrap_or_default();
            let session = context::of_query(&context)?;
            let options = QueryOptions {
                consistency: Consistency::Linearizable,
                at_least_revision: context.at_least_revision,
                session,
            };
            WatchStart::Query { query: query.query, args: convert::args(query.args), options }
        }
    };
    let space_id = NonZeroU32::new(space_id).map(|id| SpaceId(id.get()));
    Ok(NewWatch {
        id: WatchId(watch_id),
        space,
        filter: filter(topic, prefix),
        start,
        form,
        signature,
        space_id,
    })
}

/// An update; `failure` converts the reason of a cancelled watch.
pub(super) fn update(update: WatchUpdate, failure: impl Fn(CallFailure) -> Failure) -> api::WatchUpdate {
    let (watch_id, update) = match update {
        WatchUpdate::Created { id, revision, space, result, time } => {
            let result = result.map(convert::value);
            (
                id.0,
                Update::Created(WatchCreated {
                    revision: revision.0,
                    space_id: space.0,
                    result,
                    time_ms: time.0,
                }),
            )
        }
        WatchUpdate::Events { id, events, partial } => (
            id.0,
            Update::Events(WatchEvents {
                events: events.into_iter().map(Event::from_encoded).collect(),
                partial,
            }),
        ),
        WatchUpdate::Progress { revision, time } => {
            (0, Update::Progress(WatchProgress { revision: revision.0, time_ms: time.0 }))
        }
        WatchUpdate::Cancelled { id, failure: why, resume, compacted } => {
            let cancelled = WatchCancelled {
                failure: why.map(failure),
                resume_revision: resume.map_or(0, |revision| revision.0),
                compacted_revision: compacted.map_or(0, |revision| revision.0),
            };
            (id.0, Update::Cancelled(cancelled))
        }
    };
    api::WatchUpdate { watch_id, update: Some(update) }
}

/// The encoded event, which every update with this event contains.
pub(crate) fn encode_event(event: EventRef<'_>) -> Vec<u8> {
    let EventRef { revision, number, time, topic, payload } = event;
    let payload = Some(convert::value(payload.clone()));
    Event {
        revision: revision.0,
        number,
        time_ms: time.0,
        topic: topic.to_owned(),
        payload,
        ..Event::default()
    }
    .encode_to_vec()
}

/// The watches of one stream at this member.
pub(super) struct MemberWatches {
    front: Front,
    stream: WatchStream<NodePorts>,
}

impl MemberWatches {
    /// A new stream without watches.
    pub(super) fn new(front: Front) -> Self {
        let stream = front.member.watch_stream();
        Self { front, stream }
    }
}

impl Watches for MemberWatches {
    fn create(&self, new: NewWatch) -> BoxFuture<'static, ()> {
        let stream = self.stream.clone();
        let timeout = self.front.call_timeout;
        async move { stream.create(new, timeout).await }.boxed()
    }

    fn cancel(&self, id: WatchId) {
        self.stream.cancel(id);
    }

    fn request_progress(&self) {
        self.stream.request_progress();
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<WatchBatch>> {
        self.stream.poll_next(cx)
    }

    fn header(&self, batch: Option<&WatchBatch>) -> Header {
        batch.map_or_else(
            || self.front.present_header(),
            |batch| self.front.header(batch.revision, batch.time),
        )
    }

    fn failure(&self, failure: CallFailure) -> Failure {
        convert::failure(&self.front, failure)
    }
}
