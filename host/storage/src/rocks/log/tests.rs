//! Unit tests of `log`.
use super::*;
use crate::{RocksOptions, StateStore};

const RECORDS: u64 = 50;

fn store_with_records(root: &std::path::Path) -> RocksStore {
    let options = RocksOptions { log_tail_bytes: 200, ..RocksOptions::default() };
    let store = RocksStore::open(root, &options).expect("opened");
    let (sender, receiver) = std::sync::mpsc::channel();
    let records = (0..RECORDS).map(|index| LogRecord { index, bytes: vec![7; 100].into() }).collect();
    store.append(records, Box::new(move |result| drop(sender.send(result))));
    receiver.recv().expect("called").expect("flushed");
    store
}

#[test]
fn a_record_that_changed_on_disk_stops_the_store() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store_with_records(folder.path());
    let (database, log) = (&store.shared().database, store.shared().log.get());
    let mut value = database.get_cf(log, record::key(20)).expect("read").expect("there");
    value[50] ^= 1;
    database.put_cf(log, record::key(20), value).expect("written");
    assert_eq!(store.read(0..20, usize::MAX).expect("read").len(), 20);
    let refusal = store.read(0..RECORDS, usize::MAX).expect_err("damaged").to_string();
    assert!(refusal.starts_with("record 20 ") && refusal.contains("wrong checksum"), "{refusal}");
    assert!(store.read(0..1, 1).is_err() && store.vote().is_err() && store.view().is_err());
    assert!(matches!(store.health(), Health::Failed(_)));
}

#[test]
fn a_record_that_is_missing_stops_the_store() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store_with_records(folder.path());
    store.shared().database.delete_cf(store.shared().log.get(), record::key(20)).expect("deleted");
    let refusal = store.read(0..RECORDS, usize::MAX).expect_err("damaged").to_string();
    assert!(refusal.starts_with("record 20 ") && refusal.contains("missing"), "{refusal}");
}

#[test]
fn what_is_in_memory_is_read_without_the_disk() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store_with_records(folder.path());
    let in_memory = |from: u64, to: u64| store.read_memory(from..to, 250).expect("read");
    assert_eq!((in_memory(0, 10), in_memory(0, RECORDS)), (None, None));
    let newest = in_memory(RECORDS - 1, RECORDS);
    assert_eq!(newest, Some(store.read(RECORDS - 1..RECORDS, 250).expect("read")));
    assert_eq!(newest.map(|records| records.len()), Some(1));
    assert_eq!(in_memory(RECORDS, RECORDS + 5), Some(Vec::new()));
    assert!(!store.is_queue_full());
}

#[test]
fn reads_survive_purges_beside_them() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store_with_records(folder.path());
    let reader = std::thread::spawn({
        let store = store.clone();
        move || {
            while store.bounds().expect("bounds").purged.is_none_or(|id| *id != *b"4999") {
                let records = store.read(0..u64::MAX, usize::MAX).expect("read");
                assert!(records.windows(2).all(|pair| pair[0].index + 1 == pair[1].index));
            }
        }
    });
    for index in RECORDS..5_000 {
        store.append(
            vec![LogRecord { index, bytes: vec![7; 100].into() }],
            Box::new(|result| result.expect("flushed")),
        );
        let applied = crate::AppliedMark { index: Some(index), ..Default::default() };
        store.commit(&[], &applied).expect("commit");
        if index % 100 == 99 {
            store.purge(
                index,
                index.to_string().into_bytes().into(),
                Box::new(|result| result.expect("flushed")),
            );
        }
    }
    reader.join().expect("the reader never failed");
    store.close();
    let left =
        store.shared().database.iterator_cf(store.shared().log.get(), rocksdb::IteratorMode::Start).count();
    assert!(left < 1_024, "{left} purged records are still on disk");
}
