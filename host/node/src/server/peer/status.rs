//! How this member is, and, by asking them, how the others are.
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use synod_api::v1::{MemberStatus, Role};
use synod_consensus::Role as RaftRole;
use synod_machine::directory::Head;
use synod_storage::{Health, LogStore};

use super::identity::Identity;
use super::member::{NodeLog, NodeMember, NodeRaft};
use super::peers::Peers;
use super::roster::Roster;

/// Says how members are.
pub(crate) struct Reporter {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Who the members are.
    pub(crate) roster: Arc<Roster>,
    /// The way to the others.
    pub(crate) peers: Peers,
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
    /// Its log.
    pub(crate) log: NodeLog,
    /// Its logic, for what is counted.
    pub(crate) member: NodeMember,
    /// Where its clients connect.
    pub(crate) client_address: String,
    /// When it started.
    pub(crate) started: Instant,
}

impl Reporter {
    /// This member's own word.
    pub(crate) fn own(&self) -> MemberStatus {
        let (status, leadership, digest) =
            (self.raft.status(), self.raft.leadership().current(), self.member.applied().digest());
        let index = |entry: Option<synod_consensus::EntryId>| entry.map_or(0, |entry| entry.index);
        let health = self.log.health();
        let (entries_applied, commands_applied) = self.member.applied().counts();
        let counted = self.member.status().ok();
        let mut own = MemberStatus {
            id: self.identity.me.0,
            name: self.identity.name.clone(),
            client_address: self.client_address.clone(),
            peer_address: self
                .roster
                .get(self.identity.me)
                .map(|peer| peer.peer.to_string())
                .unwrap_or_default(),
            role: match (&health, self.raft.is_running(), leadership.role) {
                (Health::Failed(_), _, _) | (_, false, _) => Role::Halted,
                (_, _, RaftRole::Learner) => Role::Learner,
                (_, _, RaftRole::Follower) => Role::Follower,
                (_, _, RaftRole::Candidate) => Role::Candidate,
                (_, _, RaftRole::Leader { .. }) => Role::Leader,
            }
            .into(),
            reachable: true,
            problem: match health {
                Health::Ready => String::new(),
                Health::Full => "its disk is full: it takes no writes until there is space".to_owned(),
                Health::Failed(error) => error.to_string(),
            },
            term: leadership.term,
            leader_id: leadership.leader.map_or(0, |leader| leader.0),
            revision: self.member.applied().revision.get(),
            last_log_index: status.last_log_index.unwrap_or_default(),
            committed_index: index(status.committed),
            applied_index: digest.index,
            snapshot_index: index(status.snapshot),
            purged_index: index(status.purged),
            chain_digest: digest.chain.to_vec(),
            state_digest: digest.state.to_vec(),
            cluster_id: self.identity.cluster().map(|cluster| cluster.0.to_vec()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fsyncs: self.log.syncs(),
            entries_applied,
            commands_applied,
            uptime_ms: self.started.elapsed().as_millis() as u64,
            watches: counted.map_or(0, |status| status.watches),
            ..MemberStatus::default()
        };
        if let Some(head) = counted.and_then(|status| status.head) {
            count(&mut own, &head);
        }
        own
    }

    /// Every member's word, by id; of one that does not answer, what is known without it.
    pub(crate) async fn all(&self) -> Vec<MemberStatus> {
        let others = join_all(self.roster.others().map(|(id, peer)| async move {
            self.peers.status(id).await.unwrap_or_else(|status| MemberStatus {
                id: id.0,
                name: peer.name.clone(),
                client_address: peer.client.as_ref().map(ToString::to_string).unwrap_or_default(),
                peer_address: peer.peer.to_string(),
                problem: format!("does not answer: {}", status.message()),
                ..MemberStatus::default()
            })
        }));
        let mut members = others.await;
        members.push(self.own());
        members.sort_by_key(|member| member.id);
        members
    }
}

/// Says what the state counts.
fn count(status: &mut MemberStatus, head: &Head) {
    status.sessions = u64::from(head.sessions);
    status.requests = head.requests;
    status.waiting = head.waiting;
    status.timers = head.timers;
    status.events = head.events;
    status.event_bytes = head.event_bytes;
}
