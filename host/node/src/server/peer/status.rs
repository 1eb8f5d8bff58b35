//! The status of this member, and of the others by asking them.
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use synod_abi::MemberId;
use synod_api::v1::{self as proto, MemberStatus, Role};
use synod_consensus::{EntryId, Role as RaftRole};
use synod_machine::directory::Counts;
use synod_service::Problem;
use synod_storage::{Health, LogStore};

use crate::server::net::identity::Identity;
use crate::server::net::peers::Peers;
use crate::server::net::roster::{Listed, Roster};
use crate::server::ports::{NodeLog, NodeMember, NodeRaft};

/// Reports the status of members.
pub(crate) struct Reporter {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Who the members are.
    pub(crate) roster: Arc<Roster>,
    /// The connections to the others.
    pub(crate) peers: Peers,
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
    /// Its log.
    pub(crate) log: NodeLog,
    /// Its logic, for the counts of its state.
    pub(crate) member: NodeMember,
    /// Where its clients connect.
    pub(crate) client_address: String,
    /// When it started.
    pub(crate) started: Instant,
}

impl Reporter {
    /// The status of this member.
    pub(crate) fn own(&self) -> MemberStatus {
        let status = self.raft.status();
        let term = self.raft.term_state();
        let digest = self.member.applied().digest();
        let is_joining = status.joining.contains(&self.identity.me);
        let index = |entry: Option<EntryId>| entry.map_or(0, |entry| entry.index);
        let health = self.log.health();
        let availability = self.member.standing().get();
        let leads = matches!(term.role, RaftRole::Leader { .. });
        let (entries_applied, commands_applied) = self.member.applied().counts();
        let member = self.member.status();
        let cluster_id = self.identity.cluster().map(|cluster| cluster.0.to_vec());
        MemberStatus {
            id: self.identity.me.0,
            name: self.identity.name.clone(),
            client_address: self.client_address.clone(),
            peer_address: self.roster.own().peer.clone(),
            role: role(&health, self.raft.is_running(), term.role, is_joining).into(),
            reachable: true,
            problem: self.problem(&health, availability.problem(leads)),
            term: term.term,
            leader_id: self.leader_id(),
            revision: self.member.applied().revision.get(),
            last_log_index: status.last_log_index.unwrap_or_default(),
            committed_index: index(status.committed),
            applied_index: digest.index,
            snapshot_index: index(status.snapshot),
            purged_index: index(status.purged),
            chain_digest: digest.chain.to_vec(),
            state_digest: digest.state.to_vec(),
            cluster_id: cluster_id.unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fsyncs: self.log.syncs(),
            entries_applied,
            commands_applied,
            uptime_ms: self.started.elapsed().as_millis() as u64,
            counts: Some(to_proto(&member.head.counts)),
            watches: member.watches,
            may_lead: availability.may_lead(),
            clock_offset_ms: self.member.own_clocks().offset_ms,
        }
    }

    fn problem(&self, health: &Health, problem: Option<Problem>) -> String {
        match health {
            Health::Failed(error) => error.to_string(),
            Health::Ready | Health::Full => {
                problem.map(|problem| self.member.describe(problem)).unwrap_or_default()
            }
        }
    }

    /// Who leads; 0 if nobody, or if no majority confirms it to this member.
    pub(crate) fn leader_id(&self) -> u64 {
        if self.member.standing().get().has(Problem::NoMajority) {
            return 0;
        }
        self.raft.term_state().leader.map_or(0, |leader| leader.0)
    }

    /// The status of every member, by name; of one that does not answer as that member, its place
    /// in the roster.
    pub(crate) async fn all(&self) -> Vec<MemberStatus> {
        let listed = self.roster.members();
        let ask = |(id, member): (&MemberId, &Listed)| {
            let (id, member) = (*id, member.clone());
            async move {
                let answer = self.peers.status(id).await;
                answer.unwrap_or_else(|status| unreachable(id, &member, &status))
            }
        };
        let others = listed.iter().filter(|(id, _)| **id != self.identity.me);
        let mut members = join_all(others.map(ask)).await;
        if listed.is_empty() {
            members.extend(self.roster.hints().map(|(name, address)| unformed(name, address)));
        }
        members.push(self.own());
        members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        members
    }
}

fn to_proto(counts: &Counts) -> proto::Counts {
    proto::Counts {
        recipes: counts.recipes.into(),
        spaces: counts.spaces.into(),
        sessions: counts.sessions.into(),
        requests: counts.requests,
        waiting: counts.waiting,
        timers: counts.timers,
        events: counts.events,
        event_bytes: counts.event_bytes,
        bindings: counts.bindings.into(),
        owed: counts.owed,
    }
}

/// A member whose vote stands in for nobody's yet is called a learner: if another voter is lost
/// now, it may not be enough.
fn role(health: &Health, running: bool, role: RaftRole, is_joining: bool) -> Role {
    if !running || matches!(health, Health::Failed(_)) {
        return Role::Halted;
    }
    match role {
        RaftRole::Follower if is_joining => Role::Learner,
        RaftRole::Learner => Role::Learner,
        RaftRole::Follower => Role::Follower,
        RaftRole::Candidate => Role::Candidate,
        RaftRole::Leader { .. } => Role::Leader,
    }
}

fn unreachable(id: MemberId, member: &Listed, status: &tonic::Status) -> MemberStatus {
    MemberStatus {
        id: id.0,
        name: member.name.clone(),
        client_address: member.place.clients.first().cloned().unwrap_or_default(),
        peer_address: member.place.peer.clone(),
        problem: format!("does not answer: {}", status.message()),
        ..MemberStatus::default()
    }
}

/// A member of a cluster that is not formed yet.
fn unformed(name: &str, peer_address: String) -> MemberStatus {
    MemberStatus {
        name: name.to_owned(),
        peer_address,
        problem: "the cluster is not formed yet".to_owned(),
        ..MemberStatus::default()
    }
}
