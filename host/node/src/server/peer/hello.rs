//! How members introduce themselves: before a cluster is formed, and when one returns with an empty
//! folder.
use std::sync::Arc;

use synod_abi::MemberId;
use synod_api::peer::{HelloReply, HelloRequest};
use synod_consensus::Role;

use super::participation::Participation;
use crate::server::net::identity::Identity;
use crate::server::net::roster::Roster;
use crate::server::ports::NodeRaft;

/// Introduces this member to the others, and them to it.
pub(crate) struct Greeter {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Who the members are, as its options say.
    pub(crate) roster: Arc<Roster>,
    /// Its consensus.
    pub(crate) raft: NodeRaft,
    /// What it may take part in.
    pub(crate) participation: Arc<Participation>,
    /// Where its clients connect.
    pub(crate) client_address: String,
}

impl Greeter {
    /// The question to `to`.
    pub(crate) fn request(&self, to: MemberId) -> HelloRequest {
        HelloRequest {
            route: Some(self.identity.route(to)),
            name: self.identity.name.clone(),
            empty_folder: !self.participation.is_full(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peers: self.roster.lines(),
        }
    }

    /// The answer to `to`.
    pub(crate) fn reply(&self, to: MemberId) -> HelloReply {
        let status = self.raft.status();
        let term = self.raft.term_state();
        HelloReply {
            route: Some(self.identity.route(to)),
            name: self.identity.name.clone(),
            formed: self.identity.cluster().is_some(),
            empty_folder: !self.participation.is_full(),
            term: term.term,
            leader_id: term.leader.map_or(0, |leader| leader.0),
            last_log_index: status.last_log_index.unwrap_or_default(),
            applied_index: status.applied.map_or(0, |entry| entry.index),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peers: self.roster.lines(),
            client_address: self.client_address.clone(),
        }
    }

    /// Handles the introduction of another member: a leader replicates from the start to a follower
    /// with an empty folder.
    pub(crate) async fn greeted_by(&self, from: MemberId, request: &HelloRequest) {
        let leads = matches!(self.raft.term_state().role, Role::Leader { .. });
        if !(request.empty_folder && leads) {
            return;
        }
        let member = &request.name;
        match self.raft.allow_next_revert(from).await {
            Ok(()) => {
                tracing::info!(member, "a member came with an empty folder and gets everything anew");
            }
            Err(error) => tracing::warn!(member, %error, "a member with an empty folder cannot be served"),
        }
    }
}
