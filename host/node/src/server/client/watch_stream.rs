//! The watches of one stream: requests are read and updates sent as the transport asks for them.
//!
//! It keeps no events. A batch is taken from the member only when the transport has room for a
//! message, so the flow control of HTTP/2 is the back-pressure: a client that does not read gets no
//! updates, and then its requests are not read. A stuck client costs the two messages that hyper
//! holds for it, about 1 MiB each, and the 400 KiB that h2 buffers for a stream; its watches are
//! cancelled when they fall too far behind, see [`synod_service::watch`].
//!
//! A bad request is answered with a failure and leaves other watches running; so does the end of
//! the requests. The reader of the stream drives everything, so dropping the stream drops its
//! watches.
use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use synod_api::v1::watch_request::Request;
use synod_api::v1::watch_update::Update;
use synod_api::v1::{
    CancelWatch, CreateWatch, Failure, Header, WatchCancelled, WatchReply, WatchRequest, WatchUpdate,
};
use synod_service::NewWatch;
use synod_service::watch::{WATCH_CREATES, WatchBatch, WatchId};
use synod_service::{CallFailure, Reason, Rejected};
use tonic::Status;

use super::watches;

/// Requests that are read before an update is sent.
const REQUESTS_AT_ONCE: usize = 256;
/// The watch id of updates that concern no particular watch.
const NO_WATCH: u64 = 0;

/// The member behind a stream.
pub(super) trait Watches {
    /// Creates a watch; an update reports the result.
    fn create(&self, new: NewWatch) -> BoxFuture<'static, ()>;
    /// Cancels a watch; an update confirms it.
    fn cancel(&self, id: WatchId);
    /// Asks for a progress mark.
    fn request_progress(&self);
    /// The next updates; none when the member stops.
    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<WatchBatch>>;
    /// The header of a batch, or of the present state.
    fn header(&self, batch: Option<&WatchBatch>) -> Header;
    /// A failure as clients get it.
    fn failure(&self, failure: CallFailure) -> Failure;
}

/// The watches of one stream, as the stream of their updates.
pub(super) struct WatchReplies<R, W> {
    requests: Option<R>,
    watches: W,
    creating: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Sent before any further request is read.
    refused: Vec<WatchUpdate>,
    /// Watches that were requested and are not cancelled.
    open: BTreeSet<u64>,
}

impl<R, W> WatchReplies<R, W>
where
    R: Stream<Item = Result<WatchRequest, Status>> + Unpin,
    W: Watches + Unpin,
{
    /// Serves `requests` with `watches`.
    pub(super) fn new(requests: R, watches: W) -> Self {
        Self {
            requests: Some(requests),
            watches,
            creating: FuturesUnordered::new(),
            refused: Vec::new(),
            open: BTreeSet::new(),
        }
    }

    fn take_in(&mut self, cx: &mut Context<'_>) {
        for _ in 0..REQUESTS_AT_ONCE {
            let Some(requests) = &mut self.requests else { return };
            if self.creating.len() >= WATCH_CREATES {
                return;
            }
            match requests.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(request))) => self.begin(request, cx),
                Poll::Ready(Some(Err(status))) => {
                    self.requests = None;
                    self.refuse(NO_WATCH, unreadable(&status));
                }
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    fn drive_creates(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.creating.poll_next_unpin(cx) {}
    }

    fn begin(&mut self, WatchRequest { request }: WatchRequest, cx: &mut Context<'_>) {
        match request {
            Some(Request::Create(CreateWatch { watch_id: NO_WATCH, .. })) => {
                self.refuse(
                    NO_WATCH,
                    invalid("create.watch_id", "watches are numbered by their client, from 1"),
                );
            }
            Some(Request::Create(create)) => {
                let id = create.watch_id;
                match watches::new_watch(create) {
                    Ok(new) => {
                        self.open.insert(id);
                        let mut created = self.watches.create(new);
                        if created.poll_unpin(cx).is_pending() {
                            self.creating.push(created);
                        }
                    }
                    Err(failure) => self.refuse(id, failure),
                }
            }
            Some(Request::Cancel(CancelWatch { watch_id })) => self.watches.cancel(WatchId(watch_id)),
            Some(Request::Progress(_)) => self.watches.request_progress(),
            None => self.refuse(
                NO_WATCH,
                invalid(
                    "request",
                    "the request is empty: create a watch, cancel one, or ask for a progress mark",
                ),
            ),
        }
    }

    fn refuse(&mut self, watch_id: u64, failure: CallFailure) {
        let cancelled =
            WatchCancelled { failure: Some(self.watches.failure(failure)), ..WatchCancelled::default() };
        self.refused.push(WatchUpdate { watch_id, update: Some(Update::Cancelled(cancelled)) });
    }

    fn reply(&mut self, batch: WatchBatch) -> WatchReply {
        let header = self.watches.header(Some(&batch));
        let updates: Vec<_> = batch
            .updates
            .into_iter()
            .map(|update| watches::update(update, |failure| self.watches.failure(failure)))
            .collect();
        for WatchUpdate { watch_id, update } in &updates {
            if let Some(Update::Cancelled(WatchCancelled { failure, .. })) = update
                && !failure.as_ref().is_some_and(leaves_watch_running)
            {
                self.open.remove(watch_id);
            }
        }
        WatchReply { header: Some(header), updates }
    }
}

/// Whether a failure ends no watch: there is none of that id, or it goes on.
fn leaves_watch_running(failure: &Failure) -> bool {
    matches!(failure.known_reason(), Some(Reason::UnknownWatch | Reason::WatchExists))
}

fn invalid(field: &str, message: &str) -> CallFailure {
    Rejected::new(Reason::InvalidArguments, message).in_field(field).into()
}

fn unreadable(status: &Status) -> CallFailure {
    let message = format!(
        "a request could not be read, so that none is read from this stream any more; its watches go on, \
            open another stream for more: {}",
        status.message()
    );
    Rejected::new(Reason::InvalidArguments, message).into()
}

impl<R, W> Stream for WatchReplies<R, W>
where
    R: Stream<Item = Result<WatchRequest, Status>> + Unpin,
    W: Watches + Unpin,
{
    type Item = Result<WatchReply, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.drive_creates(cx);
        if this.refused.is_empty() {
            this.take_in(cx);
        }
        let full = this.creating.len() >= WATCH_CREATES;
        this.drive_creates(cx);
        if full && this.creating.len() < WATCH_CREATES {
            cx.waker().wake_by_ref();
        }
        if !this.refused.is_empty() {
            let updates = std::mem::take(&mut this.refused);
            return Poll::Ready(Some(Ok(WatchReply { header: Some(this.watches.header(None)), updates })));
        }
        match this.watches.poll_next(cx) {
            Poll::Ready(Some(batch)) => Poll::Ready(Some(Ok(this.reply(batch)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.requests.is_none() && this.creating.is_empty() && this.open.is_empty() => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
