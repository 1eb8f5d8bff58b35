//! What is missing or contradicts itself is lost data: refused before anything starts from it, and
//! left as it is.
use std::path::Path;

use rocksdb::{ColumnFamilyDescriptor, DB, Options};
use synod_storage::{Health, LogStore, RocksStore, StateStore, StorageError};

use crate::support::{append, assert_whole, commit, flush, id, open, records, small, until};

const ROWS: u64 = 12;

/// A store of records 0 to 19 whose state is that of entry 12, purged up to 4.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    append(&store, records(0, 20, 100));
    commit(&store, 12, ROWS);
    flush(|flushed| store.purge(4, id(4), flushed)).expect("purged");
    drop(store);
    folder
}

/// Changes the log's database behind the store's back.
fn with_log(root: &Path, change: impl FnOnce(&DB)) {
    let families =
        ["default", "log", "meta"].map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    let database = DB::open_cf_descriptors(&Options::default(), root.join("log"), families).expect("opened");
    change(&database);
}

fn delete_records(root: &Path, range: std::ops::Range<u64>) {
    with_log(root, |database| {
        let log = database.cf_handle("log").expect("there");
        range.for_each(|index| database.delete_cf(log, index.to_be_bytes()).expect("deleted"));
    });
}

fn refusal(root: &Path) -> String {
    match RocksStore::open(root, &small()) {
        Err(StorageError::Fatal(message)) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_whole_store_opens() {
    let folder = filled();
    let store = open(folder.path());
    assert_eq!(assert_whole(&store, ROWS), Some(12));
    assert_eq!(store.read(0..99, usize::MAX).expect("read"), records(5, 15, 100));
}

#[test]
fn a_state_that_is_ahead_of_its_log_is_refused() {
    let folder = filled();
    delete_records(folder.path(), 12..20);
    let message = refusal(folder.path());
    assert!(message.contains("the state is that of entry 12, and the log ends with 11"), "{message}");
    assert!(message.contains("--replace-lost"), "{message}");
}

/// RocksDB opens without the newest of what it wrote ahead, and says nothing.
#[test]
fn a_log_whose_newest_file_is_gone_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    for from in [0, 10] {
        append(&open(folder.path()), records(from, 10, 100));
    }
    let files = std::fs::read_dir(folder.path().join("log")).expect("listed").filter_map(Result::ok);
    let files = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "log"));
    let newest = files.max_by_key(|path| path.metadata().map(|of| of.len()).unwrap_or_default());
    std::fs::remove_file(newest.expect("there is one")).expect("removed");
    let message = refusal(folder.path());
    assert!(message.contains("the log ends with 9, and entry 19 was on disk"), "{message}");
}

#[test]
fn a_hole_behind_the_purge_mark_is_refused() {
    let folder = filled();
    delete_records(folder.path(), 0..8);
    let message = refusal(folder.path());
    assert!(message.contains("records 5 to 7 of the log are missing"), "{message}");
}

#[test]
fn a_log_that_begins_behind_the_state_is_refused() {
    let folder = filled();
    with_log(folder.path(), |database| {
        let meta = database.cf_handle("meta").expect("there");
        let position = [&14u64.to_be_bytes(), &*id(14)].concat();
        database.put_cf(meta, "purged", position).expect("written");
    });
    let message = refusal(folder.path());
    assert!(message.contains("the log begins behind entry 14"), "{message}");
}

#[test]
fn log_and_state_of_different_entries_are_refused() {
    let folder = filled();
    let other = tempfile::tempdir().expect("folder");
    let store = open(other.path());
    append(&store, records(0, 20, 100));
    let mark = synod_storage::AppliedMark { index: Some(12), id: (*b"x").into(), membership: (*b"").into() };
    store.commit(&[], &mark).expect("written");
    drop(store);
    std::fs::remove_dir_all(folder.path().join("state-1")).expect("removed");
    std::fs::rename(other.path().join("state-1"), folder.path().join("state-1")).expect("moved");
    let message = refusal(folder.path());
    assert!(message.contains("different entries 12"), "{message}");
}

#[test]
fn without_its_generation_a_store_is_refused_and_keeps_every_state() {
    let folder = filled();
    with_log(folder.path(), |database| {
        database.delete_cf(database.cf_handle("meta").expect("there"), "generation").expect("deleted");
    });
    let message = refusal(folder.path());
    assert!(message.contains("`generation` is missing"), "{message}");
    assert!(folder.path().join("state-1").join("CURRENT").exists());
}

#[test]
fn a_missing_database_is_refused_and_not_made_anew() {
    for name in ["log", "state-1"] {
        let folder = filled();
        let database = folder.path().join(name);
        std::fs::remove_dir_all(&database).expect("removed");
        let message = refusal(folder.path());
        assert!(message.contains(name) && message.contains("is missing"), "{message}");
        assert!(!database.exists());
    }
}

#[test]
fn what_was_not_created_to_the_end_is_created_again() {
    let folder = filled();
    std::fs::write(folder.path().join("FORMAT"), "synod data format 2, being created\n").expect("written");
    std::fs::write(folder.path().join("state-1").join("CURRENT"), "cut").expect("written");
    let store = open(folder.path());
    assert_eq!(store.bounds().expect("bounds"), synod_storage::LogBounds::default());
    assert_eq!(assert_whole(&store, ROWS), None);
}

#[test]
fn a_store_whose_folder_goes_while_it_is_open_fails_instead_of_going_on() {
    let gone: [&dyn Fn(&Path); 3] = [
        &|root| std::fs::remove_dir_all(root).expect("removed"),
        &|root| std::fs::remove_dir_all(root.join("log")).expect("removed"),
        &|root| std::fs::rename(root, root.with_extension("aside")).expect("moved"),
    ];
    for (n, gone) in gone.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("data");
        let store = open(&root);
        append(&store, records(0, 3, 10));
        gone(&root);
        until("it notices", || matches!(store.health(), Health::Failed(_)));
        let Health::Failed(StorageError::Fatal(why)) = store.health() else { panic!("{n}: not fatal") };
        assert!(why.contains("removed, moved or replaced"), "{n}: {why}");
        assert!(flush(|flushed| store.append(records(3, 1, 10), flushed)).is_err(), "{n}");
    }
}
