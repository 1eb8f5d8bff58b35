//! The space on this member's disk, as its availability has it: below the reserve it refuses new
//! commands, forwarded ones too, and does not lead while another member can. Reads continue.
//!
//! It looks at the state of the disk, not at its changes, so that nothing is forgotten. What was
//! taken in before goes into the log from a reserve, so that none is lost and no vote waits for it.
use std::time::Duration;

use synod_storage::{Health, LogStore};

use crate::server::ports::{NodeLog, NodeMember, NodeRaft};

/// How often the health of the disk is checked.
const EVERY: Duration = Duration::from_millis(200);

/// Watches the disk until the member ends.
pub(crate) async fn watch(member: NodeMember, raft: NodeRaft, log: NodeLog) {
    while raft.is_running() {
        let disk_is_full = match log.health() {
            Health::Ready => false,
            Health::Full => true,
            Health::Failed(error) => return member.fail(synod_machine::Fatal(error.to_string())),
        };
        member.standing().note(|observed| observed.disk_is_full = disk_is_full);
        tokio::time::sleep(EVERY).await;
    }
}
