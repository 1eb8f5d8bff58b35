//! The watches of a space that want a topic.
//!
//! Exact topics take one look-up; prefixes take one for each of their distinct lengths up to the
//! topic's. So the cost is that of the matches, not of the watches.
use std::collections::{BTreeMap, BTreeSet};

use synod_abi::TopicFilter;

/// A watch of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WatchKey(pub(super) u64);

type Wanted = BTreeMap<Vec<u8>, BTreeSet<WatchKey>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: Wanted,
    prefixes: BTreeMap<usize, Wanted>,
    watches: usize,
}

impl Index {
    pub(super) fn insert(&mut self, filter: &TopicFilter, watch: WatchKey) {
        let (wanted, text) = match filter {
            TopicFilter::Exact(topic) => (&mut self.exact, topic),
            TopicFilter::Prefix(prefix) => (self.prefixes.entry(prefix.len()).or_default(), prefix),
        };
        wanted.entry(text.as_bytes().to_vec()).or_default().insert(watch);
        self.watches += 1;
    }

    pub(super) fn remove(&mut self, filter: &TopicFilter, watch: WatchKey) {
        let (wanted, text) = match filter {
            TopicFilter::Exact(topic) => (Some(&mut self.exact), topic),
            TopicFilter::Prefix(prefix) => (self.prefixes.get_mut(&prefix.len()), prefix),
        };
        let Some(wanted) = wanted else { return };
        if let Some(watches) = wanted.get_mut(text.as_bytes())
            && watches.remove(&watch)
        {
            self.watches -= 1;
            if watches.is_empty() {
                wanted.remove(text.as_bytes());
            }
        }
        if let TopicFilter::Prefix(prefix) = filter
            && self.prefixes.get(&prefix.len()).is_some_and(BTreeMap::is_empty)
        {
            self.prefixes.remove(&prefix.len());
        }
    }

    /// Adds the watches that want `topic` to `found`. Returns how many look-ups that took.
    pub(super) fn find(&self, topic: &str, found: &mut Vec<WatchKey>) -> usize {
        found.extend(self.exact.get(topic.as_bytes()).into_iter().flatten());
        let mut looked_up = 1;
        for (length, prefixes) in self.prefixes.range(..=topic.len()) {
            found.extend(prefixes.get(&topic.as_bytes()[..*length]).into_iter().flatten());
            looked_up += 1;
        }
        looked_up
    }

    /// All watches.
    pub(super) fn all(&self) -> impl Iterator<Item = WatchKey> {
        self.exact.values().chain(self.prefixes.values().flat_map(BTreeMap::values)).flatten().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watches == 0
    }
}

#[cfg(test)]
mod tests;
