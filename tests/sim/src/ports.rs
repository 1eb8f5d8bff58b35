//! What the service crate asks its host for, in a virtual world.
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use synod_abi::{AdmissionError, MemberId, ModuleHash, SessionId, SpaceName};
use synod_consensus::{ProposalOutcome, Refusal};
use synod_machine::{Admitted, Answer, DigestRecord, Fatal, Write};
use synod_service::ports::{
    ClockReading, ForwardLink, Leadership, Ports, PrepareFailure, Preparer, ProposeError, QueryError,
    QueryPlan, QueryRunner, Replication, Role, Store, StoreError, Touched, Unavailable,
};
use synod_storage::{AppliedMark, MemoryStore, MemoryView, StateStore, StorageError};
use synod_vm::{Editions, QueryEngine, Wanted};

use crate::peers::{Peers, SimRaft};
use crate::runtime::Tasks;

/// The ports of a simulated member.
#[derive(Debug)]
pub struct SimPorts;

impl Ports for SimPorts {
    type Runtime = Tasks;
    type Clock = Tasks;
    type Replication = SimReplication;
    type Store = Rows;
    type Queries = InlineQueries;
    type Preparer = OwnPreparer;
}

/// The rows of a member.
#[derive(Clone)]
pub struct Rows(pub MemoryStore);

fn fatal(error: StorageError) -> Fatal {
    Fatal(error.to_string())
}

impl Store for Rows {
    type View = MemoryView;
    type Mark = AppliedMark;

    fn view(&self) -> Result<MemoryView, Fatal> {
        self.0.view().map_err(fatal)
    }

    fn latest(&self) -> Result<MemoryView, Fatal> {
        self.0.latest().map_err(fatal)
    }

    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StoreError> {
        self.0.commit(writes, mark).map_err(|error| match error {
            StorageError::Full { .. } => StoreError::Full(error.to_string()),
            error => StoreError::Fatal(fatal(error)),
        })
    }

    fn wait_for_space(&self) -> Result<(), Fatal> {
        Err(Fatal("a store in memory never refuses a commit for want of space".to_owned()))
    }
}

/// Runs queries where they are asked.
pub struct InlineQueries(pub Arc<QueryEngine>);

impl QueryRunner<MemoryView> for InlineQueries {
    fn run(
        &self,
        _: SpaceName,
        plan: QueryPlan<MemoryView>,
    ) -> BoxFuture<'static, Result<Option<Answer>, QueryError>> {
        let (wanted, _wanted_by) = Wanted::new();
        let answered = plan().and_then(|planned| {
            let run = |(view, query)| synod_machine::query(view, self.0.asked(&wanted), &query);
            planned.map(run).transpose()
        });
        std::future::ready(answered.map_err(QueryError::Fatal)).boxed()
    }
}

/// Compiles modules at once. All members of a world share what is compiled.
pub struct OwnPreparer(pub Editions);

impl Preparer for OwnPreparer {
    fn admit(&self, module: Arc<[u8]>) -> BoxFuture<'static, Result<Admitted, AdmissionError>> {
        std::future::ready(synod_vm::admit(&module)).boxed()
    }

    fn prepare(&self, hash: ModuleHash, module: Arc<[u8]>) -> BoxFuture<'static, Result<(), PrepareFailure>> {
        let (wanted, _wanted_by) = Wanted::new();
        let prepared = self.0.prepare(hash, &module, &wanted);
        std::future::ready(prepared.map_err(|error| PrepareFailure::Unavailable(error.to_string()))).boxed()
    }
}

/// The log from one member. It exists before the consensus, which applies entries while it starts.
#[derive(Clone)]
pub struct SimReplication {
    me: MemberId,
    peers: Peers,
    raft: Arc<Mutex<Option<SimRaft>>>,
}

impl SimReplication {
    /// For `me`, with `peers` to find the leader by.
    pub fn new(me: MemberId, peers: Peers) -> Self {
        Self { me, peers, raft: Arc::default() }
    }

    /// Binds the consensus, once it runs.
    pub fn bind(&self, raft: SimRaft) {
        *self.raft.lock().unwrap_or_else(PoisonError::into_inner) = Some(raft);
    }

    /// Lets go of it: what it holds, holds this.
    pub fn unbind(&self) {
        *self.raft.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn bound(&self) -> Option<SimRaft> {
        self.raft.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How often it is looked for the consensus while that starts.
const BIND_POLL: std::time::Duration = std::time::Duration::from_millis(1);

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

impl Replication for SimReplication {
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
        let this = self.clone();
        async move {
            let raft = loop {
                match this.bound() {
                    Some(raft) => break raft,
                    None => synod_world::Process::current().sleep(BIND_POLL).await,
                }
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

    fn propose(&self, term: u64, entry: Bytes) -> BoxFuture<'static, Result<(), ProposeError>> {
        let bound = self.bound();
        let mut proposed = Box::pin(async move {
            let refused = |why: String| Err(ProposeError::Refused(why));
            let Some(raft) = bound else { return refused("this member is starting".to_owned()) };
            match raft.propose(term, entry).await {
                Ok(pending) => result_of(pending.outcome().await),
                Err(error) => refused(error.to_string()),
            }
        });
        match proposed.as_mut().now_or_never() {
            Some(result) => std::future::ready(result).boxed(),
            None => proposed,
        }
    }

    fn read_index(&self) -> BoxFuture<'static, Result<u64, Unavailable>> {
        let this = self.clone();
        async move {
            let no_leader = || Unavailable("the cluster has no leader at present".to_owned());
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
        async move { peers.touch(leader, sessions).await }.boxed()
    }

    fn voters(&self) -> BTreeSet<MemberId> {
        self.bound().map(|raft| raft.status().voters.into_keys().collect()).unwrap_or_default()
    }

    fn read_clocks(&self, of: MemberId) -> BoxFuture<'static, Result<ClockReading, Unavailable>> {
        let peers = self.peers.clone();
        async move { peers.clocks(of).await }.boxed()
    }

    fn digests(
        &self,
        of: MemberId,
        own: DigestRecord,
    ) -> BoxFuture<'static, Result<Option<DigestRecord>, Unavailable>> {
        let peers = self.peers.clone();
        async move { peers.digests(of, own).await }.boxed()
    }
}
