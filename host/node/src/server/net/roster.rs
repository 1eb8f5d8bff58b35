//! Who the members are, and where: as the cluster committed it, as they said themselves, and as
//! `--peers` hints.
//!
//! Committed membership alone says who is a member. Of one member several addresses may be known,
//! when it has moved, or all have: they are tried in turn, until one answers as that member.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use synod_abi::MemberId;
use synod_api::peer;

use crate::settings::{PeerSpec, ServerOptions};

/// An address at which a member answered so lately is not left because of one failure.
const TRUSTED: Duration = Duration::from_millis(1_000);
/// Members whose own words are remembered: those of a large cluster, and of one that forms.
const HEARD: usize = 64;

/// Where a member is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its address for other members.
    pub(crate) peer: String,
    /// Its addresses for clients.
    pub(crate) clients: Vec<String>,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) place: Place,
    /// Whether it has a vote.
    pub(crate) votes: bool,
}

/// The members, by id, and what is known of their addresses.
#[derive(Debug)]
pub(crate) struct Roster {
    me: MemberId,
    name: String,
    own: Place,
    hints: Vec<PeerSpec>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    members: Arc<BTreeMap<MemberId, Listed>>,
    heard: BTreeMap<MemberId, Place>,
    turns: BTreeMap<MemberId, Turn>,
}

/// Which of a member's addresses is in use.
#[derive(Debug, Default)]
struct Turn {
    at: usize,
    answered: Option<Instant>,
}

impl Roster {
    /// The roster of member `me` before it knows of any other; `client_address` is where its
    /// clients connect.
    pub(crate) fn new(options: &ServerOptions, me: MemberId, client_address: &str) -> Self {
        let mut hints = options.peers.clone();
        if hints.is_empty() {
            let peer = options.peer_addr.clone().unwrap_or_else(|| options.client_addr.clone());
            hints.push(PeerSpec { name: options.name.clone(), peer, client: None });
        }
        hints.sort_by(|a, b| a.name.cmp(&b.name));
        let own = hints.iter().find(|hint| hint.name == options.name);
        let own = own.map(|hint| hint.peer.to_string()).unwrap_or_default();
        let own = Place { peer: own, clients: vec![client_address.to_owned()] };
        Self { me, name: options.name.clone(), own, hints, known: Mutex::default() }
    }

    /// This member.
    pub(crate) fn me(&self) -> MemberId {
        self.me
    }

    /// Where this member is.
    pub(crate) fn own(&self) -> &Place {
        &self.own
    }

    /// The list that this member was started with, as members compare it: `name=host:port`, sorted
    /// by name.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.hints.iter().map(|hint| format!("{}={}", hint.name, hint.peer)).collect()
    }

    /// Whether this member is the one that forms a cluster of that list: its first.
    pub(crate) fn is_founder(&self) -> bool {
        self.hints.first().is_some_and(|first| first.name == self.name)
    }

    /// Names and addresses of the others in that list.
    pub(crate) fn hints(&self) -> impl Iterator<Item = (&str, String)> {
        let others = self.hints.iter().filter(|hint| hint.name != self.name);
        others.map(|hint| (hint.name.as_str(), hint.peer.to_string()))
    }

    /// The members of the cluster, this one perhaps among them.
    pub(crate) fn members(&self) -> Arc<BTreeMap<MemberId, Listed>> {
        self.known().members.clone()
    }

    /// A member of the cluster.
    pub(crate) fn get(&self, id: MemberId) -> Option<Listed> {
        self.known().members.get(&id).cloned()
    }

    /// The members are these, as the cluster has committed.
    pub(crate) fn set_members(&self, members: BTreeMap<MemberId, Listed>) {
        let mut known = self.known();
        if *known.members == members {
            return;
        }
        if !members.is_empty() {
            known.heard.retain(|id, place| members.get(id).is_some_and(|listed| listed.place != *place));
            known.turns.retain(|id, _| members.contains_key(id));
        }
        known.members = Arc::new(members);
    }

    /// A member said itself where it is.
    pub(crate) fn heard(&self, id: MemberId, place: Place) {
        let mut known = self.known();
        let is_committed = known.members.get(&id).is_some_and(|listed| listed.place == place);
        let before = known.heard.get(&id);
        let after = (!is_committed).then_some(place);
        if before == after.as_ref() {
            return;
        }
        let has_room = before.is_some() || known.heard.len() < HEARD;
        known.turns.remove(&id);
        match after {
            Some(place) if has_room => drop(known.heard.insert(id, place)),
            Some(_) => {}
            None => drop(known.heard.remove(&id)),
        }
    }

    /// Members that are elsewhere than is committed, as they said themselves, and this one if it
    /// is.
    pub(crate) fn moved(&self) -> Vec<(MemberId, Listed)> {
        let known = self.known();
        let listed = |(id, place): (&MemberId, &Place)| {
            let committed = known.members.get(id).filter(|listed| listed.place != *place)?;
            Some((*id, Listed { place: place.clone(), ..committed.clone() }))
        };
        known.heard.iter().chain([(&self.me, &self.own)]).filter_map(listed).collect()
    }

    /// The address at which to try a member; `committed` is used if the roster has none yet.
    pub(crate) fn address(&self, id: MemberId, committed: Option<&str>) -> Option<String> {
        let known = self.known();
        let addresses = self.addresses(&known, id, committed);
        let at = known.turns.get(&id).map_or(0, |turn| turn.at);
        (!addresses.is_empty()).then(|| addresses[at % addresses.len()].clone())
    }

    /// The member answered at the address in use.
    pub(crate) fn answered(&self, id: MemberId) {
        self.known().turns.entry(id).or_default().answered = Some(Instant::now());
    }

    /// It did not answer at `address`: another one, if there is any, is in use from now on.
    pub(crate) fn failed(&self, id: MemberId, address: &str) {
        let mut known = self.known();
        let addresses = self.addresses(&known, id, None);
        let turn = known.turns.entry(id).or_default();
        let is_trusted = turn.answered.is_some_and(|at| at.elapsed() < TRUSTED);
        if addresses.len() > 1 && !is_trusted && addresses[turn.at % addresses.len()] == address {
            turn.at = (turn.at + 1) % addresses.len();
        }
    }

    fn addresses(&self, known: &Known, id: MemberId, committed: Option<&str>) -> Vec<String> {
        let listed = known.members.get(&id);
        let said = known.heard.get(&id).map(|place| place.peer.clone());
        let committed = listed.map(|listed| listed.place.peer.clone()).or(committed.map(str::to_owned));
        let hint = listed.and_then(|listed| self.hints.iter().find(|hint| hint.name == listed.name));
        let mut addresses: Vec<String> = Vec::new();
        for address in [said, committed, hint.map(|hint| hint.peer.to_string())].into_iter().flatten() {
            if !address.is_empty() && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&Place> for peer::Place {
    fn from(place: &Place) -> Self {
        Self { peer_address: place.peer.clone(), client_addresses: place.clients.clone() }
    }
}

impl From<peer::Place> for Place {
    fn from(place: peer::Place) -> Self {
        Self { peer: place.peer_address, clients: place.client_addresses }
    }
}

#[cfg(test)]
mod tests;
