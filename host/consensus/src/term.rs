//! Who leads, as a value that can be watched, and whether this member still runs.
//!
//! It is derived from openraft's metrics by one small task per member, which sleeps while nothing
//! of it changes: it follows commits only between an election and the commit of the new leader's
//! first entry.
use openraft::ServerState;
use openraft::async_runtime::{WatchReceiver, WatchSender};
use openraft::errors::Fatal as RaftFatal;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::WatchReceiverOf;
use synod_abi::MemberId;

use crate::runtime::{AsyncRuntime, Select2};
use crate::types::Types;
use crate::{Fatal, Unavailable};

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

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The latest term that this member knows of; at most one member leads in it.
    pub term: u64,
    /// Who leads in it, if that is known.
    pub leader: Option<MemberId>,
    /// What this member is.
    pub role: Role,
}

impl Leadership {
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

/// The present leadership, and notice of its changes.
pub struct LeadershipWatch<RT: AsyncRuntime> {
    receiver: WatchReceiverOf<Types<RT>, Leadership>,
}

impl<RT: AsyncRuntime> Clone for LeadershipWatch<RT> {
    fn clone(&self) -> Self {
        Self { receiver: self.receiver.clone() }
    }
}

impl<RT: AsyncRuntime> LeadershipWatch<RT> {
    /// The present one. It may change the moment after: whatever is decided by it is proposed for
    /// its term.
    pub fn current(&self) -> Leadership {
        *self.receiver.borrow_watched()
    }

    /// Waits for a change since the last call and returns the leadership after it.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn changed(&mut self) -> Result<Leadership, Unavailable> {
        self.receiver.changed().await.map_err(|_| Unavailable)?;
        Ok(*self.receiver.borrow_and_update())
    }
}

pub(crate) struct Watches<RT: AsyncRuntime> {
    leadership: WatchReceiverOf<Types<RT>, Leadership>,
    running: WatchReceiverOf<Types<RT>, Running>,
}

impl<RT: AsyncRuntime> Clone for Watches<RT> {
    fn clone(&self) -> Self {
        Self { leadership: self.leadership.clone(), running: self.running.clone() }
    }
}

impl<RT: AsyncRuntime> Watches<RT> {
    pub(crate) fn leadership(&self) -> LeadershipWatch<RT> {
        LeadershipWatch { receiver: self.leadership.clone() }
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
    let (leadership_sender, leadership) = Types::<RT>::watch_channel(Leadership::default());
    let (running_sender, running) = Types::<RT>::watch_channel(Running::Yes);
    let mut server = raft.server_metrics();
    let mut commits = raft.watch_commit_progress();
    let metrics = raft.metrics();
    drop(Types::<RT>::spawn(async move {
        loop {
            let now = leadership_of(&server.borrow_and_update(), commits.get().map(|id| id.leader_id.term));
            leadership_sender.send_if_different(now);
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
        let stopped = Leadership { role: Role::Learner, leader: None, ..*leadership_sender.borrow_watched() };
        leadership_sender.send_if_different(stopped);
        let _ = running_sender.send(running);
    }));
    Watches { leadership, running }
}

fn leadership_of<RT: AsyncRuntime>(
    server: &RaftServerMetrics<Types<RT>>,
    committed_term: Option<u64>,
) -> Leadership {
    let term = server.vote.leader_id.term;
    let role = match server.state {
        ServerState::Learner | ServerState::Shutdown => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader { established: committed_term == Some(term) },
    };
    Leadership { term, leader: server.current_leader.map(MemberId), role }
}
