//! The kv recipe as its callers see it.
use synod_kv::{Change, KEY_BYTES, Kv, KvError, PAGE_BYTES, VALUE_BYTES};
use synod_sdk::prelude::*;
use synod_test::TestHost;

/// What was emitted: revision, topic, payload.
fn changes(host: &TestHost<Kv>) -> Vec<(Revision, String, Change)> {
    let revisions = host.events("kv").into_iter().map(|(revision, ..)| revision);
    revisions.zip(host.events_of("kv")).map(|(revision, (topic, change))| (revision, topic, change)).collect()
}

#[test]
fn a_row_tells_its_revisions() {
    let host = TestHost::of::<Kv>();
    let kv = host.client();
    assert_eq!(kv.get("a").unwrap(), None);
    let first = kv.put("a", "one").unwrap();
    let second = kv.put("a", "two").unwrap();
    assert!(second.revision > first.revision);
    assert_eq!((first.version, second.version), (1, 2));
    let row = kv.get("a").unwrap().expect("a was put");
    assert_eq!((row.key.as_str(), &row.value, row.version), ("a", &Blob::from("two"), 2));
    assert_eq!((row.create_revision, row.mod_revision), (first.revision, second.revision));
    assert!(kv.delete("a").unwrap());
    assert!(!kv.delete("a").unwrap());
    assert_eq!(kv.put("a", "again").unwrap().version, 1);
}

#[test]
fn compares_the_revision_of_the_last_change() {
    let host = TestHost::of::<Kv>();
    let kv = host.client();
    let made = kv.compare_and_set("a", Revision(0), "one").unwrap();
    assert_eq!(
        kv.compare_and_set("a", Revision(0), "two").rejection(),
        KvError::Conflict { current: made.revision }
    );
    let changed = kv.compare_and_set("a", made.revision, "two").unwrap();
    assert_eq!(
        kv.compare_and_delete("a", made.revision).rejection(),
        KvError::Conflict { current: changed.revision }
    );
    kv.compare_and_delete("a", changed.revision).unwrap();
    assert_eq!(
        kv.compare_and_delete("a", changed.revision).rejection(),
        KvError::Conflict { current: Revision(0) }
    );
}

#[test]
fn limits_are_said() {
    let host = TestHost::of::<Kv>();
    let kv = host.client();
    assert_eq!(kv.put("", "x").rejection(), KvError::BadKey { bytes: 0, limit: KEY_BYTES as u64 });
    let long = "\0".repeat(KEY_BYTES);
    kv.put(long.as_str(), vec![7; VALUE_BYTES]).unwrap();
    assert_eq!(kv.get(long.as_str()).unwrap().map(|row| row.value.len()), Some(VALUE_BYTES));
    let longer = "k".repeat(KEY_BYTES + 1);
    assert_eq!(
        kv.put(longer, "x").rejection(),
        KvError::BadKey { bytes: KEY_BYTES as u64 + 1, limit: KEY_BYTES as u64 }
    );
    for key in [String::new(), "k".repeat(2_000)] {
        let bad = KvError::BadKey { bytes: key.len() as u64, limit: KEY_BYTES as u64 };
        assert_eq!(kv.put(key.as_str(), "x").rejection(), bad);
        assert_eq!(kv.compare_and_set(key.as_str(), Revision(0), "x").rejection(), bad);
        kv.compare_and_delete(key.as_str(), Revision(0)).unwrap();
        assert_eq!((kv.get(key.as_str()).unwrap(), kv.delete(key).unwrap()), (None, false));
    }
    let (bytes, limit) = (VALUE_BYTES as u64 + 1, VALUE_BYTES as u64);
    assert_eq!(kv.put("k", vec![7; VALUE_BYTES + 1]).rejection(), KvError::ValueTooLong { bytes, limit });
}

#[test]
fn ranges_come_in_pages() {
    let host = TestHost::of::<Kv>();
    let kv = host.client();
    for key in ["a", "b/1", "b/2", "b/3", "c"] {
        kv.put(key, key).unwrap();
    }
    let keys = |page: &synod_kv::Page| page.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
    let all = kv.range("", None, None).unwrap();
    assert_eq!((keys(&all).len(), &all.next), (5, &None));
    let some = kv.range("b", Some("c".into()), Some(2)).unwrap();
    assert_eq!((keys(&some), some.next.as_deref()), (vec!["b/1".to_string(), "b/2".into()], Some("b/3")));
    assert_eq!(keys(&kv.range("b/3", Some("c".into()), Some(2)).unwrap()), ["b/3"]);
    assert_eq!(keys(&kv.range("c", Some("b".into()), None).unwrap()), [""; 0]);
    let listed = kv.list("b/", Some(2), None).unwrap();
    assert_eq!(listed.next.as_deref(), Some("b/3"));
    assert_eq!(keys(&kv.list("b/", Some(2), listed.next).unwrap()), ["b/3"]);
}

#[test]
fn a_page_ends_by_size() {
    let host = TestHost::of::<Kv>();
    let kv = host.client();
    for n in 0..6 {
        kv.put(format!("k{n}"), vec![n; 200 * 1_024]).unwrap();
    }
    let page = kv.range("", None, None).unwrap();
    assert!(page.rows.len() * 200 * 1_024 > PAGE_BYTES);
    assert_eq!((page.rows.len(), page.next.as_deref()), (3, Some("k3")));
}

#[test]
fn every_change_is_an_event_with_the_key_as_its_topic() {
    let host = TestHost::of::<Kv>();
    let kv = host.client();
    let made = kv.put("a", "one").unwrap().revision;
    let other = kv.compare_and_set("b", Revision(0), "x").unwrap().revision;
    let changed = kv.compare_and_set("a", made, "two").unwrap().revision;
    assert!(kv.delete("b").unwrap());
    let deleted = host.revision();
    kv.compare_and_delete("a", changed).unwrap();
    let put =
        |value: &str, version, create_revision| Change::Put { value: value.into(), version, create_revision };
    let expected = [
        (made, "a", put("one", 1, made)),
        (other, "b", put("x", 1, other)),
        (changed, "a", put("two", 2, made)),
        (deleted, "b", Change::Deleted),
        (host.revision(), "a", Change::Deleted),
    ];
    assert_eq!(changes(&host), expected.map(|(revision, key, change)| (revision, key.to_owned(), change)));
}

#[test]
fn what_changes_nothing_is_no_event() {
    let host = TestHost::of::<Kv>();
    let kv = host.client();
    let made = kv.put("a", "one").unwrap().revision;
    let told = changes(&host);
    kv.compare_and_set("a", Revision(0), "two").rejection();
    kv.compare_and_delete("a", Revision(0)).rejection();
    kv.put("", "x").rejection();
    kv.put("a", vec![0; VALUE_BYTES + 1]).rejection();
    assert!(!kv.delete("b").unwrap() && !kv.delete("").unwrap());
    kv.compare_and_delete("b", Revision(0)).unwrap();
    assert_eq!((kv.get("a").unwrap().map(|row| row.mod_revision), changes(&host)), (Some(made), told));
}

#[test]
fn the_longest_key_and_value_make_an_event() {
    let host = TestHost::of::<Kv>();
    let key = "k".repeat(KEY_BYTES);
    host.client().put(key.as_str(), vec![7; VALUE_BYTES]).unwrap();
    let [(_, topic, Change::Put { value, .. })] = &changes(&host)[..] else { panic!("one event") };
    assert_eq!((topic, value.len()), (&key, VALUE_BYTES));
}
