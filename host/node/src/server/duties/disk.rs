//! A disk that is nearly full: this member refuses new commands, forwarded ones too, and does not
//! lead while another member with space can: it hands over, and does not stand for election unless
//! nobody else leads for a while, as when it alone has the newest entries. Reads continue. It
//! accepts commands again when there is space.
//!
//! It looks at the state of the disk, not at its changes, so that nothing is forgotten. What was
//! taken in before goes into the log from a reserve, so that none is lost and no vote waits for it.
use std::time::{Duration, Instant};

use synod_service::UnavailableReason;
use synod_storage::{Health, LogStore};

use super::hand_over::{hand_over_to_one_with_space, has_leader, others_are_full};
use crate::server::net::peers::Peers;
use crate::server::ports::{NodeLog, NodeMember, NodeRaft};

/// How often the health of the disk is checked.
const EVERY: Duration = Duration::from_millis(200);
/// How often a leader whose disk is full tries to hand over.
const HAND_OVER_EVERY: Duration = Duration::from_secs(1);

/// How long a member whose disk is full leaves it to others with space to become the leader.
const STANDS_AFTER: Duration = Duration::from_secs(5);

/// Watches the disk until the member ends.
pub(crate) async fn watch(member: NodeMember, raft: NodeRaft, log: NodeLog, peers: Peers) {
    let mut full = false;
    let mut tried: Option<Instant> = None;
    let mut missing: Option<Instant> = None;
    while raft.is_running() {
        match log.health() {
            Health::Ready if full => {
                tracing::info!("there is space on the disk again");
                member.proposer().accept(UnavailableReason::DiskFull);
                raft.stand(true);
                (full, tried, missing) = (false, None, None);
            }
            Health::Ready => {}
            Health::Full => {
                if !full {
                    tracing::error!("the disk is full: this member takes no writes until there is space");
                    full = true;
                }
                member.proposer().refuse(
                    UnavailableReason::DiskFull,
                    "the disk of this member is full; use another member, or free space",
                );
                if tried.is_none_or(|at| at.elapsed() >= HAND_OVER_EVERY) {
                    hand_over_to_one_with_space(&raft, &peers).await;
                    tried = Some(Instant::now());
                }
                if has_leader(&raft, &peers).await {
                    missing = None;
                    raft.stand(false);
                } else {
                    let since = *missing.get_or_insert_with(Instant::now);
                    raft.stand(since.elapsed() >= STANDS_AFTER || others_are_full(&raft, &peers).await);
                }
            }
            Health::Failed(error) => return member.fail(synod_machine::Fatal(error.to_string())),
        }
        tokio::time::sleep(EVERY).await;
    }
}
