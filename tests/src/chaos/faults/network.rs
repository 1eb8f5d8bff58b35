//! Links between members, and between them and their clients, that carry late, little, nothing, or
//! something else.
use std::sync::Arc;

use super::{Arena, Group, Undo};
use crate::chaos::fault::Fault;
use crate::proxy::{End, Flow, Network, Toll};

impl Arena {
    /// Begins a fault of links.
    pub(super) async fn disturb_network(&mut self, fault: Fault) -> Undo {
        let network = Arc::clone(self.cluster.network());
        let leader = self.leader().await.unwrap_or(0);
        let (flow, toll) = self.flow_of(fault);
        let before = network.tolls().of(toll);
        let other = (leader + 1 + self.dice.below(self.size() as u64 - 1) as usize) % self.size();
        self.note(format!("{}: {flow:?}, the leader is {leader}, another is {other}", fault.name()));
        match fault {
            Fault::IsolateLeader => self.cluster.isolate(leader),
            Fault::IsolateFollower => self.cluster.isolate(other),
            Fault::Halves => halves(&network, self.size(), other),
            Fault::Bridge | Fault::HalfClose => {
                network.set_both(End::Member(leader), End::Member(other), flow);
            }
            Fault::OneWay | Fault::Hold => {
                let to = if self.dice.one_in(2) { leader } else { other };
                self.cluster.reach(to, flow);
            }
            Fault::Swallow => {
                let (from, to) = if self.dice.one_in(2) { (leader, other) } else { (other, leader) };
                network.set(End::Member(from), End::Member(to), flow);
            }
            Fault::ClientCut => network.set(End::Clients, End::Member(leader), flow),
            Fault::ClientHole => {
                let member = End::Member(if self.dice.one_in(2) { leader } else { other });
                let (from, to) =
                    if self.dice.one_in(2) { (End::Clients, member) } else { (member, End::Clients) };
                network.set(from, to, flow);
            }
            Fault::ClientHalfClose => network.set(End::Clients, End::Member(leader), flow),
            _ => all(&network, self.size(), fault.group(), flow),
        }
        Undo::Links(toll, before)
    }

    fn flow_of(&mut self, fault: Fault) -> (Flow, Toll) {
        let dice = &mut self.dice;
        match fault {
            Fault::Swallow | Fault::ClientHole => (Flow::Swallowed, Toll::Swallowed),
            Fault::Hold => (Flow::Held, Toll::Held),
            Fault::Late | Fault::ClientLate => {
                let (delay_ms, jitter_ms) = (dice.between(1, 60), dice.between(0, 60));
                (Flow::Late { delay_ms, jitter_ms }, Toll::Delayed)
            }
            Fault::Narrow => {
                (Flow::Narrow { bytes_per_second: dice.between(20_000, 400_000) }, Toll::Delayed)
            }
            Fault::Flaky | Fault::ClientFlaky => {
                (Flow::Flaky { lives_ms: dice.between(50, 1_500) }, Toll::Reset)
            }
            Fault::Garble => (Flow::Garbled { one_in_bytes: dice.between(2_000, 200_000) }, Toll::Flipped),
            Fault::HalfClose | Fault::ClientHalfClose => (Flow::HalfClosed, Toll::HalfClosed),
            _ => (Flow::Cut, Toll::Reset),
        }
    }
}

/// Fewer than half of the members, `one` among them, and the others do not reach each other.
fn halves(network: &Network, size: usize, one: usize) {
    let minority: Vec<usize> = (0..(size - 1) / 2).map(|n| (one + n) % size).collect();
    for few in &minority {
        for many in (0..size).filter(|n| !minority.contains(n)) {
            network.set_both(End::Member(*few), End::Member(many), Flow::Cut);
        }
    }
}

/// All links between members, or all to clients.
fn all(network: &Network, size: usize, group: Group, flow: Flow) {
    for one in 0..size {
        if group == Group::Clients {
            network.set_both(End::Clients, End::Member(one), flow);
        } else {
            (0..one).for_each(|other| network.set_both(End::Member(one), End::Member(other), flow));
        }
    }
}
