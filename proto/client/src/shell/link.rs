//! One connection to one member: an HTTP/2 channel, and on it, from the first call on, one call
//! stream with many calls in flight, one stream that keeps any number of sessions alive, and one
//! with any number of watches.
//!
//! A link is used until it breaks and is then replaced: it does not reconnect by itself, so that
//! "the request never left" stays something that can be known. It counts as made when the member
//! has answered on it, and breaks soon after the member has stopped answering probes. It is probed
//! while something is open on it; before the first call after that, it is proved again.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prost::Message;
use synod_api::v1::cluster_client::ClusterClient;
use synod_api::v1::sessions_client::SessionsClient;
use synod_api::v1::spaces_client::SpacesClient;
use synod_api::v1::{CallReply, CallRequest, KeepAliveReply, KeepAliveRequest, StatusRequest};
use synod_api::{REPLY_BYTES, REQUEST_BYTES};
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use super::Options;
use super::client::Client;
use super::lane::{Lane, Slot};
use super::stranger;
use super::trouble::{chain, check_size, describe, late};
use super::watch::WatchLane;
use super::wire::{Cluster, Wire};
use crate::core::Trouble;

/// Flow control window of one stream, in bytes: replies of many calls share it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Flow control window of a connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// A connection with an open stream on which nothing comes is probed after this time ...
const KEEP_ALIVE: Duration = Duration::from_millis(750);
/// ... and given up when the probe is not answered within this one: that ends what waits there.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(1_250);
/// A call stream that is not used ends after this time, or twice as much,
const CALLS_IDLE: Duration = Duration::from_secs(10);
/// and one of signs of life, which are seldom where sessions live long, after this one.
const TOUCHES_IDLE: Duration = Duration::from_secs(120);
/// A connection without an open stream is proved again if its last proof is older than this.
const PROOF_LASTS: Duration = Duration::from_secs(2);
/// How long that may take.
const PROOF_TIMEOUT: Duration = Duration::from_secs(1);
/// As the kernel probes it, which takes whole seconds.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Largest headers of a reply, in bytes: a status with its details.
const HEADER_BYTES: u32 = 16 * 1_024;
/// What is said of a server that does not know the first request.
const NO_CLIENT_PORT: &str =
    "what answers there is not a Synod member's port for clients: is it the port for other members?";

/// A connection to a member.
pub(crate) struct Link {
    wire: Wire,
    address: String,
    calls: Slot<CallRequest, CallReply>,
    touches: Slot<KeepAliveRequest, KeepAliveReply>,
    watches: Mutex<Vec<Arc<WatchLane>>>,
    permits: Semaphore,
    /// When the member last answered without an open stream.
    proved: tokio::sync::Mutex<Instant>,
    /// The member did not answer when it should prove the link.
    is_lost: AtomicBool,
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
            .keep_alive_while_idle(false)
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
            address: address.to_owned(),
            calls: Slot::new(CALLS_IDLE),
            touches: Slot::new(TOUCHES_IDLE),
            watches: Mutex::default(),
            permits,
            proved: tokio::sync::Mutex::new(Instant::now()),
            is_lost: AtomicBool::new(false),
        })
    }

    /// The connection, for unary methods.
    pub(crate) fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// Whether one of its streams broke. Streams of watches see to that themselves.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed) || self.calls.is_broken() || self.touches.is_broken()
    }

    /// Whether calls, signs of life or watches have a stream on it.
    pub(crate) fn has_open_stream(&self) -> bool {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        self.calls.is_open() || self.touches.is_open() || watches.iter().any(|lane| !lane.is_closed())
    }

    /// Its call stream.
    pub(crate) fn calls(&self) -> Arc<Lane<CallRequest, CallReply>> {
        self.calls.lane(|outgoing| {
            let client = SpacesClient::new(self.wire());
            let mut client =
                client.max_decoding_message_size(REPLY_BYTES).max_encoding_message_size(REQUEST_BYTES);
            async move { client.call_stream(outgoing).await }
        })
    }

    /// Makes sure that the member answers before a call is sent to it: without an open stream
    /// nobody has probed the connection.
    async fn prove_again(&self) -> Result<(), Trouble> {
        if self.calls.is_open() {
            return Ok(());
        }
        let mut proved = self.proved.lock().await;
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(Trouble::NotSent(format!("the connection to {} is lost", self.address)));
        }
        if proved.elapsed() < PROOF_LASTS {
            return Ok(());
        }
        let proof = tokio::time::timeout(PROOF_TIMEOUT, prove(self.wire(), &self.address)).await;
        let proof = proof.unwrap_or_else(|_| Err(late(false, PROOF_TIMEOUT.as_millis() as u64)));
        match &proof {
            Ok(()) => *proved = Instant::now(),
            Err(_) => self.is_lost.store(true, Ordering::Relaxed),
        }
        proof
    }

    /// Runs one call over the call stream.
    pub(crate) async fn call(&self, request: CallRequest, timeout_ms: u64) -> Result<CallReply, Trouble> {
        check_size(request.encoded_len())?;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(timeout_ms);
        let Ok(_permit) = tokio::time::timeout_at(deadline, self.permits.acquire()).await else {
            return Err(late(false, timeout_ms));
        };
        self.prove_again().await?;
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
        let lane = self.touches.lane(|outgoing| {
            let mut client = SessionsClient::new(self.wire());
            async move { client.keep_alive(outgoing).await }
        });
        let deadline = tokio::time::Instant::now() + Duration::from_millis(timeout_ms);
        lane.ask(request, timeout_ms, deadline).await
    }
}

/// Resolves when the member has answered on a new connection. The kernel accepts connections for a
/// process that hangs; what is sent there is lost, and with it whether it had an effect. Whoever
/// answers without knowing the method is no member, or not its port for clients.
async fn prove(wire: Wire, address: &str) -> Result<(), Trouble> {
    let status = match ClusterClient::new(wire).status(StatusRequest { local: true }).await {
        Ok(_) => return Ok(()),
        Err(status) if synod_api::failure_of_status(&status).is_some() => return Ok(()),
        Err(status) => status,
    };
    let why = match status.code() {
        Code::Unimplemented => NO_CLIENT_PORT.to_owned(),
        _ => stranger::at(address).await.map_or_else(|| describe(&status), str::to_owned),
    };
    Err(Trouble::NotSent(format!("cannot connect to {address}: {why}")))
}
