//! How a member with an empty folder comes to its cluster: by forming it with others, or in place
//! of a lost member of one that was formed before.
//!
//! Exactly one member forms: the first of the sorted list. It collects everybody's id, draws the
//! cluster's id, has each of the others promise itself to both, and only then initializes the
//! consensus; the others get the first entry by replication. Each step is on disk before the next,
//! so that after a crash everybody goes on where it was. Once it belongs to a cluster, `belong`
//! takes over.
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use synod_abi::{ClusterId, MemberId};
use synod_api::peer::HelloReply;
use synod_consensus::InitializeError;
use synod_storage::{IdentityFile, Joined, StorageError};
use tonic::{Code, Status};

use super::greeted::{Greeted, Missing, members_of, refusal, same_lists};
use crate::server::net::identity::Identity;
use crate::server::net::peers::Peers;
use crate::server::net::roster::{Place, Roster};
use crate::server::peer::hello::Greeter;
use crate::server::peer::promise::two_lists;
use crate::server::ports::NodeRaft;
use crate::settings::{KillPoint, StartError};

/// How often the others are asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How often a member in place of a lost one asks for the log until it gets it.
const REPLACE_EVERY: Duration = Duration::from_millis(500);

/// Brings a member to its cluster.
pub(crate) struct Former {
    /// Who the members are, and where.
    pub(crate) roster: Arc<Roster>,
    /// The connections to them.
    pub(crate) peers: Peers,
    /// Introduces this member to them.
    pub(crate) greeter: Arc<Greeter>,
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
    /// Whose folder it is.
    pub(crate) file: Arc<IdentityFile>,
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Whether it stands in for a lost member, if its folder is empty.
    pub(crate) replace_lost: bool,
    /// For tests.
    pub(crate) crash_at: KillPoint,
}

