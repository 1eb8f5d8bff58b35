//! Handing leadership over, and who else may lead: when this member stops, and when it may not
//! lead.
use std::time::Duration;

use futures::future::join_all;
use synod_abi::MemberId;
use synod_api::v1::Role;
use synod_consensus::{PeerProgress, Status};

use crate::server::net::peers::Peers;
use crate::server::ports::NodeRaft;

/// How long it may take.
const HAND_OVER_TIMEOUT: Duration = Duration::from_millis(500);
/// Entries that an heir may lack: it gets them while it is handed over to.
const LACKS_ENTRIES: u64 = 1_000;

/// Hands leadership to the member that has most of the log, if this one leads.
pub(crate) async fn hand_over(raft: &NodeRaft) {
    if let Some(heir) = heirs(raft).first() {
        transfer(raft, *heir).await;
    }
}

/// Hands leadership to the member that has most of the log among those that may lead, if this one
/// leads. If none may, it stays, so that reads go on.
pub(crate) async fn hand_over_to_one_that_may(raft: &NodeRaft, peers: &Peers) {
    for heir in heirs(raft) {
        if may_lead(peers, heir).await {
            return transfer(raft, heir).await;
        }
    }
}

/// Whether a member leads and answers, this one or another. What a member without a leader knows
/// is who led last.
pub(crate) async fn has_leader(raft: &NodeRaft, peers: &Peers) -> bool {
    match raft.term_state().leader {
        None => false,
        Some(leader) if leader == raft.id() => true,
        Some(leader) => peers.status(leader).await.is_ok_and(|status| status.role() == Role::Leader),
    }
}

/// Whether every member that could lead instead of this one and of the one that led last says that
/// it cannot either.
pub(crate) async fn no_other_may(raft: &NodeRaft, peers: &Peers) -> bool {
    let (status, last) = (raft.status(), raft.term_state().leader);
    let others = status.voters.keys().filter(|id| **id != raft.id() && Some(**id) != last);
    let may_not = async |id: &MemberId| peers.status(*id).await.is_ok_and(|status| !status.may_lead);
    join_all(others.map(may_not)).await.iter().all(|may_not| *may_not)
}

async fn may_lead(peers: &Peers, member: MemberId) -> bool {
    peers.status(member).await.is_ok_and(|status| status.may_lead)
}

/// Who may lead in this member's place if it leads, whoever has most of the log first.
fn heirs(raft: &NodeRaft) -> Vec<MemberId> {
    if raft.term_state().leader != Some(raft.id()) || !raft.is_running() {
        return Vec::new();
    }
    heirs_of(raft.id(), &raft.status())
}

/// Voters that can have the whole log in no time: one that cannot would leave the cluster without
/// a leader until the attempt is given up.
fn heirs_of(leader: MemberId, status: &Status) -> Vec<MemberId> {
    let enough = status.last_log_index.unwrap_or(0).saturating_sub(LACKS_ENTRIES);
    let enough = status.purged.map_or(enough, |purged| purged.index.max(enough));
    let matched = |peer: &PeerProgress| peer.matched.map_or(0, |matched| matched.index);
    let is_fit = |id: &MemberId, peer: &PeerProgress| {
        *id != leader && status.voters.contains_key(id) && matched(peer) >= enough
    };
    let mut heirs: Vec<_> = status.peers.iter().flatten().filter(|(id, peer)| is_fit(id, peer)).collect();
    heirs.sort_by_key(|(_, peer)| std::cmp::Reverse(matched(peer)));
    heirs.into_iter().map(|(id, _)| *id).collect()
}

async fn transfer(raft: &NodeRaft, heir: MemberId) {
    match raft.transfer_leader(heir, HAND_OVER_TIMEOUT).await {
        Ok(()) => tracing::info!(to = %heir, "handed leadership over"),
        Err(error) => tracing::warn!(%error, "leadership was not handed over"),
    }
}

#[cfg(test)]
mod tests;
