//! Forming a cluster out of empty folders, once; and returning to a formed one with an empty
//! folder.
//!
//! A cluster is formed only when every member has answered that it knows of none: if one had been
//! formed before, a member would report it. Several members may form it at the same time, because
//! they all use the same list.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use synod_api::peer::HelloReply;
use synod_consensus::{InitializeError, MemberInfo};
use tonic::{Code, Status};

use crate::server::net::peers::Peers;
use crate::server::net::roster::Roster;
use crate::server::peer::hello::Greeter;
use crate::server::peer::participation::Participation;
use crate::server::ports::NodeRaft;
use crate::settings::StartError;

/// How often the others are asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Rounds between two log lines about members that have not answered.
const ROUNDS_PER_LINE: u32 = 50;

/// Forms a cluster with the other members, or finds it again.
pub(crate) struct Former {
    /// The members.
    pub(crate) roster: Arc<Roster>,
    /// The connections to them.
    pub(crate) peers: Peers,
    /// Introduces this member to them.
    pub(crate) greeter: Arc<Greeter>,
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
    /// What this member takes part in; grows as the cluster is formed or joined.
    pub(crate) participation: Arc<Participation>,
}

impl Former {
    /// Forms the cluster, or joins the one that there is. Returns when this member may vote.
    ///
    /// # Errors
    /// [`StartError::Usage`] if the members were started with different lists, or are of different
    /// clusters.
    pub(crate) async fn run(&self) -> Result<(), StartError> {
        for round in 0.. {
            let replies = self.ask_all().await?;
            let answered = replies.iter().flatten().count();
            if replies.iter().flatten().any(|reply| reply.formed) {
                tracing::info!(
                    "the cluster is formed already: this member has an empty folder and gets everything \
                        from the leader"
                );
                return self.catch_up().await;
            }
            if answered + 1 == self.roster.len() {
                return self.form().await;
            }
            if round % ROUNDS_PER_LINE == ROUNDS_PER_LINE - 1 {
                let missing = self.missing(&replies);
                tracing::info!(missing, "waiting for every member before the cluster is formed");
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// For a member that has its data: makes sure that the others are of its cluster. Returns when
    /// one of them has confirmed it.
    ///
    /// # Errors
    /// [`StartError::Usage`] if another member refuses it: its folder is of another cluster, or it
    /// was started in its place.
    pub(crate) async fn check(&self) -> Result<(), StartError> {
        while self.roster.len() > 1 {
            let replies = self.greet_all().await;
            for ((_, peer), reply) in self.roster.others().zip(replies) {
                match reply {
                    Ok(_) => return Ok(()),
                    Err(status) if status.code() == Code::FailedPrecondition => {
                        return Err(refused(&peer.name, &status));
                    }
                    Err(_) => {}
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// The replies of the others to an introduction, in the order of the roster.
    async fn greet_all(&self) -> Vec<Result<HelloReply, Status>> {
        let greet = |(id, _)| self.peers.hello(id, self.greeter.request(id));
        join_all(self.roster.others().map(greet)).await
    }

    /// The names of the members without a reply.
    fn missing(&self, replies: &[Option<HelloReply>]) -> String {
        let silent = self.roster.others().zip(replies).filter(|(_, reply)| reply.is_none());
        let names: Vec<_> = silent.map(|((_, peer), _)| peer.name.as_str()).collect();
        names.join(", ")
    }

    async fn ask_all(&self) -> Result<Vec<Option<HelloReply>>, StartError> {
        let replies = self.greet_all().await;
        self.roster
            .others()
            .zip(replies)
            .map(|((_, peer), reply)| self.understood(&peer.name, reply))
            .collect()
    }

    fn understood(
        &self,
        name: &str,
        reply: Result<HelloReply, Status>,
    ) -> Result<Option<HelloReply>, StartError> {
        match reply {
            Ok(reply) if reply.peers != self.roster.lines() => Err(StartError::Usage(format!(
                "member `{name}` was started with --peers {}, this one with --peers {}: every member needs \
                    the same list",
                reply.peers.join(","),
                self.roster.lines().join(",")
            ))),
            Ok(reply) => Ok(Some(reply)),
            Err(status) if status.code() == Code::FailedPrecondition => Err(refused(name, &status)),
            Err(_) => Ok(None),
        }
    }

    async fn form(&self) -> Result<(), StartError> {
        self.participation.allow_everything();
        let members: BTreeMap<_, _> = self
            .roster
            .all()
            .map(|(id, peer)| {
                (id, MemberInfo { name: peer.name.clone(), peer_address: peer.peer.to_string() })
            })
            .collect();
        match self.raft.initialize(members).await {
            Ok(()) => tracing::info!(members = self.roster.len(), "formed the cluster"),
            Err(InitializeError::AlreadyFormed) => {}
            Err(error) => return Err(StartError::Fatal(error.to_string())),
        }
        Ok(())
    }

    /// Has the leader replicate from the start to this member, and waits until this member has what
    /// a majority had at some moment after that.
    ///
    /// Entries are taken only once the leader itself has answered: a leader that does not know that
    /// this member lost acknowledged entries would take its answers for corruption.
    async fn catch_up(&self) -> Result<(), StartError> {
        loop {
            let replies = self.ask_all().await?;
            if replies.iter().flatten().any(is_of_the_leader) {
                self.participation.allow_entries();
            }
            let leader = self.raft.term_state().leader.filter(|leader| *leader != self.roster.me());
            if let Some(leader) = leader
                && let Ok(index) = self.peers.read_index(leader).await
                && let Ok(reached) = tokio::time::timeout(ASK_EVERY * 10, self.raft.wait_applied(index)).await
            {
                reached.map_err(|error| StartError::Fatal(error.to_string()))?;
                self.participation.allow_everything();
                tracing::info!(index, "caught up with the cluster");
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

fn is_of_the_leader(reply: &HelloReply) -> bool {
    reply.route.as_ref().is_some_and(|route| route.from == reply.leader_id)
}

fn refused(name: &str, status: &Status) -> StartError {
    StartError::Usage(format!("member `{name}` refuses this one: {}", status.message()))
}
