//! The log, as the service crate wants it: the consensus of this member, and the way to the leader.
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::MemberId;
use synod_consensus::{ProposalOutcome, ReadIndexError, Refusal};
use synod_service::{ForwardLink, Leadership, ProposeError, Replication, Role, Unavailable};
use tokio::sync::{mpsc, oneshot};

use super::member::NodeRaft;
use super::peers::Peers;

/// Entries on their way to the consensus; the proposer has only a few in flight.
const PROPOSALS: usize = 64;

struct Proposed {
    term: u64,
    entry: Vec<u8>,
    answer: oneshot::Sender<Result<(), ProposeError>>,
}

/// This member's way to the log. Clones share it.
#[derive(Clone)]
pub(crate) struct RaftReplication {
    raft: NodeRaft,
    peers: Peers,
    proposals: Arc<mpsc::Sender<Proposed>>,
}

impl RaftReplication {
    /// Over `raft`, with `peers` to find the leader by. Starts the task that keeps proposals in order.
    pub(crate) fn new(raft: NodeRaft, peers: Peers) -> Self {
        let (proposals, mut queue) = mpsc::channel::<Proposed>(PROPOSALS);
        let proposing = raft.clone();
        tokio::spawn(async move {
            while let Some(Proposed { term, entry, answer }) = queue.recv().await {
                match proposing.propose(term, entry.into()).await {
                    Err(error) => drop(answer.send(Err(ProposeError::Refused(error.to_string())))),
                    Ok(proposal) => drop(tokio::spawn(async move { answer.send(result_of(proposal.outcome().await)) })),
                }
            }
        });
        Self { raft, peers, proposals: Arc::new(proposals) }
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
        ProposalOutcome::Unknown => Err(ProposeError::Unknown("leadership was lost while the entry was on its way".to_owned())),
    }
}

impl Replication for RaftReplication {
    fn leadership(&self) -> Leadership {
        let now = self.raft.leadership().current();
        let role = if now.established_term().is_some() { Role::Leader } else { Role::Follower };
        let leader = now.leader.filter(|leader| *leader != self.raft.id() || role == Role::Leader);
        Leadership { me: self.raft.id(), term: now.term, leader, role }
    }

    fn leadership_changed(&self, seen: Leadership) -> BoxFuture<'static, ()> {
        let (this, mut watch) = (self.clone(), self.raft.leadership());
        async move {
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
            let full = format!("{PROPOSALS} entries wait for the consensus already, or this member is stopping");
            return std::future::ready(Err(ProposeError::Refused(full))).boxed();
        }
        async move { result.await.unwrap_or_else(|_| Err(ProposeError::Unknown("this member is stopping".to_owned()))) }.boxed()
    }

    fn read_index(&self) -> BoxFuture<'static, Result<u64, Unavailable>> {
        let this = self.clone();
        async move {
            match this.raft.leadership().current().leader {
                Some(leader) if leader == this.raft.id() => this.raft.read_index().await.map_err(|error: ReadIndexError| Unavailable(error.to_string())),
                Some(leader) => this.peers.read_index(leader).await,
                None => Err(Unavailable("the cluster has no leader at present; try again shortly".to_owned())),
            }
        }
        .boxed()
    }

    fn forward(&self, leader: MemberId) -> BoxFuture<'static, Result<ForwardLink, Unavailable>> {
        let peers = self.peers.clone();
        async move { peers.forward(leader).await }.boxed()
    }
}
