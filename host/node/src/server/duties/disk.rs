//! A full disk: this member refuses new commands and hands leadership over; reads continue. It
//! accepts commands again when there is space.
//!
//! Entries that were handed to the log before wait there for space, so that none is lost and none
//! is acknowledged early.
use std::time::Duration;

use synod_service::UnavailableReason;
use synod_storage::{Health, LogStore};

use super::hand_over::hand_over;
use crate::server::ports::{NodeLog, NodeMember, NodeRaft};

/// How often the health of the disk is checked.
const EVERY: Duration = Duration::from_millis(200);

/// Watches the disk until the member ends.
pub(crate) async fn watch(member: NodeMember, raft: NodeRaft, log: NodeLog) {
    let mut full = false;
    while raft.is_running() {
        match log.health() {
            Health::Ready if full => {
                tracing::info!("there is space on the disk again");
                member.proposer().accept(UnavailableReason::DiskFull);
                full = false;
            }
            Health::Full if !full => {
                tracing::error!("the disk is full: this member takes no writes until there is space");
                member.proposer().refuse(
                    UnavailableReason::DiskFull,
                    "the disk of this member is full; use another member, or free space",
                );
                full = true;
                hand_over(&raft).await;
            }
            Health::Ready | Health::Full => {}
            Health::Failed(error) => return member.fail(synod_machine::Fatal(error.to_string())),
        }
        tokio::time::sleep(EVERY).await;
    }
}
