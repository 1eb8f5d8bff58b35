//! The way to the peers: a trait that moves bytes, and what openraft needs made from it.
//!
//! Entries go over one long stream per peer with many requests in flight; answers come in the order
//! of the requests. A stream that owes an answer for too long is given up, because over a half-open
//! connection it would owe it for ever. An answer that cannot be decoded ends the stream too:
//! skipping it would assign the next one to the wrong request. And a stream ends whose next entries
//! were purged, or are to be: openraft does not purge what a stream needs, but lets go of that when
//! it hears of an error of an earlier stream, and the present one would then send requests without
//! entries for ever; and a slow one would keep the log beyond its limit.
use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream as RaftStream};
use openraft::errors::{NetworkError, RPCError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetStreamAppend, NetTransferLeader, NetVote, RPCOption, RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::InstantOf;
use synod_abi::MemberId;
use synod_storage::StateStore;

use crate::frames;
use crate::retention::Retention;
use crate::runtime::AsyncRuntime;
use crate::types::{MemberInfo, Types};

/// Requests of one stream in a row that have no entries although their follower lacks some that
/// were purged. A heartbeat may be one.
const STARVED_REQUESTS: u32 = 3;

/// Waits before it is told that no stream could be opened: openraft opens the next one at once, as
/// long as something is written.
const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// Tells the index up to which the log was purged.
pub(crate) type Purged = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// A member, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which.
    pub id: MemberId,
    /// Its name and address.
    pub member: MemberInfo,
}

/// Why a peer did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// There is no way to it at present: wait a little before the next attempt.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    /// This request failed; the next one may be sent at once.
    #[error("the request to the peer failed: {0}")]
    Failed(String),
    /// The snapshot that was sent is not a state: it is to be made anew.
    #[error("the snapshot that was sent to the peer is bad: {0}")]
    BadSnapshot(String),
}

/// Moves frames to peers and back. Implemented over gRPC by the node, over channels by tests and
/// the simulator. On the other side the frames go into the methods `serve_…` of
/// [`Raft`](crate::Raft).
///
/// A frame is at most [`FRAME_BYTES`](crate::FRAME_BYTES) long. A future or stream that is dropped
/// is a request that nobody waits for any more; what it occupies is to be freed. Clones share
/// connections.
pub trait PeerNetwork: Clone + Send + Sync + 'static {
    /// Asks for a vote.
    fn vote(&self, peer: &Peer, request: Bytes) -> impl Future<Output = Result<Bytes, PeerError>> + Send;
    /// Asks whether a vote would be given.
    fn pre_vote(&self, peer: &Peer, request: Bytes) -> impl Future<Output = Result<Bytes, PeerError>> + Send;
    /// Opens a stream of entries. Requests arrive in order, none is left out, and answers come back
    /// in their order; both streams end when the requests do. It is opened for every heartbeat: one
    /// connection per peer is to be shared.
    fn append(
        &self,
        peer: &Peer,
        requests: BoxStream<'static, Bytes>,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, PeerError>>, PeerError>> + Send;
    /// Asks what a peer lacks of a snapshot.
    fn offer_snapshot(
        &self,
        peer: &Peer,
        header: Bytes,
    ) -> impl Future<Output = Result<Bytes, PeerError>> + Send;
    /// Sends a snapshot: the header, then what the peer lacks; answered when it is installed.
    /// Frames are taken only as fast as the peer takes them.
    fn send_snapshot(
        &self,
        peer: &Peer,
        frames: BoxStream<'static, Bytes>,
    ) -> impl Future<Output = Result<Bytes, PeerError>> + Send;
    /// Asks a member to stand for election at once.
    fn transfer_leader(
        &self,
        peer: &Peer,
        request: Bytes,
    ) -> impl Future<Output = Result<Bytes, PeerError>> + Send;
}

/// Makes connections as openraft wants them.
pub(crate) struct Connections<RT: AsyncRuntime, S, N> {
    network: N,
    idle_timeout: Duration,
    purged: Purged,
    retention: Arc<Retention<RT>>,
    types: std::marker::PhantomData<fn() -> (RT, S)>,
}

impl<RT: AsyncRuntime, S, N> Connections<RT, S, N> {
    pub(crate) fn new(
        network: N,
        idle_timeout: Duration,
        purged: Purged,
        retention: Arc<Retention<RT>>,
    ) -> Self {
        Self { network, idle_timeout, purged, retention, types: std::marker::PhantomData }
    }
}

