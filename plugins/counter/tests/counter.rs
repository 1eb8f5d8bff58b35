//! The counter as its callers see it.
use synod_counter::{Count, CounterError, Counters, Page};
use synod_sdk::prelude::*;
use synod_test::TestHost;

#[test]
fn adds_and_reads() {
    let host = TestHost::of::<Counters>();
    let counter = host.client();
    assert_eq!(counter.get("hits").unwrap(), 0);
    assert_eq!(counter.add("hits", 5).unwrap(), 5);
    assert_eq!(counter.add("hits", -7).unwrap(), -2);
    assert_eq!(counter.add("other", 1).unwrap(), 1);
    assert_eq!(counter.get("hits").unwrap(), -2);
}

#[test]
fn overflow_is_refused_and_changes_nothing() {
    let host = TestHost::of::<Counters>();
    let counter = host.client();
    assert_eq!(counter.set("max", i64::MAX).unwrap(), 0);
    assert_eq!(counter.add("max", 1).rejection(), CounterError::Overflow { current: i64::MAX });
    assert_eq!(counter.get("max").unwrap(), i64::MAX);
    assert_eq!(counter.add("min", i64::MIN).unwrap(), i64::MIN);
    assert_eq!(counter.add("min", -1).rejection(), CounterError::Overflow { current: i64::MIN });
}

#[test]
fn compares_and_sets() {
    let host = TestHost::of::<Counters>();
    let counter = host.client();
    counter.compare_and_set("a", 0, 10).unwrap();
    assert_eq!(counter.compare_and_set("a", 0, 20).rejection(), CounterError::Conflict { current: 10 });
    counter.compare_and_set("a", 10, 20).unwrap();
    assert_eq!(counter.reset("a").unwrap(), 20);
    assert_eq!(counter.reset("a").unwrap(), 0);
    assert_eq!(counter.get("a").unwrap(), 0);
}

#[test]
fn lists_what_is_not_zero_in_pages() {
    let host = TestHost::of::<Counters>();
    let counter = host.client();
    for (key, value) in [("b/1", 1), ("b/2", 2), ("b/3", 3), ("a", 4), ("c", 5), ("b/0", 0)] {
        counter.set(key, value).unwrap();
    }
    let count = |key: &str, value| Count { key: key.into(), value };
    let first = counter.list("b/", Some(2), None).unwrap();
    assert_eq!(first, Page { rows: vec![count("b/1", 1), count("b/2", 2)], next: Some("b/3".into()) });
    let second = counter.list("b/", Some(2), first.next).unwrap();
    assert_eq!(second, Page { rows: vec![count("b/3", 3)], next: None });
    assert_eq!(counter.list("", None, None).unwrap().rows.len(), 5);
    assert_eq!(counter.list("b/", None, Some("a".into())).unwrap().rows.len(), 3);
    assert_eq!(counter.list("b/", None, Some("z".into())).unwrap().rows, []);
}
