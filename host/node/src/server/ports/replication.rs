//! The log for the service crate: the consensus of this member, and the connection to the leader.
use std::collections::BTreeSet;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::{MemberId, SessionId};
use synod_consensus::{ProposalOutcome, Raft, Refusal, TokioRuntime};
use synod_machine::DigestRecord;
use synod_service::ports::{
    ClockReading, ForwardLink, Leadership, ProposeError, Replication, Role, Touched, Unavailable,
};
use tokio::sync::watch;
use tokio::task::unconstrained;

use super::apply::ApplyThread;
use super::rows::NodeState;
use crate::server::net::peers::Peers;

/// This member's consensus.
pub(crate) type NodeRaft = Raft<TokioRuntime, NodeState, ApplyThread>;

/// The log of the cluster, from this member. Clones share it.
///
/// It exists before the consensus, which applies committed entries while it starts: until its
/// [`Unbound`] end is bound, it knows no leader and refuses what is proposed.
#[derive(Clone)]
pub(crate) struct RaftReplication {
    me: MemberId,
    raft: watch::Receiver<Option<NodeRaft>>,
    peers: Peers,
}

/// The end of a [`RaftReplication`] that the consensus is bound to.
pub(crate) struct Unbound(watch::Sender<Option<NodeRaft>>);

impl RaftReplication {
    /// For `me`, with `peers` to find the leader by.
    pub(crate) fn new(me: MemberId, peers: Peers) -> (Self, Unbound) {
        let (sender, raft) = watch::channel(None);
        (Self { me, raft, peers }, Unbound(sender))
    }

    fn bound(&self) -> Option<NodeRaft> {
        self.raft.borrow().clone()
    }
}

impl Unbound {
    /// Binds the consensus.
    pub(crate) fn bind(self, raft: NodeRaft) {
        self.0.send_replace(Some(raft));
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

    /// The first poll, here, gives the entry a place in the consensus's queue, which is first in,
    /// first out for whoever waits for room, too. Unconstrained: nothing else may delay that poll.
    fn propose(&self, term: u64, entry: Bytes) -> BoxFuture<'static, Result<(), ProposeError>> {
        let bound = self.bound();
        let mut proposed = Box::pin(unconstrained(async move {
            let refused = |why: String| Err(ProposeError::Refused(why));
            let Some(raft) = bound else { return refused("this member is starting".to_owned()) };
            match raft.propose(term, entry).await {
                Ok(pending) => result_of(pending.outcome().await),
                Err(error) => refused(error.to_string()),
            }
        }));
        match proposed.as_mut().now_or_never() {
            Some(result) => std::future::ready(result).boxed(),
            None => proposed,
        }
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

    fn digests(
        &self,
        of: MemberId,
        own: DigestRecord,
    ) -> BoxFuture<'static, Result<Option<DigestRecord>, Unavailable>> {
        let peers = self.peers.clone();
        async move { peers.digests(of, own).await }.boxed()
    }

    fn voters(&self) -> BTreeSet<MemberId> {
        self.bound().map(|raft| raft.status().voters.into_keys().collect()).unwrap_or_default()
    }

    fn read_clocks(&self, of: MemberId) -> BoxFuture<'static, Result<ClockReading, Unavailable>> {
        let peers = self.peers.clone();
        async move { peers.clocks(of).await }.boxed()
    }
}
