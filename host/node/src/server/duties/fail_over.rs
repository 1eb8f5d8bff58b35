//! Looking after a leader whose connection ended: if its port refuses this member, it has ended
//! itself, and is replaced without waiting until it is missed.
//!
//! A leader that does not answer at all, because it hangs or is cut off, is left to the election
//! time-out.
use synod_abi::MemberId;
use tokio::sync::mpsc;

use crate::server::net::peers::Peers;
use crate::server::ports::NodeRaft;

/// Replaces leaders that have ended, until the member ends; `ends` names the members whose
/// connections did.
pub(crate) async fn replace_ended_leaders(mut ends: mpsc::Receiver<MemberId>, raft: NodeRaft, peers: Peers) {
    while let Some(member) = ends.recv().await {
        let now = raft.term_state();
        if now.leader != Some(member) || member == raft.id() || !peers.is_refused_by(member).await {
            continue;
        }
        tracing::info!(%member, term = now.term, "the leader has ended");
        if raft.leader_ended(member, now.term).await.is_err() {
            return;
        }
    }
}