impl Former {
    /// Forms the cluster, or joins the one that there is. Returns when this member has a vote
    /// in it.
    ///
    /// # Errors
    /// [`StartError::Usage`] if the members were started with different lists or belong to
    /// different clusters, or if there is a cluster and nobody said that a member of it is lost.
    pub(crate) async fn run(&self) -> Result<(), StartError> {
        let mut missing = Missing::new();
        loop {
            let status = self.raft.status();
            if status.voters.contains_key(&self.identity.me) {
                return Ok(());
            }
            let wait = match self.file.present().cluster {
                None => self.find_cluster(&mut missing).await?,
                Some((_, Joined::Formed(list))) => self.form(&list, &mut missing).await?,
                Some((_, Joined::Replacing(lost))) => self.replace(lost).await?,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether this member stands in for a lost one, as far as its folder says.
    pub(crate) fn is_replacing(&self) -> bool {
        matches!(self.file.present().cluster, Some((_, Joined::Replacing(_))))
    }

    /// Of a member that belongs to none: looks for a cluster, or has one formed.
    async fn find_cluster(&self, missing: &mut Missing) -> Result<Duration, StartError> {
        let greeted = self.greet_hinted().await?;
        if self.file.present().cluster.is_some() {
            // Promised meanwhile: a cluster that has answered may be the one of the promise.
            return Ok(Duration::ZERO);
        }
        let formed: Vec<_> = greeted.replies().filter(|reply| reply.members_at.is_some()).collect();
        if !formed.is_empty() {
            self.stand_in(&formed).await?;
            return Ok(Duration::ZERO);
        }
        missing.say(&greeted);
        if !self.roster.is_founder() || self.replace_lost || !greeted.is_complete() {
            return Ok(ASK_EVERY);
        }
        if let Some(reply) = greeted.replies().find(|reply| cluster_of(reply).is_some()) {
            return Err(StartError::Usage(format!(
                "member `{}` is promised to a cluster that this one was to form, and this one's folder is \
                    empty: nothing was stored yet, so stop all members, move their folders away, and start \
                    them with empty ones",
                reply.name
            )));
        }
        self.join(random_cluster(), Joined::Formed(self.roster.lines())).await?;
        self.crash_at.reach("founder_promised");
        Ok(Duration::ZERO)
    }

    /// Of a member that is promised to a cluster of `list`: forms it, if it is the first of them.
    async fn form(&self, list: &[String], missing: &mut Missing) -> Result<Duration, StartError> {
        let is_alone = list.len() == 1 && self.roster.hints().next().is_none();
        if list != self.roster.lines() && !is_alone {
            if Greeted::lenient(self.ask_hinted().await).replies().any(|reply| reply.knows_sender) {
                return Ok(ASK_EVERY);
            }
            return Err(StartError::Usage(format!(
                "this member is promised to a cluster that is not formed yet; {}",
                two_lists(list, &self.roster.lines())
            )));
        }
        if !self.roster.is_founder() {
            return Ok(ASK_EVERY);
        }
        let greeted = self.greet_hinted().await?;
        missing.say(&greeted);
        if !greeted.is_complete() {
            return Ok(ASK_EVERY);
        }
        let members = members_of(&self.roster, &self.identity, &greeted)?;
        for (id, info) in members.iter().filter(|(id, _)| **id != self.identity.me) {
            match self.peers.promise(*id, list.to_vec()).await {
                Ok(()) => {}
                Err(status) if status.code() == Code::FailedPrecondition => {
                    return Err(refusal(&info.name, &status));
                }
                Err(_) => return Ok(ASK_EVERY),
            }
        }
        self.crash_at.reach("all_promised");
        let count = members.len();
        match self.raft.initialize(members).await {
            Ok(()) => tracing::info!(members = count, "formed the cluster"),
            Err(InitializeError::AlreadyFormed) => {}
            Err(error) => return Err(StartError::fatal(error)),
        }
        self.crash_at.reach("initialized");
        Ok(Duration::ZERO)
    }

    /// Of a member with an empty folder that meets a cluster: it joins in place of a lost member,
    /// if it was told so.
    async fn stand_in(&self, formed: &[&HelloReply]) -> Result<(), StartError> {
        let newest = formed.iter().max_by_key(|reply| reply.members_at).expect("there is one");
        let cluster = cluster_of(newest).ok_or_else(|| StartError::fatal("a formed cluster has an id"))?;
        let name = &self.identity.name;
        if let Some(other) = formed.iter().find(|reply| cluster_of(reply) != Some(cluster)) {
            return Err(StartError::Usage(format!(
                "members `{}` and `{}` are of different clusters: check --peers",
                newest.name, other.name
            )));
        }
        if newest.namesake_id == 0 {
            return Err(StartError::Usage(format!(
                "cluster {cluster} is formed already, and has no member `{name}`: check --name and --peers"
            )));
        }
        if !self.replace_lost {
            return Err(StartError::Usage(format!(
                "cluster {cluster} is formed already, and its member `{name}` has the id {}, which this \
                    folder has not: it is empty. Name the member's folder with --data; if its data is lost, \
                    start it once with --replace-lost, and the others give it everything",
                newest.namesake_id
            )));
        }
        self.join(cluster, Joined::Replacing(MemberId(newest.namesake_id))).await?;
        self.crash_at.reach("replacing");
        tracing::info!(%cluster, lost = newest.namesake_id, "this member stands in for a lost one");
        Ok(())
    }

    /// Of a member in place of a lost one: asks the leader for the log until it has its vote. That
    /// its own log names it is no reason to wait: the entry may be one of a leader that was deposed
    /// before a majority had it, and then nobody sends anything any more.
    async fn replace(&self, lost: MemberId) -> Result<Duration, StartError> {
        let is_named = self.raft.status().learners.contains_key(&self.identity.me);
        let greeted = self.greet_hinted().await?;
        let leads =
            |reply: &&HelloReply| ![0, lost.0].contains(&reply.leader_id) && !reply.leader_address.is_empty();
        let leader = greeted.replies().find(leads);
        let Some(leader) = leader else { return Ok(ASK_EVERY) };
        let id = MemberId(leader.leader_id);
        self.roster.heard(id, Place { peer: leader.leader_address.clone(), clients: Vec::new() });
        match self.peers.replace(id, lost).await {
            Ok(_) if is_named => {}
            Ok(_) => tracing::info!("this member gets everything from the leader"),
            Err(status) if status.code() == Code::Aborted => {
                return Err(refusal("that leads", &status));
            }
            Err(status) => tracing::debug!(error = status.message(), "the leader does not take it in yet"),
        }
        Ok(REPLACE_EVERY)
    }

    /// Greets the others in the list, wherever they are said to be.
    async fn ask_hinted(&self) -> Vec<(String, Result<HelloReply, Status>)> {
        let greet = |(name, address): (&str, String)| {
            let name = name.to_owned();
            async move { (name, self.peers.greet_at(&address, self.greeter.request(None)).await) }
        };
        join_all(self.roster.hints().map(greet)).await
    }

    /// The same, checked: a refusal, another list or another member is an error, but of a member
    /// that stands in for a lost one.
    async fn greet_hinted(&self) -> Result<Greeted, StartError> {
        let answers = self.ask_hinted().await;
        if self.is_replacing() {
            return Ok(Greeted::lenient(answers));
        }
        let greeted = Greeted::of(answers)?;
        let is_forming = greeted.replies().all(|reply| reply.members_at.is_none());
        if is_forming {
            same_lists(&self.roster.lines(), &greeted)?;
        }
        for reply in greeted.replies() {
            if let (Some(id), Some(place)) = (id_of(reply), reply.place.clone()) {
                self.roster.heard(id, Place::from(place));
            }
        }
        Ok(greeted)
    }

    async fn join(&self, cluster: ClusterId, joined: Joined) -> Result<(), StartError> {
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.join(cluster, joined)).await;
        written.map_err(StartError::fatal)?.map_err(|error| match error {
            StorageError::Unusable(why) => StartError::Usage(why),
            error @ StorageError::Full { .. } => StartError::Unavailable(error.to_string()),
            error => StartError::fatal(error),
        })?;
        self.identity.joined(cluster);
        Ok(())
    }
}

/// The member that answered.
pub(super) fn id_of(reply: &HelloReply) -> Option<MemberId> {
    reply.route.as_ref().map(|route| MemberId(route.from)).filter(|id| id.0 != 0)
}

/// The cluster that it is promised to.
fn cluster_of(reply: &HelloReply) -> Option<ClusterId> {
    let route = reply.route.as_ref()?;
    route.cluster_id[..].try_into().ok().map(ClusterId)
}

fn random_cluster() -> ClusterId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    ClusterId(bytes)
}