impl<RT: AsyncRuntime, S: StateStore, N: PeerNetwork> RaftNetworkFactory<Types<RT>>
    for Connections<RT, S, N>
{
    type Network = Connection<RT, S, N>;

    async fn new_client(&mut self, target: u64, member: &MemberInfo) -> Self::Network {
        Connection {
            network: self.network.clone(),
            peer: Peer { id: MemberId(target), member: member.clone() },
            idle_timeout: self.idle_timeout,
            purged: self.purged.clone(),
            retention: self.retention.clone(),
            refusals: 0,
            is_there: true,
            types: std::marker::PhantomData,
        }
    }
}

/// The way to one peer.
pub(crate) struct Connection<RT: AsyncRuntime, S, N> {
    pub(crate) network: N,
    pub(crate) peer: Peer,
    idle_timeout: Duration,
    purged: Purged,
    pub(crate) retention: Arc<Retention<RT>>,
    /// How often in a row no stream of entries could be opened.
    refusals: u32,
    /// Whether the peer answered when it was sent a snapshot last.
    pub(crate) is_there: bool,
    types: std::marker::PhantomData<fn() -> (RT, S)>,
}

pub(crate) fn to_rpc_error<RT: AsyncRuntime>(error: PeerError) -> RPCError<Types<RT>> {
    match error {
        PeerError::Unreachable(_) => Unreachable::new(&error).into(),
        PeerError::Failed(_) | PeerError::BadSnapshot(_) => NetworkError::new(&error).into(),
    }
}

pub(crate) fn failed<RT: AsyncRuntime>(error: impl std::error::Error + 'static) -> RPCError<Types<RT>> {
    NetworkError::new(&error).into()
}

pub(crate) fn silent(peer: &Peer, waited: Duration) -> PeerError {
    PeerError::Unreachable(format!(
        "member {} ({}) did not answer within {} ms",
        peer.id,
        peer.member.peer_address,
        waited.as_millis()
    ))
}

pub(crate) async fn within<RT: AsyncRuntime, T>(
    peer: &Peer,
    limit: Duration,
    answer: impl Future<Output = Result<T, PeerError>> + Send,
) -> Result<T, RPCError<Types<RT>>> {
    Types::<RT>::timeout(limit, answer)
        .await
        .unwrap_or_else(|_| Err(silent(peer, limit)))
        .map_err(to_rpc_error)
}

/// When the requests were sent that have no answer yet, the oldest first.
struct Unanswered<RT: AsyncRuntime>(Arc<Mutex<VecDeque<InstantOf<Types<RT>>>>>);

impl<RT: AsyncRuntime> Clone for Unanswered<RT> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<RT: AsyncRuntime> Unanswered<RT> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn sent(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(Types::<RT>::now());
    }

    fn answered(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    fn oldest(&self) -> Option<InstantOf<Types<RT>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).front().copied()
    }
}

/// Finds out that a stream can never have the entries which its follower needs next: they were
/// purged, or are to be.
struct Starved<RT: AsyncRuntime> {
    purged: Purged,
    retention: Arc<Retention<RT>>,
    /// Requests in a row that have no entries although their follower lacks some that were purged.
    count: AtomicU32,
    /// The index behind the last entry that a request followed on.
    next: AtomicU64,
    requests: AtomicU32,
}

