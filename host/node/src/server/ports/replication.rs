//! The log for the service crate: the consensus of this member, and the connection to the leader.
use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::{MemberId, SessionId};
use synod_consensus::{ProposalOutcome, Raft, Refusal, TokioRuntime};
use synod_service::ports::{ForwardLink, Leadership, ProposeError, Replication, Role, Touched, Unavailable};
use tokio::sync::{mpsc, oneshot, watch};

use super::apply::ApplyThread;
use super::rows::NodeState;
use crate::server::net::peers::Peers;

/// Entries on their way to the consensus; the proposer has only a few in flight.
const PROPOSALS: usize = 64;

/// This member's consensus.
pub(crate) type NodeRaft = Raft<TokioRuntime, NodeState, ApplyThread>;

struct Proposed {
    term: u64,
    entry: Vec<u8>,
    answer: oneshot::Sender<Result<(), ProposeError>>,
}

/// The log of the cluster, from this member. Clones share it.
///
/// It exists before the consensus, which applies committed entries while it starts: until its
/// [`Unbound`] end is bound, it knows no leader.
#[derive(Clone)]
pub(crate) struct RaftReplication {
    me: MemberId,
    raft: watch::Receiver<Option<NodeRaft>>,
    peers: Peers,
    proposals: mpsc::Sender<Proposed>,
}

/// The end of a [`RaftReplication`] that the consensus is bound to.
pub(crate) struct Unbound {
    raft: watch::Sender<Option<NodeRaft>>,
    queue: mpsc::Receiver<Proposed>,
}

impl RaftReplication {
    /// For `me`, with `peers` to find the leader by.
    pub(crate) fn new(me: MemberId, peers: Peers) -> (Self, Unbound) {
        let (proposals, queue) = mpsc::channel::<Proposed>(PROPOSALS);
        let (sender, raft) = watch::channel(None);
        (Self { me, raft, peers, proposals }, Unbound { raft: sender, queue })
    }

    fn bound(&self) -> Option<NodeRaft> {
        self.raft.borrow().clone()
    }
}

impl Unbound {
    /// Binds the consensus, and starts the task that keeps proposals in order.
    pub(crate) fn bind(self, raft: NodeRaft) {
        let Self { raft: sender, mut queue } = self;
        sender.send_replace(Some(raft.clone()));
        tokio::spawn(async move {
            let _bound = sender;
            while let Some(Proposed { term, entry, answer }) = queue.recv().await {
                match raft.propose(term, entry.into()).await {
                    Err(error) => drop(answer.send(Err(ProposeError::Refused(error.to_string())))),
                    Ok(proposal) => {
                        drop(tokio::spawn(async move { answer.send(result_of(proposal.outcome().await)) }))
                    }
                }
            }
        });
    }
}

fn result_of(outcome: ProposalOutcome) -> Result<(), ProposeError> {
    match outcome {
        ProposalOutcome::Committed(_) => Ok(()),
        ProposalOutcome::Refused { reason, .. } => Err(ProposeError::Refused(match reason {
            Refusal::NotLeader => "this member does not lead any more".to_owned(),
            Refusal::LeadershipTransfer => "leadership is being handed over".to_owned(),
            Refusal::LeaseExpired => "the leader has not heard from a majority lately".to_owned(),
        })),
        ProposalOutcome::Unknown => {
            Err(ProposeError::Unknown("leadership was lost while the entry was on its way".to_owned()))
        }
    }
}

impl Replication for RaftReplication {
    fn leadership(&self) -> Leadership {
        let Some(raft) = self.bound() else {
            return Leadership { me: self.me, ..Leadership::default() };
        };
        let now = raft.term_state();
        let role = if now.established_term().is_some() { Role::Leader } else { Role::Follower };
        let leader = now.leader.filter(|leader| *leader != self.me || role == Role::Leader);
        Leadership { me: self.me, term: now.term, leader, role }
    }

    fn leadership_changed(&self, seen: Leadership) -> BoxFuture<'static, ()> {
        let mut this = self.clone();
        async move {
            let raft = match this.raft.wait_for(Option::is_some).await.map(|raft| raft.clone()) {
                Ok(Some(raft)) => raft,
                _ => return std::future::pending().await,
            };
            let mut watch = raft.term_watch();
            while this.leadership() == seen {
                if watch.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        }
        .boxed()
    }

    fn propose(&self, term: u64, entry: Vec<u8>) -> BoxFuture<'static, Result<(), ProposeError>> {
        let (answer, result) = oneshot::channel();
        if self.proposals.try_send(Proposed { term, entry, answer }).is_err() {
            let full =
                format!("{PROPOSALS} entries wait for the consensus already, or this member is stopping");
            return std::future::ready(Err(ProposeError::Refused(full))).boxed();
        }
        async move {
            result.await.unwrap_or_else(|_| Err(ProposeError::Unknown("this member is stopping".to_owned())))
        }
        .boxed()
    }

    fn read_index(&self) -> BoxFuture<'static, Result<u64, Unavailable>> {
        let this = self.clone();
        async move {
            let no_leader =
                || Unavailable("the cluster has no leader at present; try again shortly".to_owned());
            let raft = this.bound().ok_or_else(no_leader)?;
            match raft.term_state().leader.ok_or_else(no_leader)? {
                leader if leader == this.me => {
                    raft.read_index().await.map_err(|error| Unavailable(error.to_string()))
                }
                leader => this.peers.read_index(leader).await,
            }
        }
        .boxed()
    }

    fn forward(&self, leader: MemberId) -> BoxFuture<'static, Result<ForwardLink, Unavailable>> {
        let peers = self.peers.clone();
        async move { peers.forward(leader).await }.boxed()
    }

    fn touch(
        &self,
        leader: MemberId,
        sessions: Vec<SessionId>,
    ) -> BoxFuture<'static, Result<Vec<Touched>, Unavailable>> {
        let peers = self.peers.clone();
        async move { peers.touch(leader, &sessions).await }.boxed()
    }
}
