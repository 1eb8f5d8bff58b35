//! Unit tests of `index`.
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

fn filter((exact, text): (bool, String)) -> TopicFilter {
    if exact { TopicFilter::Exact(text) } else { TopicFilter::Prefix(text) }
}

proptest! {
    #[test]
    fn it_finds_those_whose_filter_matches(
        filters in proptest::collection::vec((any::<bool>(), text()), 0..20),
        topic in text(),
    ) {
        let filters: Vec<TopicFilter> = filters.into_iter().map(filter).collect();
        let mut index = Index::default();
        for (key, filter) in (0..).zip(&filters) {
            index.insert(filter, WatchKey(key));
        }
        for (key, filter) in (0..).zip(&filters).filter(|(key, _)| key % 3 == 0) {
            index.remove(filter, WatchKey(key));
        }
        let stay = (0..).zip(&filters).filter(|(key, _)| key % 3 != 0);
        let matching = stay.filter(|(_, filter)| filter.matches(&topic));
        let expected: Vec<WatchKey> = matching.map(|(key, _)| WatchKey(key)).collect();
        prop_assert_eq!(found(&index, &topic), expected);
    }
}
