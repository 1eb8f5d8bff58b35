//! The body of a reply, whose bytes count until they are sent.
//!
//! HTTP/2 keeps what a client does not read, stream by stream. So each chunk carries its charge,
//! which ends when the transport drops the chunk, and no stream is asked for more while its
//! connection owes too much.
//!
//! The first chunk is asked for before the response begins: then it is known how long a single
//! reply is, and one that has no room can still be refused.
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, poll_fn};
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::Replies;
use crate::server::net::budget::{Charge, Meter};

type Polled = Option<Result<Frame<Bytes>, Status>>;

/// Bytes that count until they are dropped.
struct Counted {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn counted(bytes: Bytes, charge: Charge) -> Bytes {
    Bytes::from_owner(Counted { bytes, _charge: charge })
}

/// See the module.
pub(super) struct MeteredReply {
    body: Body,
    unsent: Arc<Meter>,
    first: Option<Polled>,
    waiting: Option<BoxFuture<'static, ()>>,
}

impl MeteredReply {
    /// Begins a reply; none if its first message is there and has no room.
    pub(super) async fn begin(mut body: Body, replies: &Replies) -> Option<Body> {
        if body.is_end_stream() {
            return Some(body);
        }
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
        let first = match first {
            Poll::Pending => None,
            Poll::Ready(frame) => Some(match frame {
                Some(Ok(frame)) => Some(Ok(charge_first(frame, replies)?)),
                end => end,
            }),
        };
        let unsent = replies.unsent.clone();
        Some(Body::new(Self { body, unsent, first, waiting: None }))
    }
}

/// Charges the first chunk of a reply, if it has room.
fn charge_first(frame: Frame<Bytes>, replies: &Replies) -> Option<Frame<Bytes>> {
    match frame.into_data() {
        Err(trailers) => Some(trailers),
        Ok(data) => {
            replies.observe(data.len());
            let charge = replies.unsent.try_owe(data.len())?;
            Some(Frame::data(counted(data, charge)))
        }
    }
}

impl http_body::Body for MeteredReply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(first);
        }
        while !this.unsent.has_room() {
            let waiting = this.waiting.get_or_insert_with(|| this.unsent.clone().room().boxed());
            ready!(waiting.poll_unpin(cx));
            this.waiting = None;
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let charged = |frame: Frame<Bytes>| {
            frame.map_data(|data| {
                let charge = this.unsent.owe(data.len());
                counted(data, charge)
            })
        };
        Poll::Ready(frame.map(|frame| frame.map(charged)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.first {
            Some(first) => first.is_none(),
            None => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
