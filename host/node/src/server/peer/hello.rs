//! How members introduce themselves: before a cluster is formed, when one starts, and when one has
//! moved.
//!
//! What a greeting says of a member's address is believed of a member only, and only by its id; the
//! leader has it committed.
use std::sync::Arc;

use synod_abi::{ClusterId, MemberId};
use synod_api::peer::{HelloReply, HelloRequest};

use crate::server::net::identity::Identity;
use crate::server::net::roster::{Place, Roster};
use crate::server::ports::NodeRaft;

/// Introduces this member to the others, and them to it.
pub(crate) struct Greeter {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Who the members are, and where.
    pub(crate) roster: Arc<Roster>,
    /// Its consensus.
    pub(crate) raft: NodeRaft,
}

impl Greeter {
    /// The greeting of `to`, or of whoever is at an address.
    pub(crate) fn request(&self, to: Option<MemberId>) -> HelloRequest {
        HelloRequest {
            route: Some(self.identity.route(to.unwrap_or(MemberId(0)))),
            name: self.identity.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peers: self.roster.lines(),
            place: Some(self.roster.own().into()),
        }
    }

    /// The answer to `request` of `from`.
    pub(crate) fn reply(&self, from: MemberId, request: &HelloRequest) -> HelloReply {
        let status = self.raft.status();
        let leader = self.raft.term_state().leader;
        let leader_address = leader.and_then(|leader| match leader == self.roster.me() {
            true => Some(self.roster.own().peer.clone()),
            false => {
                let committed = status.voters.get(&leader).map(|info| info.peer_address.as_str());
                self.roster.address(leader, committed)
            }
        });
        let namesake = status.voters.iter().find(|(id, info)| info.name == request.name && **id != from);
        HelloReply {
            route: Some(self.identity.route(from)),
            name: self.identity.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peers: self.roster.lines(),
            place: Some(self.roster.own().into()),
            members_at: status.members_at,
            knows_sender: status.voters.contains_key(&from) || status.learners.contains_key(&from),
            namesake_id: namesake.map_or(0, |(id, _)| id.0),
            leader_id: leader.map_or(0, |leader| leader.0),
            leader_address: leader_address.unwrap_or_default(),
        }
    }

    /// Remembers where a member of this cluster says that it is.
    pub(crate) fn greeted_by(&self, from: MemberId, cluster: Option<ClusterId>, request: &HelloRequest) {
        let is_ours = cluster.is_some() && cluster == self.identity.cluster();
        let Some(place) = request.place.clone().filter(|_| is_ours) else { return };
        if self.roster.get(from).is_some() {
            self.roster.heard(from, Place::from(place));
        }
    }
}
