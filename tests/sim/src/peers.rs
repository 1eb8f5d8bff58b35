//! The way from one member to the others: what the node does over gRPC.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use synod_abi::{MemberId, SessionId};
use synod_consensus::{Peer, PeerError, PeerNetwork, Raft, ServeError};
use synod_machine::DigestRecord;
use synod_service::Member;
use synod_service::ports::{ClockReading, ForwardLink, Touched, Unavailable};
use synod_storage::MemoryStore;
use synod_world::Process;

use crate::applier::SimApplier;
use crate::net::{Net, Site};
use crate::ports::SimPorts;
use crate::runtime::{SimRuntime, within};

/// The time-outs of the node's requests, see `host/node/src/server/net/peers.rs`.
const ASK_TIMEOUT: Duration = Duration::from_millis(1_000);
const READ_INDEX_TIMEOUT: Duration = Duration::from_millis(2_000);
const TOUCH_TIMEOUT: Duration = Duration::from_millis(2_000);
/// A request without a time-out of its own is given up by the consensus, sooner than this.
const LONGEST: Duration = Duration::from_secs(60);
/// Frames that wait on a link to the leader.
const FORWARD_FRAMES: usize = 64;

/// A member's consensus.
pub type SimRaft = Raft<SimRuntime, MemoryStore, SimApplier>;
/// A member's logic.
pub type SimMember = Member<SimPorts>;

/// A member that runs.
#[derive(Clone)]
pub struct Live {
    /// Its process.
    pub process: Process,
    /// Its consensus.
    pub raft: SimRaft,
    /// Its logic.
    pub member: SimMember,
}

/// The members that run and can be connected to.
#[derive(Clone, Default)]
pub struct Roster(Arc<Mutex<BTreeMap<MemberId, Live>>>);

impl Roster {
    /// Who can be connected to.
    pub fn all(&self) -> MutexGuard<'_, BTreeMap<MemberId, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them.
    pub fn get(&self, id: MemberId) -> Option<Live> {
        self.all().get(&id).cloned()
    }
}

/// The answer of a member.
pub type Served<T> = BoxFuture<'static, T>;

/// Whoever sends requests to members.
#[derive(Clone)]
pub struct Caller {
    /// Where it is.
    pub site: Site,
    /// Its process.
    pub process: Process,
    /// The network.
    pub net: Net,
    /// Who can be connected to.
    pub roster: Roster,
}

impl Caller {
    /// Has `to` serve a request, once; with `again`, perhaps twice.
    ///
    /// # Errors
    /// No answer came within `limit`: it was perhaps served.
    pub async fn request<T: Send + 'static>(
        &self,
        to: MemberId,
        limit: Duration,
        again: bool,
        serve: impl Fn(Live) -> Served<T> + Send + Sync,
    ) -> Result<T, NoAnswer> {
        let there = Site::Member(to);
        let served = async {
            self.net.pass(self.site, there).await.map_err(|_| NoAnswer::Lost)?;
            let live = self.roster.get(to).ok_or(NoAnswer::Refused)?;
            if again && self.net.repeats() {
                drop(live.process.start(serve(live.clone())));
            }
            let answer = live.process.start(serve(live.clone())).await;
            self.net.pass(there, self.site).await.map_err(|_| NoAnswer::Lost)?;
            answer.map_err(|_| NoAnswer::Lost)
        };
        within(&self.process, limit, served).await.unwrap_or(Err(NoAnswer::Late))
    }
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody listens there: it was not sent.
    Refused,
    /// The connection broke.
    Lost,
    /// It did not come in time.
    Late,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "nobody listens there",
            Self::Lost => "the connection broke",
            Self::Late => "no answer in time",
        })
    }
}

/// The others, from one member.
#[derive(Clone)]
pub struct Peers {
    me: MemberId,
    caller: Caller,
}

impl Peers {
    /// Those that `caller`, which is `me`, can reach.
    pub fn new(me: MemberId, caller: Caller) -> Self {
        Self { me, caller }
    }

    fn link(&self, to: MemberId) -> (Site, Site) {
        (self.caller.site, Site::Member(to))
    }

    async fn frame(
        &self,
        peer: &Peer,
        again: bool,
        serve: impl Fn(SimRaft) -> Served<Result<Bytes, ServeError>> + Send + Sync,
    ) -> Result<Bytes, PeerError> {
        let answer = self.caller.request(peer.id, LONGEST, again, |live| serve(live.raft)).await;
        answer.map_err(|error| PeerError::Unreachable(error.to_string()))?.map_err(peer_error)
    }

