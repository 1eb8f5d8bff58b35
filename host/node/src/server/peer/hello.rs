//! How members introduce themselves: before a cluster is formed, and when one comes back with an
//! empty folder.
use std::sync::Arc;

use synod_abi::MemberId;
use synod_api::peer::{HelloReply, HelloRequest};
use synod_consensus::Role;

use super::identity::Identity;
use super::member::NodeRaft;
use super::roster::Roster;
use super::standing::Standing;

/// Says who this member is, and listens to who others are.
pub(crate) struct Greeter {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Who it was told the members are.
    pub(crate) roster: Arc<Roster>,
    /// Its consensus.
    pub(crate) raft: NodeRaft,
    /// Whether it has what an empty folder has to get first.
    pub(crate) standing: Arc<Standing>,
    /// Where its clients connect.
    pub(crate) client_address: String,
}

impl Greeter {
    /// The question to `to`.
    pub(crate) fn request(&self, to: MemberId) -> HelloRequest {
        HelloRequest {
            route: Some(self.identity.route(to)),
            name: self.identity.name.clone(),
            empty_folder: !self.standing.is_full(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peers: self.roster.lines(),
        }
    }

    /// The answer to `to`.
    pub(crate) fn reply(&self, to: MemberId) -> HelloReply {
        let (status, leadership) = (self.raft.status(), self.raft.leadership().current());
        HelloReply {
            route: Some(self.identity.route(to)),
            name: self.identity.name.clone(),
            formed: self.identity.cluster().is_some(),
            empty_folder: !self.standing.is_full(),
            term: leadership.term,
            leader_id: leadership.leader.map_or(0, |leader| leader.0),
            last_log_index: status.last_log_index.unwrap_or_default(),
            applied_index: status.applied.map_or(0, |entry| entry.index),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peers: self.roster.lines(),
            client_address: self.client_address.clone(),
        }
    }

    /// Takes note of a question: a leader that is told that a follower lost its folder starts over
    /// with it.
    pub(crate) async fn greeted_by(&self, from: MemberId, request: &HelloRequest) {
        let leads = matches!(self.raft.leadership().current().role, Role::Leader { .. });
        if !(request.empty_folder && leads) {
            return;
        }
        match self.raft.allow_next_revert(from).await {
            Ok(()) => tracing::info!(
                member = request.name,
                "a member came with an empty folder and gets everything anew"
            ),
            Err(error) => {
                tracing::warn!(member = request.name, %error, "a member with an empty folder cannot be served")
            }
        }
    }
}
