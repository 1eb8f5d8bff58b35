//! The service for other members: it checks the sender of each request, and hands its bytes to the
//! consensus or the service crate.
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use synod_abi::{MemberId, ModuleHash, SessionId, limits};
use synod_api::peer::peer_server::Peer;
use synod_api::peer::{
    ClocksReply, ClocksRequest, DigestsReply, DigestsRequest, Frame, HelloReply, HelloRequest,
    MemberStatusReply, MemberStatusRequest, PeerScrubReply, PeerScrubRequest, PrepareChunk, PrepareReply,
    PromiseReply, PromiseRequest, ReadIndexReply, ReadIndexRequest, ReplaceReply, ReplaceRequest, Route,
    TouchReply, TouchRequest,
};
use synod_consensus::{ReadIndexError, ServeError};
use synod_service::TOUCHES_PER_BUNDLE;
use synod_service::ports::{ClockReading, ForwardLink, Touched};
use tonic::{Request, Response, Status, Streaming};

use super::hello::Greeter;
use super::promise::Promiser;
use super::replace::Replacer;
use super::status::Reporter;
use crate::server::net::identity::{Identity, Misrouted};
use crate::server::net::metered::{self, Account};
use crate::server::net::peers::{digests, until_error};
use crate::server::net::roster::Roster;
use crate::server::ports::prepare::Compiler;
use crate::server::ports::{NodeMember, NodeRaft};

/// Frames that wait on a link from a follower.
const FORWARD_FRAMES: usize = 64;

/// Serves the other members.
pub(crate) struct PeerService {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Its consensus.
    pub(crate) raft: NodeRaft,
    /// Its logic.
    pub(crate) member: NodeMember,
    /// Compiles modules.
    pub(crate) compiler: Compiler,
    /// Introduces this member.
    pub(crate) greeter: Arc<Greeter>,
    /// Reports its status.
    pub(crate) reporter: Arc<Reporter>,
    /// Gives its promise to a cluster that is to be formed.
    pub(crate) promiser: Promiser,
    /// Takes new members in for lost ones.
    pub(crate) replacer: Replacer,
    /// Who the members are.
    pub(crate) roster: Arc<Roster>,
}

type Answers = BoxStream<'static, Result<Frame, Status>>;

impl PeerService {
    #[allow(clippy::result_large_err, reason = "tonic's own error type")]
    fn check(&self, route: Option<&Route>) -> Result<MemberId, Status> {
        self.identity.check(route).map_err(misrouted)
    }

    /// The same for what a leader does for members: one that was replaced gets nothing.
    #[allow(clippy::result_large_err, reason = "tonic's own error type")]
    fn check_member(&self, route: Option<&Route>) -> Result<MemberId, Status> {
        let from = self.check(route)?;
        match self.roster.get(from) {
            Some(_) => Ok(from),
            None => Err(Status::unavailable(format!("{from} is not a member of this cluster"))),
        }
    }

    fn answer(&self, to: MemberId, payload: Bytes) -> Response<Frame> {
        Response::new(Frame { route: Some(self.identity.route(to)), payload, sequence: 1 })
    }

    /// The payloads of a stream, with the route of every frame checked. The first wrong frame ends
    /// the stream and leaves its error in the slot. The connection is the sender's.
    fn checked(
        &self,
        account: Arc<Account>,
        frames: Streaming<Frame>,
    ) -> (impl Stream<Item = Bytes> + Send + 'static, Arc<Mutex<Option<Status>>>) {
        let identity = self.identity.clone();
        let refused = Arc::new(Mutex::new(None));
        let slot = refused.clone();
        let payloads = frames.scan((), move |(), frame| {
            let checked = frame.and_then(|frame| match identity.check(frame.route.as_ref()) {
                Ok(from) => {
                    account.is_of(from);
                    Ok(frame.payload)
                }
                Err(error) => Err(misrouted(error)),
            });
            let payload = checked
                .map_err(|status| *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(status))
                .ok();
            std::future::ready(payload)
        });
        (payloads, refused)
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    type AppendStream = Answers;
    type ForwardStream = Answers;

    async fn append(&self, request: Request<Streaming<Frame>>) -> Result<Response<Answers>, Status> {
        let (requests, refused) = self.checked(metered::account(&request), request.into_inner());
        let route = self.identity.route(MemberId(0));
        let answers = self.raft.serve_append(requests).zip(futures::stream::iter(1..)).map(
            move |(answer, sequence)| {
                answer
                    .map(|payload| Frame { route: Some(route.clone()), payload, sequence })
                    .map_err(serve_error)
            },
        );
        let refusal =
            futures::stream::once(
                async move { refused.lock().unwrap_or_else(PoisonError::into_inner).take() },
            );
        Ok(Response::new(answers.chain(refusal.filter_map(|status| async { status.map(Err) })).boxed()))
    }

    async fn vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let frame = request.into_inner();
        let from = self.check(frame.route.as_ref())?;
        let payload = self.raft.serve_vote(frame.payload).await.map_err(serve_error)?;
        Ok(self.answer(from, payload))
    }

