//! What became of a proposed entry, told as soon as it is certain and not only when it is applied.
//!
//! Three answers, because the caller does three things: an entry that was refused may be proposed
//! elsewhere; one that is committed will be applied on every member; of one whose fate is unknown,
//! only what is idempotent may be proposed again.
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::async_runtime::OneshotSender;
use openraft::errors::{ClientWriteError, ForwardReason};
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::OneshotReceiverOf;
use synod_abi::MemberId;

use crate::EntryId;
use crate::runtime::AsyncRuntime;
use crate::types::{LogId, Types};

/// How a proposed entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// It is in the log of a majority, and will be applied, once, on every member.
    Committed(EntryId),
    /// It was not appended, and never will be.
    Refused {
        /// Who leads, if it is known and another member.
        leader: Option<MemberId>,
        /// Why.
        reason: Refusal,
    },
    /// It may be committed or not: leadership was lost while it was on its way, or the member
    /// stopped.
    Unknown,
}

/// Why a leader, or who was thought to be one, did not take an entry in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This member does not lead in the term that the proposal is of.
    NotLeader,
    /// It is handing leadership over.
    LeadershipTransfer,
    /// No majority has answered it lately: it may be cut off, or has only just been elected.
    LeaseExpired,
}

/// An entry on its way into the log.
pub struct PendingEntry<RT: AsyncRuntime> {
    outcome: OneshotReceiverOf<Types<RT>, ProposalOutcome>,
}

impl<RT: AsyncRuntime> fmt::Debug for PendingEntry<RT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingEntry")
    }
}

impl<RT: AsyncRuntime> PendingEntry<RT> {
    /// Waits until the outcome is certain. Refusals come at once; a commit takes a majority's
    /// fsync.
    pub async fn outcome(self) -> ProposalOutcome {
        self.outcome.await.unwrap_or(ProposalOutcome::Unknown)
    }
}

type Tell<T> = Box<dyn FnOnce(T) + Send>;

/// openraft's way to tell about an entry; each of the two is called at most once.
pub(crate) struct Answer<T> {
    committed: Option<Tell<LogId>>,
    completed: Tell<T>,
}

impl<RT: AsyncRuntime, T: Send + 'static> Responder<Types<RT>, T> for Answer<T> {
    fn on_commit(&mut self, id: LogId) {
        if let Some(tell) = self.committed.take() {
            tell(id);
        }
    }

    fn on_complete(self, result: T) {
        (self.completed)(result);
    }
}

pub(crate) fn pending_entry<RT: AsyncRuntime>() -> (PendingEntry<RT>, Answer<ClientWriteResult<Types<RT>>>) {
    let (sender, outcome) = Types::<RT>::oneshot();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let tell = move |outcome: ProposalOutcome| {
        let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            let _ = sender.send(outcome);
        }
    };
    let at_commit = tell.clone();
    let answer = Answer {
        committed: Some(Box::new(move |id: LogId| at_commit(ProposalOutcome::Committed(EntryId::from(&id))))),
        completed: Box::new(move |result| tell(outcome_of::<RT>(result))),
    };
    (PendingEntry { outcome }, answer)
}

/// Only `ForwardToLeader` means that nothing was appended; its look-alike `LogEntryDiscarded` does
/// not.
fn outcome_of<RT: AsyncRuntime>(result: ClientWriteResult<Types<RT>>) -> ProposalOutcome {
    match result {
        Ok(response) => ProposalOutcome::Committed(EntryId::from(&response.log_id)),
        Err(ClientWriteError::ForwardToLeader(forward)) => ProposalOutcome::Refused {
            leader: forward.leader_id.map(MemberId),
            reason: match forward.reason {
                ForwardReason::NotLeader => Refusal::NotLeader,
                ForwardReason::LeadershipTransfer => Refusal::LeadershipTransfer,
                ForwardReason::LeaseExpired => Refusal::LeaseExpired,
            },
        },
        Err(
            ClientWriteError::LogEntryDiscarded(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_),
        ) => ProposalOutcome::Unknown,
    }
}
