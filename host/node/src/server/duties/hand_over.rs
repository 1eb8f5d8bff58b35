//! Handing leadership over: when this member stops, and when its disk is full.
use std::time::Duration;

use synod_abi::MemberId;

use crate::server::ports::NodeRaft;

/// How long it may take.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Hands leadership to the member that has most of the log, if this one leads.
pub(crate) async fn hand_over(raft: &NodeRaft) {
    if raft.term_state().leader != Some(raft.id()) || !raft.is_running() {
        return;
    }
    let status = raft.status();
    let peers = status.peers.unwrap_or_default();
    let may_lead = |id: &MemberId| *id != raft.id() && status.voters.contains_key(id);
    let heir = peers.into_iter().filter(|(id, _)| may_lead(id)).max_by_key(|(_, peer)| peer.matched);
    let Some((heir, _)) = heir else { return };
    match tokio::time::timeout(HAND_OVER_TIMEOUT, raft.transfer_leader(heir)).await {
        Ok(Ok(())) => tracing::info!(to = %heir, "handed leadership over"),
        Ok(Err(error)) => tracing::warn!(%error, "leadership was not handed over"),
        Err(_) => tracing::warn!(to = %heir, "leadership was not handed over in time"),
    }
}
