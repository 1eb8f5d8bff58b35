//! Which member to ask next.
//!
//! It keeps the addresses that the caller gave and those learned from the cluster, remembers which
//! failed and until when they rest, and prefers the leader if it is known: a call that goes there
//! saves a hop. Given addresses are never forgotten, because learned ones may be unreachable from
//! here.
use super::endpoints::MAX_ENDPOINTS;
use super::{Backoff, mix};

/// Which member is preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// The leader: fewest hops for calls.
    #[default]
    Leader,
    /// The one that answered last, beginning with the first address given: spreads clients, and
    /// queries stay near.
    Nearest,
}

/// A member as the router sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    address: String,
    id: Option<u64>,
    given: bool,
    failures: u32,
    rest_until_ms: u64,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Ask this address.
    Use(String),
    /// All failed lately: wait until this time.
    WaitUntil(u64),
}

/// Chooses members.
#[derive(Clone, Debug)]
pub struct Router {
    known: Vec<Known>,
    follow: Follow,
    leader: Option<u64>,
    term: u64,
    current: usize,
    backoff: Backoff,
}

impl Router {
    /// A router over the addresses that the caller gave; there is at least one.
    pub fn new(given: Vec<String>, follow: Follow, backoff: Backoff) -> Self {
        let known = given.into_iter().map(|address| Known {
            address,
            id: None,
            given: true,
            failures: 0,
            rest_until_ms: 0,
        });
        Self { known: known.collect(), follow, leader: None, term: 0, current: 0, backoff }
    }

    /// The address to ask now.
    pub fn pick(&self, now_ms: u64) -> Pick {
        let rested = |known: &&Known| known.rest_until_ms <= now_ms;
        let leader = self.leader_index().and_then(|index| self.known.get(index)).filter(rested);
        let from_current = || {
            let (before, from) = self.known.split_at(self.current.min(self.known.len()));
            from.iter().chain(before).find(rested)
        };
        match leader.or_else(from_current) {
            Some(known) => Pick::Use(known.address.clone()),
            None => {
                Pick::WaitUntil(self.known.iter().map(|known| known.rest_until_ms).min().unwrap_or(now_ms))
            }
        }
    }

    /// The address to ask if it cannot wait: when all failed lately, the one that is rested first.
    pub fn nearest(&self, now_ms: u64) -> &str {
        let picked = match self.pick(now_ms) {
            Pick::Use(address) => self.known.iter().find(|known| known.address == address),
            Pick::WaitUntil(_) => self.known.iter().min_by_key(|known| known.rest_until_ms),
        };
        picked.map_or("", |known| &known.address)
    }

    fn leader_index(&self) -> Option<usize> {
        let leader = self.leader.filter(|_| self.follow == Follow::Leader)?;
        self.known.iter().position(|known| known.id == Some(leader))
    }

    fn index(&self, address: &str) -> Option<usize> {
        self.known.iter().position(|known| known.address == address)
    }

    /// `address` answered.
    pub fn succeeded(&mut self, address: &str) {
        if let Some(index) = self.index(address) {
            self.known[index].failures = 0;
            self.known[index].rest_until_ms = 0;
            self.current = index;
        }
    }

    /// `address` did not answer, or cannot serve: it rests for a while.
    pub fn failed(&mut self, address: &str, now_ms: u64) {
        if let Some(index) = self.index(address) {
            let failures = self.known[index].failures.saturating_add(1);
            let jitter = mix(now_ms ^ (index as u64) << 48) as u32;
            self.known[index].failures = failures;
            self.known[index].rest_until_ms = now_ms.saturating_add(self.backoff.delay_ms(failures, jitter));
            if self.known[index].id.is_some() && self.known[index].id == self.leader {
                self.leader = None;
            }
            self.current = (index + 1) % self.known.len();
        }
    }

    /// A reply or failure named `term`, and perhaps its leader. Returns whether the cluster's
    /// status should be asked for, because the leader is unknown.
    pub fn heard(&mut self, term: u64, leader: Option<u64>) -> bool {
        if term < self.term {
            return false;
        }
        let newer = term > self.term;
        self.term = term;
        if newer {
            self.leader = leader;
            return leader.is_none() || self.leader_index().is_none();
        }
        if leader.is_some() && leader != self.leader {
            self.leader = leader;
            return self.leader_index().is_none();
        }
        false
    }

    /// The cluster's own list: ids and client addresses. Learned addresses that it no longer names
    /// are forgotten.
    pub fn learn(&mut self, term: u64, leader: Option<u64>, members: &[(u64, String)]) {
        let current = self.known.get(self.current).map(|known| known.address.clone());
        for known in &mut self.known {
            known.id = None;
        }
        for (id, address) in members.iter().filter(|(_, address)| !address.is_empty()) {
            match self.index(address) {
                Some(index) => self.known[index].id = Some(*id),
                None if self.known.len() < MAX_ENDPOINTS => {
                    self.known.push(Known {
                        address: address.clone(),
                        id: Some(*id),
                        given: false,
                        failures: 0,
                        rest_until_ms: 0,
                    });
                }
                None => {}
            }
        }
        self.known.retain(|known| known.given || known.id.is_some());
        self.current = current.and_then(|address| self.index(&address)).unwrap_or(0);
        if term >= self.term {
            self.term = term;
            self.leader = leader;
        }
    }

    /// Every address, given ones first.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|known| known.address.as_str())
    }
}

#[cfg(test)]
mod tests;
