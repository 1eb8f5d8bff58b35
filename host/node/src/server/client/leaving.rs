//! A stream of replies that ends when its member keeps no clients: at once, with the reason as its
//! status, so that its client goes on elsewhere.
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tonic::Status;

/// See the module.
pub(super) struct Leaving<S> {
    /// None once it has ended.
    replies: Option<S>,
    leaving: BoxFuture<'static, Status>,
}

impl<S> Leaving<S> {
    /// `replies` until `leaving`, whose status is the last item.
    pub(super) fn new(replies: S, leaving: BoxFuture<'static, Status>) -> Self {
        Self { replies: Some(replies), leaving }
    }
}

impl<T, S: Stream<Item = Result<T, Status>> + Unpin> Stream for Leaving<S> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(replies) = &mut self.replies else { return Poll::Ready(None) };
        let next = replies.poll_next_unpin(cx);
        if let Poll::Ready(None) = next {
            self.replies = None;
            return Poll::Ready(None);
        }
        match self.leaving.poll_unpin(cx) {
            Poll::Ready(status) => {
                self.replies = None;
                Poll::Ready(Some(Err(status)))
            }
            Poll::Pending => next,
        }
    }
}

#[cfg(test)]
mod tests;
