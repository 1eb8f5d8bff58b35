//! One connection to one member: an HTTP/2 channel, and on it, from the first call on, one call
//! stream with many calls in flight, one stream that keeps any number of sessions alive, and one
//! with any number of watches.
//!
//! A link is used until it breaks and is then replaced: it does not reconnect by itself, so that
//! "the request never left" stays something that can be known. It counts as made when the member
//! has answered on it, and breaks soon after the member has stopped answering probes.
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prost::Message;
use synod_abi::Reason;
use synod_api::v1::cluster_client::ClusterClient;
use synod_api::v1::failure::Kind;
use synod_api::v1::sessions_client::SessionsClient;
use synod_api::v1::spaces_client::SpacesClient;
use synod_api::v1::{CallReply, CallRequest, Failure, KeepAliveReply, KeepAliveRequest, StatusRequest};
use synod_api::{REPLY_BYTES, REQUEST_BYTES};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::Stream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Code, ConnectError, Response, Status, Streaming};

use super::Options;
use super::client::Client;
use super::flights::{Flights, Reply, Tagged};
use super::watch::WatchLane;
use super::wire::{Cluster, Wire};
use crate::core::Trouble;

/// Requests that wait for tonic to take them.
const QUEUE: usize = 256;
/// Flow control window of one stream, in bytes: replies of many calls share it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Flow control window of a connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// A connection on which nothing comes is probed after this time ...
const KEEP_ALIVE: Duration = Duration::from_millis(750);
/// ... and given up when the probe is not answered within this one: that ends what waits there.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(1_250);
/// As the kernel probes it, which takes whole seconds.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Largest headers of a reply, in bytes: a status with its details.
const HEADER_BYTES: u32 = 16 * 1_024;

/// A connection to a member.
pub(crate) struct Link {
    wire: Wire,
    calls: OnceLock<Lane<CallRequest, CallReply>>,
    touches: OnceLock<Lane<KeepAliveRequest, KeepAliveReply>>,
    watches: Mutex<Vec<Arc<WatchLane>>>,
    permits: Semaphore,
}

/// One stream of requests and replies that are matched by tags.
pub(crate) struct Lane<Q, R> {
    /// What is sent, in this order.
    pub(crate) queue: mpsc::Sender<Q>,
    /// What is in flight.
    pub(crate) flights: Arc<Flights<R>>,
}

impl Link {
    /// Connects to `address`; what is sent there names `cluster`.
    pub(crate) async fn connect(address: &str, options: &Options, cluster: Cluster) -> Result<Self, Trouble> {
        let not_sent = |error: tonic::transport::Error| {
            Trouble::NotSent(format!("cannot connect to {address}: {}", chain(&error)))
        };
        let timeout = Duration::from_millis(options.connect_timeout_ms);
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(not_sent)?
            .connect_timeout(timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(TCP_KEEP_ALIVE))
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_max_header_list_size(HEADER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let connect = async {
            let channel = endpoint.connect().await.map_err(not_sent)?;
            let wire = InterceptedService::new(channel, cluster);
            prove(wire.clone(), address).await?;
            Ok(wire)
        };
        let wire = tokio::time::timeout(timeout, connect).await.unwrap_or_else(|_| {
            Err(Trouble::NotSent(format!("cannot connect to {address}: no answer within {timeout:?}")))
        })?;
        let permits = Semaphore::new(options.calls_in_flight);
        Ok(Self {
            wire,
            calls: OnceLock::new(),
            touches: OnceLock::new(),
            watches: Mutex::default(),
            permits,
        })
    }

    /// The connection, for unary methods.
    pub(crate) fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// Whether one of its streams broke. Streams of watches see to that themselves.
    pub(crate) fn is_broken(&self) -> bool {
        self.calls.get().is_some_and(|lane| lane.flights.is_closed())
            || self.touches.get().is_some_and(|lane| lane.flights.is_closed())
    }

    /// Its call stream.
    pub(crate) fn calls(&self) -> &Lane<CallRequest, CallReply> {
        self.calls.get_or_init(|| {
            let wire = self.wire();
            Lane::open(move |outgoing| async move {
                let client = SpacesClient::new(wire);
                client
                    .max_decoding_message_size(REPLY_BYTES)
                    .max_encoding_message_size(REQUEST_BYTES)
                    .call_stream(outgoing)
                    .await
            })
        })
    }

    /// Runs one call over the call stream.
    pub(crate) async fn call(&self, request: CallRequest, timeout_ms: u64) -> Result<CallReply, Trouble> {
        check_size(request.encoded_len())?;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(timeout_ms);
        let Ok(_permit) = tokio::time::timeout_at(deadline, self.permits.acquire()).await else {
            return Err(late(false, timeout_ms));
        };
        self.calls().ask(request, timeout_ms, deadline).await
    }

    /// A stream with room for one more watch.
    pub(crate) fn watches(&self, client: &Client, address: &str) -> Arc<WatchLane> {
        let mut lanes = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| !lane.is_closed());
        if let Some(lane) = lanes.iter().find(|lane| lane.has_room()) {
            return Arc::clone(lane);
        }
        let lane = WatchLane::open(client.clone(), address, self.wire());
        lanes.push(Arc::clone(&lane));
        lane
    }

    /// Gives one session's sign of life.
    pub(crate) async fn touch(
        &self,
        request: KeepAliveRequest,
        timeout_ms: u64,
    ) -> Result<KeepAliveReply, Trouble> {
        let lane = self.touches.get_or_init(|| {
            let wire = self.wire();
            Lane::open(move |outgoing| async move { SessionsClient::new(wire).keep_alive(outgoing).await })
        });
        let deadline = tokio::time::Instant::now() + Duration::from_millis(timeout_ms);
        lane.ask(request, timeout_ms, deadline).await
    }
}

