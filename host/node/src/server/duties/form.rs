//! Forming a cluster out of empty folders, once; and coming back into a formed one with an empty
//! folder.
//!
//! A cluster is formed only when every member answered that it knows of none: had one been formed
//! before, somebody would say so. Several members may form it at the same time, because they do it
//! with the same list.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use synod_api::peer::HelloReply;
use synod_consensus::{InitializeError, Member};
use tonic::{Code, Status};

use super::hello::Greeter;
use super::member::NodeRaft;
use super::peers::Peers;
use super::roster::Roster;
use super::standing::Standing;
use crate::settings::StartError;

/// How often the others are asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Rounds between two words to the operator about who is waited for.
const ROUNDS_PER_LINE: u32 = 50;

/// What a member with an empty folder needs to become a member of a cluster.
pub(crate) struct Former {
    /// The members.
    pub(crate) roster: Arc<Roster>,
    /// The way to them.
    pub(crate) peers: Peers,
    /// How they are spoken to.
    pub(crate) greeter: Arc<Greeter>,
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
    /// What this member takes part in; grows as it is formed or joined.
    pub(crate) standing: Arc<Standing>,
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
                    "the cluster is formed already: this member has an empty folder and gets everything from the leader"
                );
                return self.catch_up().await;
            }
            if answered + 1 == self.roster.len() {
                return self.form().await;
            }
            if round % ROUNDS_PER_LINE == ROUNDS_PER_LINE - 1 {
                let missing: Vec<_> = self
                    .roster
                    .others()
                    .zip(&replies)
                    .filter(|(_, reply)| reply.is_none())
                    .map(|((_, peer), _)| peer.name.as_str())
                    .collect();
                tracing::info!(
                    missing = missing.join(", "),
                    "waiting for every member before the cluster is formed"
                );
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// For a member that remembers: makes sure that the others are of its cluster. Returns when one
    /// of them says so.
    ///
    /// # Errors
    /// [`StartError::Usage`] if another member refuses it: its folder is of another cluster, or it
    /// was started in its place.
    pub(crate) async fn check(&self) -> Result<(), StartError> {
        while self.roster.len() > 1 {
            let replies =
                join_all(self.roster.others().map(|(id, _)| self.peers.hello(id, self.greeter.request(id))))
                    .await;
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

    async fn ask_all(&self) -> Result<Vec<Option<HelloReply>>, StartError> {
        let replies =
            join_all(self.roster.others().map(|(id, _)| self.peers.hello(id, self.greeter.request(id))))
                .await;
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
        self.standing.allow_everything();
        let members: BTreeMap<_, _> = self
            .roster
            .all()
            .map(|(id, peer)| (id, Member { name: peer.name.clone(), peer_address: peer.peer.to_string() }))
            .collect();
        match self.raft.initialize(members).await {
            Ok(()) => tracing::info!(members = self.roster.len(), "formed the cluster"),
            Err(InitializeError::AlreadyFormed) => {}
            Err(error) => return Err(StartError::Fatal(error.to_string())),
        }
        Ok(())
    }

    /// Has the leader begin anew with this member, and waits until it has what a majority had at
    /// some moment after that.
    ///
    /// Entries are taken only once the leader itself has answered: one that did not know that this
    /// member forgot what it acknowledged would take its answers for corruption.
    async fn catch_up(&self) -> Result<(), StartError> {
        loop {
            let replies = self.ask_all().await?;
            if replies
                .iter()
                .flatten()
                .any(|reply| reply.route.as_ref().is_some_and(|route| route.from == reply.leader_id))
            {
                self.standing.allow_entries();
            }
            let leader = self.raft.leadership().current().leader.filter(|leader| *leader != self.roster.me());
            if let Some(leader) = leader
                && let Ok(index) = self.peers.read_index(leader).await
                && let Ok(reached) = tokio::time::timeout(ASK_EVERY * 10, self.raft.wait_applied(index)).await
            {
                reached.map_err(|error| StartError::Fatal(error.to_string()))?;
                self.standing.allow_everything();
                tracing::info!(index, "caught up with the cluster");
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

fn refused(name: &str, status: &Status) -> StartError {
    StartError::Usage(format!("member `{name}` refuses this one: {}", status.message()))
}
