//! A member's view of the log and of its peers, for operators and for decisions that need no
//! certainty.
use std::collections::{BTreeMap, BTreeSet};

use openraft::metrics::RaftMetrics;
use synod_abi::MemberId;

use crate::EntryId;
use crate::runtime::AsyncRuntime;
use crate::types::{MemberInfo, Types};

/// How it stands, as this member sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Index of the last entry of this member's log, on disk or not.
    pub last_log_index: Option<u64>,
    /// The last entry that this member knows to be committed.
    pub committed: Option<EntryId>,
    /// The last entry that is applied here.
    pub applied: Option<EntryId>,
    /// Where the log may be compacted to: a state at this entry is at hand for others.
    pub snapshot: Option<EntryId>,
    /// The last entry that was removed from the log.
    pub purged: Option<EntryId>,
    /// Members with a vote.
    pub voters: BTreeMap<MemberId, MemberInfo>,
    /// Where in the log these members are named; `None`: nowhere, no cluster is formed.
    pub members_at: Option<u64>,
    /// Whether two sets of voters decide together, until a change of them is finished.
    pub is_changing: bool,
    /// Of the voters, those that are not in the first of these sets: what they vote counts only in
    /// the second, so they stand in for nobody yet.
    pub joining: BTreeSet<MemberId>,
    /// Members that get the log without having a vote.
    pub learners: BTreeMap<MemberId, MemberInfo>,
    /// Of a leader: how far the members are.
    pub peers: Option<BTreeMap<MemberId, PeerProgress>>,
}

/// Entries that a member may lack and still be given a vote: no more than followers lack under
/// load.
const CAUGHT_UP_ENTRIES: u64 = 64;

impl Status {
    /// A voter that is lost and the learner in its place, if a leader sees that this one has caught
    /// up. The learner has the voter's name: a member keeps its name, and gets a new id when its
    /// folder is lost.
    pub fn replaceable(&self) -> Option<(MemberId, MemberId)> {
        let peers = self.peers.as_ref()?;
        let enough = self.last_log_index?.saturating_sub(CAUGHT_UP_ENTRIES);
        let has_caught_up = |id: &MemberId| {
            let matched = peers.get(id).and_then(|peer| peer.matched);
            matched.is_some_and(|matched| matched.index >= enough)
        };
        self.learners.iter().filter(|(id, _)| has_caught_up(id)).find_map(|(new, info)| {
            let lost = self.voters.iter().find(|(_, voter)| voter.name == info.name)?.0;
            Some((*lost, *new))
        })
    }
}

/// How far a member is, as its leader sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerProgress {
    /// The last entry that it surely has on disk.
    pub matched: Option<EntryId>,
}

pub(crate) fn status_of<RT: AsyncRuntime>(metrics: &RaftMetrics<Types<RT>>) -> Status {
    let entry = |id: &Option<_>| id.as_ref().map(EntryId::from);
    let membership = metrics.membership_config.membership();
    let members = |ids: &mut dyn Iterator<Item = u64>| {
        ids.map(|id| (MemberId(id), membership.get_node(&id).cloned().unwrap_or_default())).collect()
    };
    Status {
        last_log_index: metrics.last_log_index,
        committed: entry(&metrics.local_committed),
        applied: entry(&metrics.last_applied),
        snapshot: entry(&metrics.snapshot),
        purged: entry(&metrics.purged),
        voters: members(&mut membership.voter_ids()),
        members_at: metrics.membership_config.log_id().as_ref().map(|id| id.index),
        is_changing: membership.get_joint_config().len() > 1,
        joining: joining(membership.get_joint_config()),
        learners: members(&mut membership.learner_ids()),
        peers: metrics.replication.as_ref().map(|replication| {
            replication
                .iter()
                .map(|(id, matched)| (MemberId(*id), PeerProgress { matched: entry(matched) }))
                .collect()
        }),
    }
}

/// Who is only in the later sets of voters.
fn joining(sets: &[BTreeSet<u64>]) -> BTreeSet<MemberId> {
    let Some((first, later)) = sets.split_first() else { return BTreeSet::new() };
    later.iter().flatten().filter(|id| !first.contains(id)).map(|id| MemberId(*id)).collect()
}

#[cfg(test)]
mod tests;
