//! The connections to the other members, over gRPC: one per address, shared by all requests to it.
//!
//! It moves bytes, whose meaning belongs to the consensus crate (votes, entries, snapshots) and the
//! service crate (forwarded commands).
pub(crate) mod digests;
mod raft_network;
mod why;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{Stream, StreamExt};
use synod_abi::{MemberId, ModuleHash, SessionId};
use synod_api::peer::peer_client::PeerClient;
use synod_api::peer::{
    ClocksReply, ClocksRequest, DigestsRequest, Frame, HelloReply, HelloRequest, MemberStatusRequest,
    PeerScrubRequest, PrepareChunk, PromiseRequest, ReadIndexRequest, ReplaceReply, ReplaceRequest,
    TouchRequest,
};
use synod_api::v1::MemberStatus;
use synod_consensus::{FRAME_BYTES, PeerError};
use synod_machine::DigestRecord;
use synod_service::ports::{ClockReading, ForwardLink, Monotonic, Touched, Unavailable};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::identity::Identity;
use super::roster::Roster;
pub(crate) use why::{is_stranger, why};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// An idle connection is pinged this often, and closed when no answer comes within the same time.
const KEEPALIVE: Duration = Duration::from_millis(2_000);
/// How long a request that is answered from memory may take.
const ASK_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How long a port may take to refuse a connection.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a request that is answered when something is on disk, or committed, may take.
const WRITE_TIMEOUT: Duration = Duration::from_millis(5_000);
/// How long the leader may take to confirm that it leads.
const READ_INDEX_TIMEOUT: Duration = Duration::from_millis(2_000);
/// How long the leader may take to answer touches: it confirms first that it leads.
const TOUCH_TIMEOUT: Duration = Duration::from_millis(2_000);
/// How long a member may take to compile a module.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);
/// Data in one chunk of a snapshot or module.
const CHUNK_BYTES: usize = 256 * 1_024;
/// Frames that wait on a link to the leader.
const FORWARD_FRAMES: usize = 64;
/// What an envelope adds to a frame.
const ENVELOPE_BYTES: usize = 1_024;
/// HTTP/2 windows: a batch of entries fits without waiting for the other side.
const WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;

/// Largest message on the peer port.
pub(crate) const PEER_MESSAGE_BYTES: usize = FRAME_BYTES + ENVELOPE_BYTES;

/// The other members. Clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    identity: Arc<Identity>,
    roster: Arc<Roster>,
    clients: Arc<Mutex<BTreeMap<String, PeerClient<Channel>>>>,
}

impl Peers {
    /// The members of `roster`, not connected yet.
    pub(crate) fn new(identity: Arc<Identity>, roster: Arc<Roster>) -> Self {
        Self { identity, roster, clients: Arc::default() }
    }