    async fn ask<T: Send + 'static>(
        &self,
        to: MemberId,
        limit: Duration,
        serve: impl Fn(SimMember) -> Served<T> + Send + Sync,
    ) -> Result<T, Unavailable> {
        let answer = self.caller.request(to, limit, false, |live| serve(live.member)).await;
        answer.map_err(|error| Unavailable(error.to_string()))
    }

    /// Asks the leader how far a linearizable read has to wait.
    pub async fn read_index(&self, leader: MemberId) -> Result<u64, Unavailable> {
        let serve = |live: Live| async move { live.raft.read_index().await }.boxed();
        let answer = self.caller.request(leader, READ_INDEX_TIMEOUT, false, serve).await;
        answer
            .map_err(|error| Unavailable(error.to_string()))?
            .map_err(|error| Unavailable(error.to_string()))
    }

    /// Reports touched sessions to the leader.
    pub async fn touch(
        &self,
        leader: MemberId,
        sessions: Vec<SessionId>,
    ) -> Result<Vec<Touched>, Unavailable> {
        let serve = |member: SimMember| {
            let sessions = sessions.clone();
            async move { member.serve_touches(sessions).await }.boxed()
        };
        self.ask(leader, TOUCH_TIMEOUT, serve).await?
    }

    /// Asks a member what its clocks show.
    pub async fn clocks(&self, of: MemberId) -> Result<ClockReading, Unavailable> {
        self.ask(of, ASK_TIMEOUT, |member| async move { member.read_clocks() }.boxed()).await
    }

    /// Asks a member for its digests.
    pub async fn digests(
        &self,
        of: MemberId,
        own: DigestRecord,
    ) -> Result<Option<DigestRecord>, Unavailable> {
        self.ask(of, ASK_TIMEOUT, move |member| async move { member.digests_asked(own) }.boxed()).await
    }

    /// Opens a link for commands to the leader.
    pub async fn forward(&self, leader: MemberId) -> Result<ForwardLink, Unavailable> {
        let (there, back) = (self.link(leader), (Site::Member(leader), Site::Member(self.me)));
        let broken = |_| Unavailable("the connection broke".to_owned());
        self.caller.net.pass(there.0, there.1).await.map_err(broken)?;
        let live =
            self.caller.roster.get(leader).ok_or_else(|| Unavailable("nobody listens there".to_owned()))?;
        let (outgoing, from_me) = mpsc::channel::<Bytes>(FORWARD_FRAMES);
        let (to_me, from_leader) = mpsc::channel::<Bytes>(FORWARD_FRAMES);
        let incoming = until_broken(self.caller.net.carry(there, &self.caller.process, from_me.boxed()));
        let served = live.member.clone();
        let serve = async move {
            let _ended = served.serve_forward(ForwardLink { outgoing: to_me, incoming }).await;
        };
        live.process.spawn(serve.boxed());
        let incoming = until_broken(self.caller.net.carry(back, &live.process, from_leader.boxed()));
        self.caller.net.pass(back.0, back.1).await.map_err(broken)?;
        Ok(ForwardLink { outgoing, incoming })
    }
}

fn until_broken(pieces: BoxStream<'static, Result<Bytes, crate::net::Broken>>) -> BoxStream<'static, Bytes> {
    pieces.scan((), |(), piece| std::future::ready(piece.ok())).boxed()
}

fn peer_error(error: ServeError) -> PeerError {
    match error {
        ServeError::BadState(why) => PeerError::BadSnapshot(why),
        error @ ServeError::NoRoom(_) => PeerError::Unreachable(error.to_string()),
        error => PeerError::Failed(error.to_string()),
    }
}

impl PeerNetwork for Peers {
    async fn vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let serve = move |raft: SimRaft| {
            let request = request.clone();
            async move { raft.serve_vote(request).await }.boxed()
        };
        self.frame(peer, true, serve).await
    }

    async fn pre_vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let serve = move |raft: SimRaft| {
            let request = request.clone();
            async move { raft.serve_pre_vote(request).await }.boxed()
        };
        self.frame(peer, true, serve).await
    }

    async fn append(
        &self,
        peer: &Peer,
        requests: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, PeerError>>, PeerError> {
        let (there, back) = (self.link(peer.id), (Site::Member(peer.id), Site::Member(self.me)));
        let unreachable = || PeerError::Unreachable("nobody listens there".to_owned());
        self.caller.net.pass(there.0, there.1).await.map_err(|_| unreachable())?;
        let live = self.caller.roster.get(peer.id).ok_or_else(unreachable)?;
        let requests = until_broken(self.caller.net.carry(there, &self.caller.process, requests));
        let answers = live.process.enter(|| live.raft.serve_append(requests));
        let answers = self.caller.net.carry(back, &live.process, answers).map(|answer| match answer {
            Ok(answer) => answer.map_err(peer_error),
            Err(_) => Err(PeerError::Unreachable("the connection broke".to_owned())),
        });
        Ok(answers.boxed())
    }

    async fn offer_snapshot(&self, peer: &Peer, header: Bytes) -> Result<Bytes, PeerError> {
        let serve = move |raft: SimRaft| {
            let header = header.clone();
            async move { raft.serve_snapshot_offer(&header).await }.boxed()
        };
        self.frame(peer, true, serve).await
    }

    async fn send_snapshot(
        &self,
        peer: &Peer,
        frames: BoxStream<'static, Bytes>,
    ) -> Result<Bytes, PeerError> {
        let (there, back) = (self.link(peer.id), (Site::Member(peer.id), Site::Member(self.me)));
        let broken = |_| PeerError::Unreachable("the connection broke".to_owned());
        self.caller.net.pass(there.0, there.1).await.map_err(broken)?;
        let live = self.caller.roster.get(peer.id);
        let live = live.ok_or_else(|| PeerError::Unreachable("nobody listens there".to_owned()))?;
        let frames = until_broken(self.caller.net.carry(there, &self.caller.process, frames));
        let raft = live.raft.clone();
        let answer = live.process.start(async move { raft.serve_snapshot(frames).await }).await;
        self.caller.net.pass(back.0, back.1).await.map_err(broken)?;
        let answer = answer.map_err(|_| PeerError::Unreachable("the connection was reset".to_owned()))?;
        answer.map_err(peer_error)
    }

    async fn transfer_leader(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let serve = move |raft: SimRaft| {
            let request = request.clone();
            async move { raft.serve_transfer(request).await }.boxed()
        };
        self.frame(peer, false, serve).await
    }
}