    async fn pre_vote(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let frame = request.into_inner();
        let from = self.check(frame.route.as_ref())?;
        let payload = self.raft.serve_pre_vote(frame.payload).await.map_err(serve_error)?;
        Ok(self.answer(from, payload))
    }

    async fn offer_snapshot(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let frame = request.into_inner();
        let from = self.check(frame.route.as_ref())?;
        let payload = self.raft.serve_snapshot_offer(&frame.payload).await.map_err(serve_error)?;
        Ok(self.answer(from, payload))
    }

    async fn send_snapshot(&self, request: Request<Streaming<Frame>>) -> Result<Response<Frame>, Status> {
        let (frames, refused) = self.checked(metered::account(&request), request.into_inner());
        let answer = self.raft.serve_snapshot(frames.boxed()).await;
        if let Some(status) = refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(status);
        }
        Ok(self.answer(MemberId(0), answer.map_err(serve_error)?))
    }

    async fn transfer_leader(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let frame = request.into_inner();
        let from = self.check(frame.route.as_ref())?;
        let payload = self.raft.serve_transfer(frame.payload).await.map_err(serve_error)?;
        Ok(self.answer(from, payload))
    }

    async fn forward(&self, request: Request<Streaming<Frame>>) -> Result<Response<Answers>, Status> {
        let mut frames = request.into_inner();
        let (outgoing, answers) = mpsc::channel::<Bytes>(FORWARD_FRAMES);
        let identity = self.identity.clone();
        let member = self.member.clone();
        let roster = self.roster.clone();
        let route = self.identity.route(MemberId(0));
        tokio::spawn(async move {
            let Ok(Some(first)) = frames.message().await else { return };
            let Ok(from) = identity.check(first.route.as_ref()) else { return };
            if roster.get(from).is_none() {
                return;
            }
            let rest = frames.take_while(move |frame| {
                std::future::ready(
                    frame
                        .as_ref()
                        .is_ok_and(|frame| frame.route.as_ref().is_some_and(|route| route.from == from.0)),
                )
            });
            let incoming =
                futures::stream::once(std::future::ready(first.payload)).chain(until_error(rest)).boxed();
            if let Err(error) = member.serve_forward(ForwardLink { outgoing, incoming }).await {
                tracing::warn!(%error, member = %from, "a follower's link was ended");
            }
        });
        let answers = answers
            .zip(futures::stream::iter(1..))
            .map(move |(payload, sequence)| Ok(Frame { route: Some(route.clone()), payload, sequence }));
        Ok(Response::new(answers.boxed()))
    }

    async fn read_index(
        &self,
        request: Request<ReadIndexRequest>,
    ) -> Result<Response<ReadIndexReply>, Status> {
        self.check_member(request.get_ref().route.as_ref())?;
        let term = self.raft.term_state().term;
        let index = self.raft.read_index().await.map_err(|error| match error {
            ReadIndexError::NotLeader { .. } | ReadIndexError::NoQuorum | ReadIndexError::Stopped(_) => {
                Status::unavailable(error.to_string())
            }
        })?;
        Ok(Response::new(ReadIndexReply { index, term }))
    }

    async fn touch(&self, request: Request<TouchRequest>) -> Result<Response<TouchReply>, Status> {
        let TouchRequest { route, sessions } = request.into_inner();
        self.check_member(route.as_ref())?;
        let sessions = session_ids(&sessions).map_err(Status::invalid_argument)?;
        let touched = self
            .member
            .serve_touches(sessions)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let mut reply = TouchReply { ttl_ms: Vec::with_capacity(touched.len()), unsettled: Vec::new() };
        for (position, touched) in (0..).zip(touched) {
            let ttl_ms = if let Touched::Alive { ttl_ms } = touched { ttl_ms } else { 0 };
            reply.ttl_ms.push(ttl_ms);
            if touched == Touched::Unsettled {
                reply.unsettled.push(position);
            }
        }
        Ok(Response::new(reply))
    }

    async fn clocks(&self, request: Request<ClocksRequest>) -> Result<Response<ClocksReply>, Status> {
        self.check(request.get_ref().route.as_ref())?;
        let ClockReading { wall_ms, monotonic, incarnation } = self.member.read_clocks();
        let monotonic_us = u64::try_from(monotonic.0.as_micros()).unwrap_or(u64::MAX);
        Ok(Response::new(ClocksReply { wall_ms, monotonic_us, incarnation }))
    }

    async fn digests(&self, request: Request<DigestsRequest>) -> Result<Response<DigestsReply>, Status> {
        let DigestsRequest { route, own } = request.into_inner();
        self.check_member(route.as_ref())?;
        let theirs = own.ok_or_else(|| "a question without digests".to_owned());
        let theirs = theirs.and_then(|own| digests::from_wire(&own)).map_err(Status::invalid_argument)?;
        Ok(Response::new(DigestsReply { own: self.member.digests_asked(theirs).map(digests::to_wire) }))
    }

    async fn scrub(&self, request: Request<PeerScrubRequest>) -> Result<Response<PeerScrubReply>, Status> {
        self.check_member(request.get_ref().route.as_ref())?;
        Ok(Response::new(PeerScrubReply { number: self.member.ask_for_scrub() }))
    }

    async fn prepare(
        &self,
        request: Request<Streaming<PrepareChunk>>,
    ) -> Result<Response<PrepareReply>, Status> {
        let mut chunks = request.into_inner();
        let mut hash = None;
        let mut module = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            self.check(chunk.route.as_ref())?;
            if hash.is_none() {
                let bytes: [u8; 32] = chunk.hash[..]
                    .try_into()
                    .map_err(|_| Status::invalid_argument("a module without its hash"))?;
                hash = Some(ModuleHash(bytes));
            }
            if module.len() + chunk.data.len() > limits::MODULE_BYTES {
                return Err(Status::resource_exhausted(format!(
                    "a module has at most {} bytes",
                    limits::MODULE_BYTES
                )));
            }
            module.extend_from_slice(&chunk.data);
        }
        let hash = hash.ok_or_else(|| Status::invalid_argument("a module without its hash"))?;
        let prepared = self.compiler.compile(hash, module.into()).await;
        let problem = prepared.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(Response::new(PrepareReply { ready: problem.is_empty(), problem }))
    }

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let request = request.into_inner();
        let (from, cluster) = self.identity.check_greeting(request.route.as_ref()).map_err(misrouted)?;
        self.greeter.greeted_by(from, cluster, &request);
        Ok(Response::new(self.greeter.reply(from, &request)))
    }

    async fn promise(&self, request: Request<PromiseRequest>) -> Result<Response<PromiseReply>, Status> {
        self.promiser.promise(request.into_inner()).await?;
        Ok(Response::new(PromiseReply {}))
    }

    async fn replace(&self, request: Request<ReplaceRequest>) -> Result<Response<ReplaceReply>, Status> {
        let request = request.into_inner();
        let from = self.check(request.route.as_ref())?;
        self.replacer.replace(from, request).await.map(Response::new)
    }

    async fn member_status(
        &self,
        request: Request<MemberStatusRequest>,
    ) -> Result<Response<MemberStatusReply>, Status> {
        self.check(request.get_ref().route.as_ref())?;
        Ok(Response::new(MemberStatusReply { status: Some(self.reporter.own()) }))
    }
}

/// The session ids of a bundle.
pub(super) fn session_ids(bytes: &[u8]) -> Result<Vec<SessionId>, String> {
    let (ids, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(format!("{} bytes are no ids of sessions, which have 16 each", bytes.len()));
    }
    if ids.len() > TOUCHES_PER_BUNDLE {
        return Err(format!("{} sessions in one bundle, but it has at most {TOUCHES_PER_BUNDLE}", ids.len()));
    }
    Ok(ids.iter().copied().map(SessionId).collect())
}

fn misrouted(error: Misrouted) -> Status {
    match error {
        Misrouted::NoCluster => Status::unavailable(error.to_string()),
        Misrouted::NoRoute | Misrouted::OtherCluster { .. } | Misrouted::OtherMember { .. } => {
            Status::failed_precondition(error.to_string())
        }
    }
}

fn serve_error(error: ServeError) -> Status {
    match error {
        ServeError::Decode(_) => Status::invalid_argument(error.to_string()),
        ServeError::Cut | ServeError::Damaged(_) => Status::aborted(error.to_string()),
        ServeError::BadState(_) => Status::data_loss(error.to_string()),
        ServeError::NoRoom(_) => Status::resource_exhausted(error.to_string()),
        ServeError::Stopped(_) => Status::unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
