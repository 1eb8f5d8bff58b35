//! Changing who the members are: where one of them is, and which one stands in for a lost one.
//!
//! The whole use of openraft's changes of membership is here: `SetNodes`, `AddNodes`, `RemoveNodes`
//! and `ReplaceAllVoters`, the last through a joint membership, in which both sets of voters
//! decide. A leader may find one unfinished, and finishes it with `AddVoterIds` of nobody. It
//! decides nothing: which member is lost, and when another has caught up, its callers know.
use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use synod_abi::MemberId;
use synod_storage::StateStore;

use crate::runtime::AsyncRuntime;
use crate::types::{MemberInfo, Types};
use crate::{Applier, Raft, Stopped};

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// This member does not lead.
    #[error("this member is not the leader")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<MemberId>,
    },
    /// The change is about a member that there is not.
    #[error("member {0} is not a member of this cluster")]
    NotAMember(MemberId),
    /// Another change is under way: try again when it is finished.
    #[error("another change of the members is under way")]
    InProgress,
    /// It may take effect or not: leadership was lost meanwhile.
    #[error("leadership was lost while the members were changed")]
    Unknown,
    /// The member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

type Change = ChangeMembers<u64, MemberInfo>;

impl<RT: AsyncRuntime, S: StateStore, A: Applier> Raft<RT, S, A> {
    /// Commits what `member` is called and where it is.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn set_member(&self, member: MemberId, info: MemberInfo) -> Result<(), ChangeError> {
        let status = self.status();
        if !status.voters.contains_key(&member) && !status.learners.contains_key(&member) {
            return Err(ChangeError::NotAMember(member));
        }
        self.change(Change::SetNodes(BTreeMap::from([(member.0, info)]))).await
    }

    /// Adds `member` as one that gets the log and has no vote, and takes out `instead`, which have
    /// none either. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn add_learner(
        &self,
        member: MemberId,
        info: MemberInfo,
        instead: Vec<MemberId>,
    ) -> Result<(), ChangeError> {
        let gone = instead.into_iter().map(|id| id.0).collect();
        let added = BTreeMap::from([(member.0, info)]);
        self.change(Change::Batch(vec![Change::RemoveNodes(gone), Change::AddNodes(added)])).await
    }

    /// Gives the vote of `old` to `new`, which has none yet, and takes `old` out of the cluster.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn replace_voter(&self, old: MemberId, new: MemberId) -> Result<(), ChangeError> {
        let status = self.status();
        if !status.voters.contains_key(&old) {
            return Err(ChangeError::NotAMember(old));
        }
        let mut voters: BTreeSet<u64> = status.voters.keys().map(|id| id.0).collect();
        voters.remove(&old.0);
        voters.insert(new.0);
        self.change(Change::ReplaceAllVoters(voters)).await
    }

    /// Finishes a change that a leader before left unfinished.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn finish_change(&self) -> Result<(), ChangeError> {
        self.change(Change::AddVoterIds(BTreeSet::new())).await
    }

    async fn change(&self, change: Change) -> Result<(), ChangeError> {
        let result = self.inner.change_membership(change, false).await;
        result.map(drop).map_err(change_error::<RT>)
    }
}

fn change_error<RT: AsyncRuntime>(error: RaftError<Types<RT>, ClientWriteError<Types<RT>>>) -> ChangeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            ChangeError::NotLeader { leader: forward.leader_id.map(MemberId) }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::LearnerNotFound(missing) => {
                ChangeError::NotAMember(MemberId(missing.node_id))
            }
            _ => ChangeError::InProgress,
        },
        RaftError::APIError(
            ClientWriteError::LogEntryDiscarded(_) | ClientWriteError::PreconditionFailed(_),
        ) => ChangeError::Unknown,
        RaftError::Fatal(_) => ChangeError::Stopped(Stopped),
    }
}
