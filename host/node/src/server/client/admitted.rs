//! The requests of a call stream, each admitted by the budgets of its connection.
//!
//! A call is begun when there is room for its reply, and counts until it has it. Until then the
//! stream is not read, which is back-pressure to its client.
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use prost::Message;
use tonic::Status;

use crate::server::net::metered::{Account, Admission};

/// See the module.
pub(super) struct Admitted<R, Q> {
    requests: R,
    account: Arc<Account>,
    /// The request that waits for its admission.
    next: Option<(Q, BoxFuture<'static, Admission>)>,
}

impl<R, Q> Admitted<R, Q> {
    /// Admits `requests` by the budgets of `account`.
    pub(super) fn new(requests: R, account: Arc<Account>) -> Self {
        Self { requests, account, next: None }
    }
}

impl<R, Q> Stream for Admitted<R, Q>
where
    R: Stream<Item = Result<Q, Status>> + Unpin,
    Q: Message + Unpin,
{
    type Item = Result<(Q, Admission), Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.next.is_none() {
            match ready!(this.requests.poll_next_unpin(cx)) {
                None => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                Some(Ok(request)) => {
                    let bytes = request.encoded_len();
                    if let Some(admission) = this.account.try_admit(bytes) {
                        return Poll::Ready(Some(Ok((request, admission))));
                    }
                    this.next = Some((request, this.account.clone().admit(bytes).boxed()));
                }
            }
        }
        let Some((_, admitting)) = &mut this.next else { return Poll::Ready(None) };
        let admission = ready!(admitting.poll_unpin(cx));
        Poll::Ready(this.next.take().map(|(request, _)| Ok((request, admission))))
    }
}