/// Resolves when the member has answered on a new connection. The kernel accepts connections for a
/// process that hangs; what is sent there is lost, and with it whether it had an effect.
async fn prove(wire: Wire, address: &str) -> Result<(), Trouble> {
    match ClusterClient::new(wire).status(StatusRequest { local: true }).await.map_err(|s| trouble_of(&s)) {
        Ok(_) | Err(Trouble::Answered(_)) => Ok(()),
        Err(Trouble::NotSent(why) | Trouble::NoAnswer(why)) => {
            Err(Trouble::NotSent(format!("cannot connect to {address}: {why}")))
        }
    }
}

fn late(left: bool, timeout_ms: u64) -> Trouble {
    let message = format!("no answer within {timeout_ms} ms");
    if left { Trouble::NoAnswer(message) } else { Trouble::NotSent(message) }
}

impl<Q: Tagged, R: Reply> Lane<Q, R> {
    fn open<F, A>(start: F) -> Self
    where
        F: FnOnce(Outgoing<Q, R>) -> A + Send + 'static,
        A: Future<Output = Result<Response<Streaming<R>>, Status>> + Send + 'static,
    {
        let (queue, requests) = mpsc::channel(QUEUE);
        let flights = Arc::new(Flights::default());
        let outgoing = Outgoing { requests, flights: Arc::clone(&flights) };
        tokio::spawn(drive(start(outgoing), Arc::clone(&flights)));
        Self { queue, flights }
    }

    async fn ask(
        &self,
        mut request: Q,
        timeout_ms: u64,
        deadline: tokio::time::Instant,
    ) -> Result<R, Trouble> {
        let (ticket, answer) = self.flights.enter()?;
        request.set_tag(ticket.tag);
        let result = tokio::time::timeout_at(deadline, async {
            match self.queue.send(request).await {
                Ok(()) => answer.await.unwrap_or_else(|_| Err(Trouble::NoAnswer("the stream ended".into()))),
                Err(_) => answer.await.unwrap_or_else(|_| Err(Trouble::NotSent("the stream ended".into()))),
            }
        })
        .await;
        result.unwrap_or_else(|_| Err(late(ticket.take_back(), timeout_ms)))
    }
}

/// The requests that leave: those that were not taken back meanwhile.
struct Outgoing<Q, R> {
    requests: mpsc::Receiver<Q>,
    flights: Arc<Flights<R>>,
}

impl<Q: Tagged, R: Reply> Stream for Outgoing<Q, R> {
    type Item = Q;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Q>> {
        loop {
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) if !self.flights.leave(request.tag()) => {}
                other => return other,
            }
        }
    }
}

async fn drive<R: Reply>(
    start: impl Future<Output = Result<Response<Streaming<R>>, Status>>,
    flights: Arc<Flights<R>>,
) {
    let why = match start.await {
        Err(status) => match synod_api::failure_of_status(&status) {
            Some(failure) => return flights.refuse(&failure),
            None => describe(&status),
        },
        Ok(response) => {
            let mut replies = response.into_inner();
            loop {
                match replies.message().await {
                    Ok(Some(reply)) => flights.land(reply),
                    Ok(None) => break "the member ended the stream".to_owned(),
                    Err(status) => break describe(&status),
                }
            }
        }
    };
    flights.close(&why);
}

/// Refuses a message that the member would not decode; on the call stream it would end the calls of
/// all others.
pub(crate) fn check_size(bytes: usize) -> Result<(), Trouble> {
    if bytes <= REQUEST_BYTES {
        return Ok(());
    }
    Err(Trouble::Answered(Box::new(Failure {
        kind: Kind::Rejected as i32,
        reason: Reason::RequestTooLarge.into(),
        message: format!(
            "the request has {bytes} bytes, the limit is {REQUEST_BYTES}; send less in one request"
        ),
        limit: "REQUEST_BYTES".into(),
        limit_value: REQUEST_BYTES as u64,
        status_code: Code::ResourceExhausted as u32,
        ..Failure::default()
    })))
}

/// What a failed unary method means for trying again.
pub(crate) fn trouble_of(status: &Status) -> Trouble {
    if let Some(failure) = synod_api::failure_of_status(status) {
        return Trouble::Answered(Box::new(failure));
    }
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return Trouble::NotSent(describe(status));
        }
        source = error.source();
    }
    match status.code() {
        Code::Unimplemented
        | Code::OutOfRange
        | Code::InvalidArgument
        | Code::Unauthenticated
        | Code::PermissionDenied => Trouble::Answered(Box::new(Failure {
            kind: Kind::Rejected as i32,
            reason: format!("{:?}", status.code()),
            message: match status.code() {
                Code::Unimplemented => {
                    "the member does not know this method; is it of an older version, or not a Synod member?"
                        .into()
                }
                _ => describe(status),
            },
            status_code: status.code() as u32,
            ..Failure::default()
        })),
        _ => Trouble::NoAnswer(describe(status)),
    }
}

fn describe(status: &Status) -> String {
    match status.source() {
        Some(source) => format!("{}: {}", status.message(), chain(source)),
        None if status.message().is_empty() => format!("{:?}", status.code()),
        None => status.message().to_owned(),
    }
}

/// The innermost causes are what a reader needs; tonic's outer ones only say "transport error".
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = if text == "transport error" { next } else { format!("{text}: {next}") };
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
