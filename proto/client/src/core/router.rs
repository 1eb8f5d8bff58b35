//! Which member to ask next.
//!
//! It keeps the addresses that the caller gave and those learned from the cluster, remembers which
//! failed and until when they rest, and prefers the leader if it is known: a call that goes there
//! saves a hop. Given addresses are never forgotten, because learned ones may be unreachable from
//! here.
//!
//! An address that owed an answer for too long is silent for a while: it is asked after all that
//! are not. That is no rest, since it may only be slow, and every member may be.
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
    silences: u32,
    silent_until_ms: u64,
}

impl Known {
    fn new(address: String, id: Option<u64>, given: bool) -> Self {
        Self { address, id, given, failures: 0, rest_until_ms: 0, silences: 0, silent_until_ms: 0 }
    }
}

/// How long an address is asked last after it was silent ...
const SILENT_MS: u64 = 2_000;
/// ... and at most, if it was several times in a row.
const SILENT_MAX_MS: u64 = 30_000;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Ask this address.
    Use(String),
    /// All failed lately: wait until this time.
    WaitUntil(u64),
    /// There is no address beside those that were excluded.
    Nobody,
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
        let known = given.into_iter().map(|address| Known::new(address, None, true));
        Self { known: known.collect(), follow, leader: None, term: 0, current: 0, backoff }
    }

    /// The address to ask now.
    pub fn pick(&self, now_ms: u64) -> Pick {
        self.pick_beside(now_ms, |_| false)
    }

    /// The address to ask now, among those that are not `excluded`.
    pub fn pick_beside(&self, now_ms: u64, excluded: impl Fn(&str) -> bool) -> Pick {
        let is_free = |known: &&Known| !excluded(&known.address);
        let is_rested = |known: &&Known| known.rest_until_ms <= now_ms && is_free(known);
        let is_good = |known: &&Known| is_rested(known) && known.silent_until_ms <= now_ms;
        let leader = self.leader_index().and_then(|index| self.known.get(index)).filter(is_good);
        let from_current = || {
            let (before, from) = self.known.split_at(self.current.min(self.known.len()));
            from.iter().chain(before).find(is_good)
        };
        let silent = || self.known.iter().filter(is_rested).min_by_key(|known| known.silent_until_ms);
        match leader.or_else(from_current).or_else(silent) {
            Some(known) => Pick::Use(known.address.clone()),
            None => self
                .known
                .iter()
                .filter(is_free)
                .map(|known| known.rest_until_ms)
                .min()
                .map_or(Pick::Nobody, Pick::WaitUntil),
        }
    }

    /// The address to ask if it cannot wait: when all failed lately, the one that is rested first.
    pub fn nearest(&self, now_ms: u64) -> &str {
        self.nearest_beside(now_ms, |_| false).unwrap_or("")
    }

    /// The same among those that are not `excluded`; none: all are.
    pub fn nearest_beside(&self, now_ms: u64, excluded: impl Fn(&str) -> bool) -> Option<&str> {
        let picked = match self.pick_beside(now_ms, &excluded) {
            Pick::Use(address) => self.known.iter().find(|known| known.address == address),
            Pick::WaitUntil(_) => self
                .known
                .iter()
                .filter(|known| !excluded(&known.address))
                .min_by_key(|known| (known.rest_until_ms, known.silent_until_ms)),
            Pick::Nobody => None,
        };
        picked.map(|known| known.address.as_str())
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
            let known = &mut self.known[index];
            (known.failures, known.rest_until_ms) = (0, 0);
            (known.silences, known.silent_until_ms) = (0, 0);
            self.current = index;
        }
    }

    /// `address` owed an answer for too long: it is asked last for a while.
    pub fn silent(&mut self, address: &str, now_ms: u64) {
        let Some(index) = self.index(address) else { return };
        let known = &mut self.known[index];
        if known.silent_until_ms > now_ms {
            return;
        }
        let last_ms = SILENT_MS.saturating_mul(1 << known.silences.min(10)).min(SILENT_MAX_MS);
        known.silences = known.silences.saturating_add(1);
        known.silent_until_ms = now_ms.saturating_add(last_ms);
        if self.current == index {
            self.current = (index + 1) % self.known.len();
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
                    self.known.push(Known::new(address.clone(), Some(*id), false));
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
