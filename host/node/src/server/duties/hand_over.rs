//! Handing leadership over: when this member stops, and when its disk is full.
use std::time::Duration;

use synod_abi::MemberId;

use crate::server::net::peers::Peers;
use crate::server::ports::NodeRaft;

/// How long it may take.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Hands leadership to the member that has most of the log, if this one leads.
pub(crate) async fn hand_over(raft: &NodeRaft) {
    if let Some(heir) = heirs(raft).first() {
        transfer(raft, *heir).await;
    }
}

/// Hands leadership to the member that has most of the log among those that nothing is wrong with,
/// if this one leads. If all are full, it stays, so that reads go on.
pub(crate) async fn hand_over_to_one_with_space(raft: &NodeRaft, peers: &Peers) {
    for heir in heirs(raft) {
        if peers.status(heir).await.is_ok_and(|status| status.problem.is_empty()) {
            return transfer(raft, heir).await;
        }
    }
}

/// Who may lead in this member's place if it leads, whoever has most of the log first.
fn heirs(raft: &NodeRaft) -> Vec<MemberId> {
    if raft.term_state().leader != Some(raft.id()) || !raft.is_running() {
        return Vec::new();
    }
    let status = raft.status();
    let may_lead = |id: &MemberId| *id != raft.id() && status.voters.contains_key(id);
    let mut heirs: Vec<_> = status.peers.iter().flatten().filter(|(id, _)| may_lead(id)).collect();
    heirs.sort_by_key(|(_, peer)| std::cmp::Reverse(peer.matched));
    heirs.into_iter().map(|(id, _)| *id).collect()
}

async fn transfer(raft: &NodeRaft, heir: MemberId) {
    match tokio::time::timeout(HAND_OVER_TIMEOUT, raft.transfer_leader(heir)).await {
        Ok(Ok(())) => tracing::info!(to = %heir, "handed leadership over"),
        Ok(Err(error)) => tracing::warn!(%error, "leadership was not handed over"),
        Err(_) => tracing::warn!(to = %heir, "leadership was not handed over in time"),
    }
}
