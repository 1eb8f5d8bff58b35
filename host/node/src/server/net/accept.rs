//! Accepting connections: how many there may be, and how long a new one may take to begin.
//!
//! A connection over the limit is accepted and closed at once: its client learns in a moment that
//! it has to ask another member, instead of waiting in the kernel's queue. There is no limit for
//! one address: behind one may be a whole data centre's clients, and the limit of the port protects
//! the member.
//!
//! If no connection can be accepted at all, for want of descriptors or memory, the loop waits a
//! moment before it tries again, and logs that once a second.
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::connection::Connection;
use super::metered::Port;

/// How long a new connection may take until the preface of HTTP/2 and the header of the first frame
/// have arrived. Later, HTTP/2's own pings find out who is gone.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// Time between two lines of the log about the same trouble.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What a port takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// How long a new one may take to begin.
    begin: Duration,
}

impl Limits {
    /// At most so many connections at a time.
    pub(crate) fn of(connections: usize) -> Self {
        Self { connections, begin: BEGIN_TIMEOUT }
    }
}

/// The connections of `listener`, whose clients are called `whom` in the log. With `TCP_NODELAY`:
/// tonic sets socket options only for listeners that it binds itself, and without this one small
/// replies wait 40 ms for a delayed acknowledgement.
pub(crate) fn connections(
    listener: TcpListener,
    whom: &'static str,
    limits: Limits,
    port: Port,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(limits.connections));
    let acceptor = Acceptor { listener, whom, limits, port, places, refused: 0, logged: None };
    futures::stream::unfold(acceptor, |mut acceptor| async move {
        let connection = acceptor.next().await;
        Some((Ok(connection), acceptor))
    })
}

struct Acceptor {
    listener: TcpListener,
    whom: &'static str,
    limits: Limits,
    port: Port,
    places: Arc<Semaphore>,
    /// Connections that were closed at once, since the last line about them.
    refused: u64,
    logged: Option<Instant>,
}

impl Acceptor {
    async fn next(&mut self) -> Connection {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) if concerns_one_connection(&error) => continue,
                Err(error) => {
                    if self.may_log() {
                        let whom = self.whom;
                        tracing::warn!(%error, "cannot accept connections of {whom}: trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                self.refuse(stream);
                continue;
            };
            if stream.set_nodelay(true).is_ok() {
                return Connection::new(stream, place, self.limits.begin, self.port.account());
            }
        }
    }

    fn refuse(&mut self, stream: TcpStream) {
        drop(stream);
        self.refused += 1;
        if self.may_log() {
            let (whom, connections) = (self.whom, self.limits.connections);
            tracing::warn!(
                refused = self.refused,
                connections,
                "connections of {whom} are closed at once: there are as many as the limits of this member, \
                    and of its file descriptors, allow"
            );
            self.refused = 0;
        }
    }

    fn may_log(&mut self) -> bool {
        let may = self.logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL);
        if may {
            self.logged = Some(Instant::now());
        }
        may
    }
}

/// Whether accepting failed for the connection that was first in the queue, and not for all.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | TimedOut)
}

#[cfg(test)]
mod tests;
