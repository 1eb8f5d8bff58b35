//! The members that this one was started with: their ids, names and addresses.
//!
//! A member's id is its place in the list sorted by name, from 1. The list is fixed when the
//! cluster is formed, and members compare their lists before that, so all agree.
use std::collections::BTreeMap;

use synod_abi::MemberId;

use crate::settings::{PeerSpec, ServerOptions};

/// Every member, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roster {
    members: BTreeMap<MemberId, PeerSpec>,
    me: MemberId,
}

impl Roster {
    /// The roster of `options`.
    ///
    /// # Errors
    /// The problem with the list, for people.
    pub(crate) fn new(options: &ServerOptions) -> Result<Self, String> {
        let mut peers = options.peers.clone();
        if peers.is_empty() {
            let peer = options.peer_addr.clone().unwrap_or_else(|| options.client_addr.clone());
            peers.push(PeerSpec { name: options.name.clone(), peer, client: None });
        }
        peers.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = peers.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(format!("--peers names `{}` twice", pair[0].name));
        }
        let members: BTreeMap<_, _> = (1..).map(MemberId).zip(peers).collect();
        let me = members.iter().find(|(_, peer)| peer.name == options.name).map(|(id, _)| *id);
        let me = me.ok_or_else(|| {
            format!(
                "--peers does not name this member, `{}`; it lists every member, this one too",
                options.name
            )
        })?;
        Ok(Self { members, me })
    }

    /// This member.
    pub(crate) fn me(&self) -> MemberId {
        self.me
    }

    /// A member.
    pub(crate) fn get(&self, id: MemberId) -> Option<&PeerSpec> {
        self.members.get(&id)
    }

    /// Every member, by id.
    pub(crate) fn all(&self) -> impl Iterator<Item = (MemberId, &PeerSpec)> {
        self.members.iter().map(|(id, peer)| (*id, peer))
    }

    /// Every member but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = (MemberId, &PeerSpec)> {
        self.all().filter(|(id, _)| *id != self.me)
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The list as members compare it: `name=host:port`, sorted by name.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.members.values().map(|peer| format!("{}={}", peer.name, peer.peer)).collect()
    }
}
