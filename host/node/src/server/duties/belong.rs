//! What a member of a cluster tells the others when it starts, has moved, or hears no leader: who
//! it is and where.
//!
//! It is stopped by no single word of another: only if everybody in `--peers` is of another
//! cluster, or a majority of its cluster says that another member has its place.
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use synod_abi::MemberId;
use synod_api::peer::HelloReply;
use tonic::{Code, Status};

use crate::server::net::peers::{Peers, is_stranger, why};
use crate::server::net::roster::Roster;
use crate::server::peer::hello::Greeter;
use crate::server::ports::NodeRaft;
use crate::settings::StartError;

/// How often it is looked whether the others have to be told.
const EVERY: Duration = Duration::from_millis(500);
/// How often an address is asked who is there, if connections break,
const ASKS: usize = 3;
/// after what pause,
const ASK_PAUSE: Duration = Duration::from_millis(100);
/// and how soon they do: a request that is given up is cancelled, too.
const BREAKS_WITHIN: Duration = Duration::from_millis(300);

/// Keeps a member known to the others.
pub(crate) struct Belonging {
    /// Who the members are, and where.
    pub(crate) roster: Arc<Roster>,
    /// The connections to them.
    pub(crate) peers: Peers,
    /// Introduces this member to them.
    pub(crate) greeter: Arc<Greeter>,
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
}

impl Belonging {
    /// Runs until the member may not go on.
    ///
    /// # Errors
    /// [`StartError::Usage`].
    pub(crate) async fn run(&self) -> Result<Infallible, StartError> {
        self.check_hinted().await?;
        let mut told = BTreeSet::new();
        let mut replaced = BTreeSet::new();
        loop {
            self.tell(&mut told, &mut replaced).await?;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Asks whoever is at the addresses in `--peers`. Some may be wrong or out of date, which is
    /// logged; but if everybody there is of another cluster, this member's folder is.
    async fn check_hinted(&self) -> Result<(), StartError> {
        let greet = |(name, address): (&str, String)| {
            let name = name.to_owned();
            async move {
                let answer = self.ask_at(&address).await;
                say_mistaken(&name, &address, &answer);
                answer
            }
        };
        let answers = join_all(self.roster.hints().map(greet)).await;
        let refusals: Vec<_> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .filter(|status| status.code() == Code::FailedPrecondition)
            .collect();
        match refusals.first() {
            Some(first) if refusals.len() == answers.len() => Err(StartError::Usage(format!(
                "every other member in --peers refuses this one: {}",
                first.message()
            ))),
            Some(first) => {
                tracing::error!(refusal = first.message(), "a member in --peers refuses this one");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Greets whoever is at an address, again if the connection ended before the request was on its
    /// way: then hyper does not tell what was said there, as of one in twelve web servers.
    async fn ask_at(&self, address: &str) -> Result<HelloReply, Status> {
        let mut asked = 1;
        loop {
            let began = Instant::now();
            let answer = self.peers.greet_at(address, self.greeter.request(None)).await;
            let is_broken = |status: &Status| status.code() == Code::Cancelled && status.source().is_some();
            if asked == ASKS || began.elapsed() > BREAKS_WITHIN || !answer.as_ref().is_err_and(is_broken) {
                return answer;
            }
            asked += 1;
            tokio::time::sleep(ASK_PAUSE).await;
        }
    }

    /// Greets those that have to be told, and counts who says that this member was replaced.
    async fn tell(
        &self,
        told: &mut BTreeSet<MemberId>,
        replaced: &mut BTreeSet<MemberId>,
    ) -> Result<(), StartError> {
        let members = self.roster.members();
        let me = self.roster.me();
        let leader = self.raft.term_state().leader;
        let is_committed = members.get(&me).is_some_and(|member| member.place == *self.roster.own());
        let has_to_be_told =
            |id: &MemberId| leader.is_none() || !told.contains(id) || (leader == Some(*id) && !is_committed);
        let others: Vec<MemberId> =
            members.keys().copied().filter(|id| *id != me && has_to_be_told(id)).collect();
        let greet =
            |id: MemberId| async move { (id, self.peers.greet(id, self.greeter.request(Some(id))).await) };
        for (id, answer) in join_all(others.into_iter().map(greet)).await {
            let Ok(reply) = answer else { continue };
            told.insert(id);
            if self.says_replaced(&reply) {
                replaced.insert(id);
            } else {
                replaced.remove(&id);
            }
        }
        let voters = members.values().filter(|member| member.votes).count();
        if voters > 0 && replaced.len() > voters / 2 {
            return Err(StartError::Usage(format!(
                "a majority of the cluster says that this member, with the id {me}, was replaced: its id \
                    never comes back. Move its folder away"
            )));
        }
        Ok(())
    }

    /// Whether a member that knows of later members than this one does not know it.
    fn says_replaced(&self, reply: &HelloReply) -> bool {
        !reply.knows_sender && reply.members_at > self.raft.status().members_at
    }
}

/// Logs that an address in `--peers` is not that of the member of this name. One at which nobody
/// answers may be right.
fn say_mistaken(name: &str, address: &str, answer: &Result<HelloReply, Status>) {
    match answer {
        Ok(reply) if reply.name != name => {
            let found = reply.name.as_str();
            tracing::warn!(name, address, found, "another member is at an address in --peers: check it");
        }
        Err(status) if is_stranger(status) => {
            let problem = why(status);
            tracing::warn!(name, address, problem, "no member is at an address in --peers: check it");
        }
        Ok(_) | Err(_) => {}
    }
}
