//! Which watches of a space want a topic.
//!
//! Exact topics are found by one look-up, prefixes by one for each distinct length of them that is
//! not longer than the topic. So finding costs what is found, and not what watches there are.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use synod_abi::TopicFilter;

/// A watch of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WatchKey(pub(super) u64);

type Wanted = HashMap<Vec<u8>, BTreeSet<WatchKey>>;

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
            && self.prefixes.get(&prefix.len()).is_some_and(HashMap::is_empty)
        {
            self.prefixes.remove(&prefix.len());
        }
    }

    /// Adds the watches that want `topic` to `found`; how many look-ups it took.
    pub(super) fn find(&self, topic: &str, found: &mut Vec<WatchKey>) -> usize {
        found.extend(self.exact.get(topic.as_bytes()).into_iter().flatten());
        let mut looked_up = 1;
        for (length, prefixes) in self.prefixes.range(..=topic.len()) {
            found.extend(prefixes.get(&topic.as_bytes()[..*length]).into_iter().flatten());
            looked_up += 1;
        }
        looked_up
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = WatchKey> {
        self.exact.values().chain(self.prefixes.values().flat_map(HashMap::values)).flatten().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watches == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(index: &Index, topic: &str) -> Vec<WatchKey> {
        let mut found = Vec::new();
        index.find(topic, &mut found);
        found.sort_unstable();
        found
    }

    #[test]
    fn finding_costs_the_same_however_many_watches_there_are() {
        let mut index = Index::default();
        for watch in 0..100_000 {
            index.insert(&TopicFilter::Exact(format!("topic-{watch}")), WatchKey(watch));
            index.insert(&TopicFilter::Prefix(format!("{watch:08}")), WatchKey(1_000_000 + watch));
        }
        let mut keys = Vec::new();
        assert_eq!(index.find("topic-77777", &mut keys), 2);
        assert_eq!(keys, [WatchKey(77_777)]);
        for watch in 0..100_000 {
            index.remove(&TopicFilter::Exact(format!("topic-{watch}")), WatchKey(watch));
            index.remove(&TopicFilter::Prefix(format!("{watch:08}")), WatchKey(1_000_000 + watch));
        }
        assert!(index.is_empty() && index.exact.is_empty() && index.prefixes.is_empty());
    }

    fn text() -> impl Strategy<Value = String> {
        "[aä]{0,4}"
    }

    proptest! {
        #[test]
        fn it_finds_those_whose_filter_matches(filters in proptest::collection::vec((any::<bool>(), text()), 0..20), topic in text()) {
            let filters: Vec<_> = filters.into_iter().map(|(exact, text)| if exact { TopicFilter::Exact(text) } else { TopicFilter::Prefix(text) }).collect();
            let mut index = Index::default();
            for (key, filter) in (0..).zip(&filters) {
                index.insert(filter, WatchKey(key));
            }
            for (key, filter) in (0..).zip(&filters).filter(|(key, _)| key % 3 == 0) {
                index.remove(filter, WatchKey(key));
            }
            let expected: Vec<_> = (0..).zip(&filters).filter(|(key, filter)| key % 3 != 0 && filter.matches(&topic)).map(|(key, _)| WatchKey(key)).collect();
            prop_assert_eq!(found(&index, &topic), expected);
        }
    }
}
