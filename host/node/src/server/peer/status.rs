//! The status of this member, and of the others by asking them.
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use synod_abi::MemberId;
use synod_api::v1::{self as proto, Member, MemberStatus, Role, StartedScrub};
use synod_consensus::{EntryId, Role as RaftRole, Status};
use synod_machine::Environment;
use synod_machine::directory::Counts;
use synod_service::{Problem, ScrubReport, ScrubStatus};
use synod_storage::{Health, LogStore};

use super::hello::Greeter;
use crate::server::net::identity::Identity;
use crate::server::net::peers::{Peers, why};
use crate::server::net::roster::{Listed, Place, Roster};
use crate::server::ports::environments::Environments;
use crate::server::ports::{NodeLog, NodeMember, NodeRaft};

/// How long a member is asked to scrub that does not answer,
const SCRUB_PATIENCE: Duration = Duration::from_secs(2);
/// and the pause before it is asked again.
const SCRUB_PAUSE: Duration = Duration::from_millis(200);

/// Reports the status of members.
pub(crate) struct Reporter {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Who the members are.
    pub(crate) roster: Arc<Roster>,
    /// The connections to the others.
    pub(crate) peers: Peers,
    /// Introduces this member to them.
    pub(crate) greeter: Arc<Greeter>,
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
    /// Its log.
    pub(crate) log: NodeLog,
    /// Its logic, for the counts of its state.
    pub(crate) member: NodeMember,
    /// Where its clients connect.
    pub(crate) client_address: String,
    /// What its binary supports.
    pub(crate) environments: Arc<Environments>,
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
        let ready = self.environments.ready(member.head.environment);
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
            agreed_index: member.agreed_at,
            scrub: Some(scrub_to_proto(self.member.scrubs())),
            may_lead: availability.may_lead(),
            clock_offset_ms: self.member.own_clocks().offset_ms,
            is_setting_up: leads && availability.has(Problem::SettingUp),
            environment: member.head.environment.map(environment_to_proto),
            environments: ready.iter().copied().map(environment_to_proto).collect(),
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

    /// Every member by id as this one knows it, itself among them even before there is a cluster.
    pub(crate) fn members(&self) -> Vec<Member> {
        let (listed, status) = (self.roster.members(), self.raft.status());
        let member = |(id, Listed { name, place, .. }): (&MemberId, &Listed)| {
            to_member(*id, name, place, votes(&status, *id))
        };
        let mut members: Vec<_> = listed.iter().map(member).collect();
        if !listed.contains_key(&self.identity.me) {
            let Identity { me, name, .. } = &*self.identity;
            members.push(to_member(*me, name, self.roster.own(), false));
        }
        members
    }

    /// Has the members scrub their states, or only this one.
    pub(crate) async fn scrub(&self, local: bool) -> Vec<StartedScrub> {
        let Identity { me, name, .. } = &*self.identity;
        let number = self.member.ask_for_scrub();
        let own = StartedScrub { member_id: me.0, name: name.clone(), number, problem: String::new() };
        if local {
            return vec![own];
        }
        let listed = self.roster.members();
        let others = listed.iter().filter(|(id, _)| *id != me);
        let mut started = join_all(others.map(|(id, member)| self.scrub_other(*id, member))).await;
        started.push(own);
        started.sort_by(|a, b| (&a.name, a.member_id).cmp(&(&b.name, b.member_id)));
        started
    }

    /// Has another member scrub its state; asks again for a while if it does not answer: that it
    /// scrubs twice does no harm.
    async fn scrub_other(&self, id: MemberId, member: &Listed) -> StartedScrub {
        let began = Instant::now();
        let (number, problem) = loop {
            match self.peers.scrub(id).await {
                Ok(number) => break (number, String::new()),
                Err(why) if began.elapsed() >= SCRUB_PATIENCE => {
                    break (0, format!("does not answer: {why}"));
                }
                Err(_) => tokio::time::sleep(SCRUB_PAUSE).await,
            }
        };
        StartedScrub { member_id: id.0, name: member.name.clone(), number, problem }
    }

    /// The status of every member, by name; of one that does not answer as that member, its place
    /// in the roster.
    pub(crate) async fn all(&self) -> Vec<MemberStatus> {
        let listed = self.roster.members();
        let status = self.raft.status();
        let ask = |(id, member): (&MemberId, &Listed)| {
            let (id, member, votes) = (*id, member.clone(), votes(&status, *id));
            async move {
                let answer = self.peers.status(id).await;
                answer.unwrap_or_else(|status| unreachable(id, &member, votes, &status))
            }
        };
        let others = listed.iter().filter(|(id, _)| **id != self.identity.me);
        let mut members = join_all(others.map(ask)).await;
        if listed.is_empty() {
            members.extend(join_all(self.roster.hints().map(|hint| self.ask_hinted(hint))).await);
        }
        members.push(self.own());
        members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        members
    }

    /// The status of whoever is at an address in `--peers`, while there is no cluster.
    async fn ask_hinted(&self, (name, peer_address): (&str, String)) -> MemberStatus {
        let problem = match self.peers.greet_at(&peer_address, self.greeter.request(None)).await {
            Ok(reply) if reply.name == name => "the cluster is not formed yet".to_owned(),
            Ok(reply) => format!("member `{}` is at {peer_address}: check --peers", reply.name),
            Err(status) => format!("does not answer at {peer_address}: {}", why(&status)),
        };
        MemberStatus { name: name.to_owned(), peer_address, problem, ..MemberStatus::default() }
    }
}

fn to_member(id: MemberId, name: &str, place: &Place, votes: bool) -> Member {
    Member {
        id: id.0,
        name: name.to_owned(),
        client_address: place.clients.first().cloned().unwrap_or_default(),
        peer_address: place.peer.clone(),
        votes,
    }
}

/// Whether a member has a vote that counts: that of one that joins does not yet.
fn votes(status: &Status, id: MemberId) -> bool {
    status.voters.contains_key(&id) && !status.joining.contains(&id)
}

/// An execution environment, as members tell it.
pub(crate) fn environment_to_proto(Environment { semantics, engine }: Environment) -> proto::Environment {
    proto::Environment { semantics, engine: engine.to_vec() }
}

fn scrub_to_proto(status: ScrubStatus) -> proto::ScrubStatus {
    let ScrubStatus { begun, ended, read, last } = status;
    let ScrubReport { index, ended_ms, confirmed_by, finding } = last.unwrap_or_default();
    proto::ScrubStatus {
        begun,
        ended,
        rows: read.rows,
        bytes: read.bytes,
        index,
        ended_ms,
        confirmed_by,
        finding: finding.unwrap_or_default(),
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

fn unreachable(id: MemberId, member: &Listed, votes: bool, status: &tonic::Status) -> MemberStatus {
    let role = if votes { Role::Unspecified } else { Role::Learner };
    MemberStatus {
        role: role.into(),
        id: id.0,
        name: member.name.clone(),
        client_address: member.place.clients.first().cloned().unwrap_or_default(),
        peer_address: member.place.peer.clone(),
        problem: format!("does not answer: {}", why(status)),
        ..MemberStatus::default()
    }
}
