//! An accepted connection, as HTTP/2 reads it.
//!
//! A client that only makes work, and comes again as soon as its connection is closed, costs more
//! by closing than by waiting. So one that does not begin as HTTP/2 does is kept for a moment, and
//! one that resets requests before they are begun ([`resets`]) is not read for a moment. Other
//! clients behind the same address are not affected.
//!
//! This bounds what one connection makes a member do, and not how many connections are made.
mod resets;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use self::resets::Resets;
use super::metered::Account;

/// How HTTP/2 begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that every client sends at once: the preface, and the header of the first frame.
const BEGIN_BYTES: usize = PREFACE.len() + resets::HEADER_BYTES;
/// After what time a connection is closed that does not begin with the preface.
const STRANGER_PAUSE: Duration = Duration::from_secs(1);
/// How long a connection is not read that has reset as many requests as it may at once: with
/// [`resets::AT_ONCE`] of them, each connection may have 64 in a second.
const RESETS_PAUSE: Duration = Duration::from_millis(250);

/// A connection, which holds its place until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    beginning: Option<Beginning>,
    resets: Resets,
    /// What arrived together with the last reset that was let through, and comes after it.
    rest: Vec<u8>,
    /// Until when nothing is read because of resets.
    pause: Option<Pin<Box<Sleep>>>,
    account: Arc<Account>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// A connection that has to begin within `begin`.
    pub(super) fn new(
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        begin: Duration,
        account: Arc<Account>,
    ) -> Self {
        Self {
            stream,
            beginning: Some(Beginning::within(begin)),
            resets: Resets::after(PREFACE.len()),
            rest: Vec::new(),
            pause: None,
            account,
            _place: place,
        }
    }

    /// Reads what may be read now.
    fn poll_allowed(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(beginning) = &mut self.beginning {
            ready!(beginning.poll(cx))?;
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.poll_unpin(cx));
            self.pause = None;
        }
        let before = buffer.filled().len();
        let is_rest = !self.rest.is_empty();
        if is_rest {
            buffer.put_slice(&self.rest[..self.rest.len().min(buffer.remaining())]);
        } else {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        }
        let arrived = &buffer.filled()[before..];
        if let Some(beginning) = &mut self.beginning
            && !beginning.is_http2(arrived)
        {
            buffer.set_filled(before);
            return beginning.poll(cx);
        }
        if self.beginning.as_ref().is_some_and(|beginning| beginning.arrived >= BEGIN_BYTES) {
            self.beginning = None;
        }
        let passed = self.resets.pass(arrived);
        if is_rest {
            self.rest.drain(..passed);
            self.rest.shrink_to_fit();
        } else {
            self.rest.extend_from_slice(&arrived[passed..]);
        }
        buffer.set_filled(before + passed);
        if self.resets.take_many() {
            self.pause = Some(Box::pin(sleep(RESETS_PAUSE)));
        }
        Poll::Ready(Ok(()))
    }
}

/// A connection of which too little has arrived to be HTTP/2.
#[derive(Debug)]
struct Beginning {
    until: Pin<Box<Sleep>>,
    arrived: usize,
    is_stranger: bool,
}

impl Beginning {
    fn within(time: Duration) -> Self {
        Self { until: Box::pin(sleep(time)), arrived: 0, is_stranger: false }
    }

    /// Whether more may be read; an error once it has taken too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (self.until.poll_unpin(cx), self.is_stranger) {
            (Poll::Ready(()), true) => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            (Poll::Ready(()), false) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            (Poll::Pending, true) => Poll::Pending,
            (Poll::Pending, false) => Poll::Ready(Ok(())),
        }
    }

    /// Whether HTTP/2 may begin so; if not, nothing more is read.
    fn is_http2(&mut self, bytes: &[u8]) -> bool {
        let expected = &PREFACE[self.arrived.min(PREFACE.len())..];
        let compared = expected.len().min(bytes.len());
        self.arrived += bytes.len();
        let is_http2 = bytes[..compared] == expected[..compared];
        if !is_http2 {
            *self = Self { is_stranger: true, ..Self::within(STRANGER_PAUSE) };
        }
        is_http2
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = this.poll_allowed(cx, buffer);
        if read.is_pending() {
            this.resets.all_begun();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.account.ended();
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Account>;

    fn connect_info(&self) -> Arc<Account> {
        self.account.clone()
    }
}

#[cfg(test)]
mod tests;
