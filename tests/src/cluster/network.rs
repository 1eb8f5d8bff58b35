//! Members behind proxies: what flows between them, and between them and their clients, can be
//! changed while they run. Tests themselves look at a member past its proxies.
use std::sync::Arc;

use super::{Cluster, Process, free_addresses};
use crate::proxy::{End, Flow, Network, Proxy};

/// Where a member listens whose addresses are those of proxies.
#[derive(Debug)]
pub(super) struct Behind {
    peers: String,
    clients: String,
    _proxies: [Proxy; 2],
}

impl Behind {
    /// The flags that make a member listen here and name `advertised` to its clients.
    pub(super) fn flags<'a>(&'a self, advertised: &'a str) -> [&'a str; 4] {
        ["--peer-addr", &self.peers, "--client-advertise", advertised]
    }
}

impl Process {
    /// Where it listens for clients itself.
    pub(super) fn listens(&self) -> &str {
        self.behind.as_ref().map_or(&self.client_address, |behind| &behind.clients)
    }
}

impl Cluster {
    /// Members that are not started yet, behind proxies: see [`network`](Self::network). Chance in
    /// those comes from `seed`.
    pub fn with_proxies(size: usize, flags: &[&str], seed: u64) -> Self {
        let mut cluster = Self::new(size, flags);
        let network = Network::new(size, seed);
        let mut free = free_addresses(size * 2).into_iter();
        let mut address = || free.next().expect("as many as were asked for");
        for (n, member) in cluster.members.iter_mut().enumerate() {
            let (peers, clients) = (address(), address());
            let _proxies = [
                Proxy::start(&network, n, &member.peer_address, &peers),
                Proxy::start(&network, n, &member.client_address, &clients),
            ];
            member.behind = Some(Behind { peers, clients, _proxies });
        }
        cluster.network = Some(network);
        cluster
    }

    /// The network between the members and to their clients.
    ///
    /// # Panics
    /// When the members are behind no proxies.
    pub fn network(&self) -> &Arc<Network> {
        self.network.as_ref().expect("the members are behind proxies")
    }

    /// Changes how a member is reached by the other members. Cut, it is reached by nobody and still
    /// reaches all others.
    pub fn reach(&self, n: usize, flow: Flow) {
        for other in (0..self.members.len()).filter(|other| *other != n) {
            self.network().set(End::Member(other), End::Member(n), flow);
        }
    }

    /// Cuts a member off from all other members, in both directions. Clients reach it.
    pub fn isolate(&self, n: usize) {
        for other in (0..self.members.len()).filter(|other| *other != n) {
            self.network().set_both(End::Member(other), End::Member(n), Flow::Cut);
        }
    }

    /// Says which process a member is now.
    pub(super) fn note_process(&self, n: usize) {
        if let Some(network) = &self.network {
            network.set_process(n, self.members[n].child.as_ref().map(std::process::Child::id));
        }
    }
}