impl<RT: AsyncRuntime> Starved<RT> {
    fn sent(&self, request: &AppendEntriesRequest<Types<RT>>) {
        let next = request.prev_log_id.map_or(0, |id| id.index + 1);
        let starved = request.entries.is_empty() && (self.purged)().is_some_and(|purged| next <= purged);
        let count = if starved { self.count.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.count.store(count, Ordering::Relaxed);
        self.next.store(next, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn check(&self, peer: &Peer) -> Result<(), PeerError> {
        let is_stream = self.requests.load(Ordering::Relaxed) >= STARVED_REQUESTS;
        if self.count.load(Ordering::Relaxed) < STARVED_REQUESTS
            && !(is_stream && self.retention.is_gone(self.next.load(Ordering::Relaxed)))
        {
            return Ok(());
        }
        Err(PeerError::Failed(format!(
            "member {} is so far behind that the log does not hold what it needs next; it gets a snapshot",
            peer.id
        )))
    }
}

/// The next answer, or an error if the oldest request has waited too long for it. While nothing is
/// owed, it waits for ever.
async fn next_answer<RT: AsyncRuntime>(
    answers: &mut BoxStream<'static, Result<Bytes, PeerError>>,
    unanswered: &Unanswered<RT>,
    limit: Duration,
    peer: &Peer,
) -> Option<Result<Bytes, PeerError>> {
    loop {
        let deadline = unanswered.oldest().unwrap_or_else(Types::<RT>::now) + limit;
        if let Ok(answer) = Types::<RT>::timeout_at(deadline, answers.next()).await {
            unanswered.answered();
            return answer;
        }
        if unanswered.oldest().is_some_and(|sent| sent + limit <= Types::<RT>::now()) {
            return Some(Err(silent(peer, limit)));
        }
    }
}

impl<RT: AsyncRuntime, S: StateStore, N: PeerNetwork> NetStreamAppend<Types<RT>> for Connection<RT, S, N> {
    fn stream_append<'s, I>(
        &'s mut self,
        input: I,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            RaftStream<'s, Result<StreamAppendResult<Types<RT>>, RPCError<Types<RT>>>>,
            RPCError<Types<RT>>,
        >,
    >
    where
        I: Stream<Item = AppendEntriesRequest<Types<RT>>> + Send + Unpin + 'static,
    {
        let unanswered = Unanswered::<RT>::new();
        let sending = unanswered.clone();
        let starved = Arc::new(Starved {
            purged: self.purged.clone(),
            retention: self.retention.clone(),
            count: AtomicU32::new(0),
            next: AtomicU64::new(0),
            requests: AtomicU32::new(0),
        });
        let starving = starved.clone();
        let requests = input.map(move |request| {
            sending.sent();
            starving.sent(&request);
            frames::encode_append(&request)
        });
        Box::pin(async move {
            let limit = self.idle_timeout.max(option.soft_ttl());
            let peer = &self.peer;
            let answers = within::<RT, _>(peer, limit, self.network.append(peer, requests.boxed())).await;
            let answers = match answers {
                Ok(answers) => {
                    self.refusals = 0;
                    answers
                }
                Err(error) => {
                    let delay = FIRST_DELAY * 2_u32.saturating_pow(self.refusals);
                    self.refusals = self.refusals.saturating_add(1);
                    Types::<RT>::sleep(delay.min(LONGEST_DELAY)).await;
                    return Err(error);
                }
            };
            let results = stream::unfold(Some((answers, unanswered, starved)), move |open| async move {
                let (mut answers, unanswered, starved) = open?;
                let answer = next_answer(&mut answers, &unanswered, limit, peer).await?;
                let result = match starved.check(peer).and(answer) {
                    Ok(bytes) => frames::decode_append_answer::<RT>(&bytes).map_err(failed),
                    Err(error) => Err(to_rpc_error(error)),
                };
                let open = matches!(result, Ok(Ok(_))).then_some((answers, unanswered, starved));
                Some((result, open))
            });
            Ok(Box::pin(results) as RaftStream<'s, _>)
        })
    }
}

impl<RT: AsyncRuntime, S: StateStore, N: PeerNetwork> NetVote<Types<RT>> for Connection<RT, S, N> {
    async fn vote(
        &mut self,
        request: VoteRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<RT>>, RPCError<Types<RT>>> {
        let answer = self.network.vote(&self.peer, frames::encode_vote(&request));
        frames::decode_vote_answer(&within::<RT, _>(&self.peer, option.soft_ttl(), answer).await?)
            .map_err(failed)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<RT>>, RPCError<Types<RT>>> {
        let answer = self.network.pre_vote(&self.peer, frames::encode_vote(&request));
        frames::decode_vote_answer(&within::<RT, _>(&self.peer, option.soft_ttl(), answer).await?)
            .map_err(failed)
    }
}

impl<RT: AsyncRuntime, S: StateStore, N: PeerNetwork> NetTransferLeader<Types<RT>> for Connection<RT, S, N> {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types<RT>>, RPCError<Types<RT>>> {
        let answer = self.network.transfer_leader(&self.peer, frames::encode_transfer(&request));
        frames::decode_transfer_answer(&within::<RT, _>(&self.peer, option.soft_ttl(), answer).await?)
            .map_err(failed)
    }
}

impl<RT: AsyncRuntime, S: StateStore, N: PeerNetwork> NetBackoff<Types<RT>> for Connection<RT, S, N> {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}