    fn client(&self, address: &str) -> Result<PeerClient<Channel>, PeerError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(address) {
            return Ok(client.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| PeerError::Unreachable(format!("`{address}` is not an address: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true);
        let client = PeerClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(PEER_MESSAGE_BYTES)
            .max_encoding_message_size(PEER_MESSAGE_BYTES);
        clients.insert(address.to_owned(), client.clone());
        Ok(client)
    }

    /// The way to a member; `committed` is its address if the roster does not know it yet.
    fn way(&self, id: MemberId, committed: Option<&str>) -> Result<Way, PeerError> {
        let address = self
            .roster
            .address(id, committed)
            .ok_or_else(|| PeerError::Unreachable(format!("no address of member {id} is known")))?;
        Ok(Way { client: self.client(&address)?, roster: self.roster.clone(), id, address })
    }

    fn member(&self, id: MemberId) -> Result<Way, Unavailable> {
        self.way(id, None).map_err(|error| Unavailable(error.to_string()))
    }

    fn frame(&self, to: MemberId, payload: Bytes) -> Frame {
        Frame { route: Some(self.identity.route(to)), payload, sequence: 1 }
    }

    fn frames(
        &self,
        to: MemberId,
        payloads: impl Stream<Item = Bytes> + Send + 'static,
    ) -> impl Stream<Item = Frame> + Send + 'static {
        let route = self.identity.route(to);
        payloads.zip(futures::stream::iter(1..)).map(move |(payload, sequence)| Frame {
            route: Some(route.clone()),
            payload,
            sequence,
        })
    }

    /// Asks the leader how far a linearizable read has to wait.
    pub(crate) async fn read_index(&self, leader: MemberId) -> Result<u64, Unavailable> {
        let request =
            within(READ_INDEX_TIMEOUT, ReadIndexRequest { route: Some(self.identity.route(leader)) });
        let mut way = self.member(leader)?;
        let reply = way.client.read_index(request).await;
        way.noted(reply).map(|reply| reply.into_inner().index).map_err(unavailable)
    }

    /// Reports touched sessions to the leader, which answers in the same order which of them live.
    pub(crate) async fn touch(
        &self,
        leader: MemberId,
        sessions: &[SessionId],
    ) -> Result<Vec<Touched>, Unavailable> {
        let asked = sessions.len();
        let ids = sessions.iter().flat_map(|session| session.0).collect::<Vec<u8>>().into();
        let request =
            within(TOUCH_TIMEOUT, TouchRequest { route: Some(self.identity.route(leader)), sessions: ids });
        let mut way = self.member(leader)?;
        let reply = way.client.touch(request).await;
        let reply = way.noted(reply).map_err(unavailable)?.into_inner();
        if reply.ttl_ms.len() != asked {
            return Err(Unavailable(format!(
                "the leader was asked about {asked} sessions and answered about {}",
                reply.ttl_ms.len()
            )));
        }
        let touched = |ttl_ms| if ttl_ms == 0 { Touched::Ended } else { Touched::Alive { ttl_ms } };
        let mut answers: Vec<Touched> = reply.ttl_ms.into_iter().map(touched).collect();
        for position in reply.unsettled {
            let answer = answers.get_mut(position as usize);
            *answer.ok_or_else(|| {
                Unavailable(format!("the leader answered about session {position} of {asked}"))
            })? = Touched::Unsettled;
        }
        Ok(answers)
    }

    /// Asks a member what its clocks show.
    pub(crate) async fn clocks(&self, of: MemberId) -> Result<ClockReading, Unavailable> {
        let request = within(ASK_TIMEOUT, ClocksRequest { route: Some(self.identity.route(of)) });
        let mut way = self.member(of)?;
        let reply = way.client.clocks(request).await;
        let ClocksReply { wall_ms, monotonic_us, incarnation } =
            way.noted(reply).map_err(unavailable)?.into_inner();
        let monotonic = Monotonic(Duration::from_micros(monotonic_us));
        Ok(ClockReading { wall_ms, monotonic, incarnation })
    }

    /// Whether a member's port refuses this one, or closes its connection: its process has ended.
    /// One that does not answer may still be there.
    pub(crate) async fn is_refused_by(&self, member: MemberId) -> bool {
        let Ok(mut way) = self.member(member) else { return false };
        let request = ClocksRequest { route: Some(self.identity.route(member)) };
        let answer = tokio::time::timeout(REFUSAL_TIMEOUT, way.client.clocks(request)).await;
        // What the member itself answers has no cause on this side.
        answer.is_ok_and(|answer| way.noted(answer).is_err_and(|status| status.source().is_some()))
    }

    /// Asks a member for its digests after an entry after which this one had `own`.
    pub(crate) async fn digests(
        &self,
        of: MemberId,
        own: DigestRecord,
    ) -> Result<Option<DigestRecord>, Unavailable> {
        let route = Some(self.identity.route(of));
        let request = within(ASK_TIMEOUT, DigestsRequest { route, own: Some(digests::to_wire(own)) });
        let mut way = self.member(of)?;
        let reply = way.client.digests(request).await;
        let reply = way.noted(reply).map_err(unavailable)?.into_inner();
        reply.own.map(|theirs| digests::from_wire(&theirs).map_err(Unavailable)).transpose()
    }

    /// Has a member scrub its state; the number of the scrub.
    pub(crate) async fn scrub(&self, to: MemberId) -> Result<u64, Unavailable> {
        let request = within(ASK_TIMEOUT, PeerScrubRequest { route: Some(self.identity.route(to)) });
        let mut way = self.member(to)?;
        let reply = way.client.scrub(request).await;
        way.noted(reply).map(|reply| reply.into_inner().number).map_err(unavailable)
    }

    /// Opens a link for commands to the leader.
    pub(crate) async fn forward(&self, leader: MemberId) -> Result<ForwardLink, Unavailable> {
        let (outgoing, frames) = mpsc::channel::<Bytes>(FORWARD_FRAMES);
        let mut way = self.member(leader)?;
        let answers = way.client.forward(self.frames(leader, frames)).await;
        let answers = way.noted(answers).map_err(unavailable)?.into_inner();
        Ok(ForwardLink { outgoing, incoming: until_error(answers).boxed() })
    }

    /// Has a member check and compile a module; the problem, if it cannot.
    pub(crate) async fn prepare(
        &self,
        to: MemberId,
        hash: ModuleHash,
        module: &[u8],
    ) -> Result<(), Unavailable> {
        let route = self.identity.route(to);
        let chunks: Vec<_> = module
            .chunks(CHUNK_BYTES)
            .enumerate()
            .map(|(n, data)| PrepareChunk {
                route: Some(route.clone()),
                hash: if n == 0 { hash.0.to_vec().into() } else { Bytes::new() },
                data: data.to_vec().into(),
            })
            .collect();
        let mut way = self.member(to)?;
        let reply = way.client.prepare(within(PREPARE_TIMEOUT, futures::stream::iter(chunks))).await;
        let reply = way.noted(reply).map_err(unavailable)?.into_inner();
        if reply.ready { Ok(()) } else { Err(Unavailable(reply.problem)) }
    }

    /// Greets whoever is at `address`.
    pub(crate) async fn greet_at(&self, address: &str, request: HelloRequest) -> Result<HelloReply, Status> {
        let mut client = self.client(address).map_err(|error| Status::unavailable(error.to_string()))?;
        client.hello(within(ASK_TIMEOUT, request)).await.map(tonic::Response::into_inner)
    }

    /// Greets a member.
    pub(crate) async fn greet(&self, to: MemberId, request: HelloRequest) -> Result<HelloReply, Status> {
        let mut way = self.member(to).map_err(|error| Status::unavailable(error.0))?;
        let reply = way.client.hello(within(ASK_TIMEOUT, request)).await;
        way.noted(reply).map(tonic::Response::into_inner)
    }

    /// Has a member promise itself to the cluster that is to be formed of `peers`.
    pub(crate) async fn promise(&self, to: MemberId, peers: Vec<String>) -> Result<(), Status> {
        let mut way = self.member(to).map_err(|error| Status::unavailable(error.0))?;
        let request = within(WRITE_TIMEOUT, PromiseRequest { route: Some(self.identity.route(to)), peers });
        let reply = way.client.promise(request).await;
        way.noted(reply).map(drop)
    }

    /// Asks the leader for the place of a lost member.
    pub(crate) async fn replace(&self, leader: MemberId, lost: MemberId) -> Result<ReplaceReply, Status> {
        let mut way = self.member(leader).map_err(|error| Status::unavailable(error.0))?;
        let request = ReplaceRequest {
            route: Some(self.identity.route(leader)),
            name: self.identity.name.clone(),
            lost_id: lost.0,
            place: Some(self.roster.own().into()),
        };
        let reply = way.client.replace(within(WRITE_TIMEOUT, request)).await;
        way.noted(reply).map(tonic::Response::into_inner)
    }

    /// Asks a member how it is.
    pub(crate) async fn status(&self, to: MemberId) -> Result<MemberStatus, Status> {
        let mut way = self.member(to).map_err(|error| Status::unavailable(error.0))?;
        let request = within(ASK_TIMEOUT, MemberStatusRequest { route: Some(self.identity.route(to)) });
        let reply = way.client.member_status(request).await;
        let reply = way.noted(reply)?.into_inner();
        reply.status.ok_or_else(|| Status::internal("the member sent an empty answer"))
    }
}

/// The way to a member, at one of its addresses.
struct Way {
    client: PeerClient<Channel>,
    roster: Arc<Roster>,
    id: MemberId,
    address: String,
}

impl Way {
    /// Notes whether the member answered at this address.
    fn noted<T>(&self, result: Result<T, Status>) -> Result<T, Status> {
        match &result {
            Ok(_) => self.roster.answered(self.id),
            Err(status) => match status.code() {
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::FailedPrecondition => {
                    self.roster.failed(self.id, &self.address);
                }
                _ if is_stranger(status) => self.roster.failed(self.id, &self.address),
                _ => {}
            },
        }
        result
    }
}

/// The payloads of a stream of frames. A broken stream ends: links do not distinguish the two.
pub(crate) fn until_error(
    frames: impl Stream<Item = Result<Frame, Status>> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    frames.scan((), |(), frame| std::future::ready(frame.ok().map(|frame| frame.payload)))
}

fn within<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

fn unavailable(status: Status) -> Unavailable {
    Unavailable(why(&status))
}
