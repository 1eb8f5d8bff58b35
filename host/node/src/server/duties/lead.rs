//! A member that may not lead, because its disk is full or it does not apply: it hands leadership
//! over, and does not stand for election unless nobody else leads for a while, as when it alone has
//! the newest entries.
use std::time::{Duration, Instant};

use super::hand_over::{hand_over_to_one_that_may, has_leader, no_other_may};
use crate::server::net::peers::Peers;
use crate::server::ports::{NodeMember, NodeRaft};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(200);
/// How often a leader that may not lead tries to hand over.
const HAND_OVER_EVERY: Duration = Duration::from_secs(1);
/// How long a member that may not lead leaves it to others to become the leader.
const STANDS_AFTER: Duration = Duration::from_secs(5);

/// Keeps a member from leading while it may not, until the member ends.
pub(crate) async fn yield_while_unable(member: NodeMember, raft: NodeRaft, peers: Peers) {
    let mut yields = false;
    let mut tried: Option<Instant> = None;
    let mut missing: Option<Instant> = None;
    while raft.is_running() {
        if member.standing().get().may_lead() {
            if yields {
                raft.stand(true);
                (yields, tried, missing) = (false, None, None);
            }
        } else {
            yields = true;
            if tried.is_none_or(|at| at.elapsed() >= HAND_OVER_EVERY) {
                hand_over_to_one_that_may(&raft, &peers).await;
                tried = Some(Instant::now());
            }
            if has_leader(&raft, &peers).await {
                missing = None;
                raft.stand(false);
            } else {
                let since = *missing.get_or_insert_with(Instant::now);
                raft.stand(since.elapsed() >= STANDS_AFTER || no_other_may(&raft, &peers).await);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
