//! The present term, its leader and this member's role in it, as a value that can be watched; and
//! whether this member still runs.
//!
//! One small task per member derives both from openraft's metrics. It follows commits only between
//! an election and the commit of the new leader's first entry, and otherwise sleeps until the term,
//! the leader or the role changes.
use openraft::ServerState;
use openraft::async_runtime::{WatchReceiver, WatchSender};
use openraft::errors::Fatal as RaftFatal;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::WatchReceiverOf;
use synod_abi::MemberId;
use synod_storage::Fatal;

use crate::Stopped;
use crate::runtime::{AsyncRuntime, Select2};
use crate::types::Types;

/// What this member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It has no vote; so begins every member before it belongs to a cluster.
    #[default]
    Learner,
    /// It follows a leader, or waits for one.
    Follower,
    /// It stands for election.
    Candidate,
    /// It leads.
    Leader {
        /// Whether its term's first entry is committed. Only then does it know what is committed,
        /// and may decide on it.
        established: bool,
    },
}

/// What this member knows of the present term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TermState {
    /// The latest term that this member knows of; at most one member leads in it.
    pub term: u64,
    /// Its leader, if that is known.
    pub leader: Option<MemberId>,
    /// What this member is in it.
    pub role: Role,
}

impl TermState {
    /// The term that this member leads in, once its first entry is committed.
    pub fn established_term(&self) -> Option<u64> {
        (self.role == Role::Leader { established: true }).then_some(self.term)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Running {
    #[default]
    Yes,
    ShutDown,
    Broken(Fatal),
}

/// The present term and its changes.
pub struct TermWatch<RT: AsyncRuntime> {
    receiver: WatchReceiverOf<Types<RT>, TermState>,
}

impl<RT: AsyncRuntime> Clone for TermWatch<RT> {
    fn clone(&self) -> Self {
        Self { receiver: self.receiver.clone() }
    }
}

impl<RT: AsyncRuntime> TermWatch<RT> {
    /// Waits for a change since the last call and returns the state after it.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn changed(&mut self) -> Result<TermState, Stopped> {
        self.receiver.changed().await.map_err(|_| Stopped)?;
        Ok(*self.receiver.borrow_and_update())
    }
}

pub(crate) struct Watches<RT: AsyncRuntime> {
    term: WatchReceiverOf<Types<RT>, TermState>,
    running: WatchReceiverOf<Types<RT>, Running>,
}

impl<RT: AsyncRuntime> Clone for Watches<RT> {
    fn clone(&self) -> Self {
        Self { term: self.term.clone(), running: self.running.clone() }
    }
}

impl<RT: AsyncRuntime> Watches<RT> {
    pub(crate) fn term_state(&self) -> TermState {
        *self.term.borrow_watched()
    }

    pub(crate) fn term_watch(&self) -> TermWatch<RT> {
        TermWatch { receiver: self.term.clone() }
    }

    pub(crate) fn running(&self) -> Running {
        self.running.borrow_watched().clone()
    }

    pub(crate) async fn stopped(mut self) -> Running {
        loop {
            let running = self.running.borrow_and_update().clone();
            if running != Running::Yes || self.running.changed().await.is_err() {
                return running;
            }
        }
    }
}

pub(crate) fn watch<RT, SM>(raft: &openraft::Raft<Types<RT>, SM>) -> Watches<RT>
where
    RT: AsyncRuntime,
    SM: openraft::storage::RaftStateMachine<Types<RT>>,
{
    let (term_sender, term) = Types::<RT>::watch_channel(TermState::default());
    let (running_sender, running) = Types::<RT>::watch_channel(Running::Yes);
    let mut server = raft.server_metrics();
    let mut commits = raft.watch_commit_progress();
    let metrics = raft.metrics();
    drop(Types::<RT>::spawn(async move {
        loop {
            let now = term_state_of(&server.borrow_and_update(), commits.get().map(|id| id.leader_id.term));
            term_sender.send_if_different(now);
            let changed = if now.role == (Role::Leader { established: false }) {
                match Types::<RT>::select2(server.changed(), commits.changed()).await {
                    Select2::First(changed) | Select2::Second(changed) => changed,
                }
            } else {
                server.changed().await
            };
            if changed.is_err() {
                break;
            }
        }
        let running = match &metrics.borrow_watched().running_state {
            Err(RaftFatal::Stopped) => Running::ShutDown,
            Err(error) => Running::Broken(Fatal(error.to_string())),
            Ok(()) => Running::Broken(Fatal("the consensus ended without a word: it panicked".to_owned())),
        };
        let stopped = TermState { role: Role::Learner, leader: None, ..*term_sender.borrow_watched() };
        term_sender.send_if_different(stopped);
        let _ = running_sender.send(running);
    }));
    Watches { term, running }
}

fn term_state_of<RT: AsyncRuntime>(
    server: &RaftServerMetrics<Types<RT>>,
    committed_term: Option<u64>,
) -> TermState {
    let term = server.vote.leader_id.term;
    let role = match server.state {
        ServerState::Learner | ServerState::Shutdown => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader { established: committed_term == Some(term) },
    };
    TermState { term, leader: server.current_leader.map(MemberId), role }
}
