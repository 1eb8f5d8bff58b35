//! Unit tests of `generation`: what RocksDB says of what is on disk.
use super::*;
use crate::RocksOptions;
use crate::mark::encode_mark;
use synod_machine::Table;

fn directory(root: &std::path::Path) -> Directory {
    Directory::prepare(root).expect("prepared").0
}

fn prepared() -> Prepared {
    Prepared::new(&RocksOptions::default()).expect("prepared")
}

fn mark(index: u64) -> AppliedMark {
    AppliedMark { index: Some(index), id: (*b"id").into(), membership: (*b"a").into() }
}

fn commit(generation: &Generation, index: u64) {
    let row = Write::Put { table: Table::State, key: b"row".to_vec(), value: index.to_be_bytes().to_vec() };
    generation.write(&[row], &encode_mark(&mark(index))).expect("written");
}

#[test]
fn the_persisted_tier_shows_the_mark_as_of_the_last_flush() {
    let folder = tempfile::tempdir().expect("folder");
    let (directory, prepared) = (directory(folder.path()), prepared());
    let generation = Generation::create(&directory, &prepared, 1).expect("created");
    generation.keep();
    commit(&generation, 3);
    assert_eq!(generation.flushed().expect("read"), AppliedMark::default(), "nothing is flushed");
    assert_eq!(generation.mark(None).expect("read"), mark(3));
    generation.flush().expect("flushed");
    assert_eq!(generation.flushed().expect("read"), mark(3));
    commit(&generation, 4);
    assert_eq!(generation.flushed().expect("read"), mark(3), "what is only in memory is not told");
    generation.flush().expect("flushed");
    commit(&generation, 5);
    assert_eq!(generation.flushed().expect("read"), mark(4));
    drop(generation);
    let generation = Generation::open(&directory, &prepared, 1).expect("opened");
    assert_eq!(
        (generation.flushed().expect("read"), generation.mark(None).expect("read")),
        (mark(5), mark(5)),
        "closing flushes"
    );
}

/// A copy of the files of an open database is what a kill leaves of it.
#[test]
fn what_a_kill_leaves_is_the_flushed_mark_and_the_rows_of_it() {
    let folder = tempfile::tempdir().expect("folder");
    let (directory, prepared) = (directory(folder.path()), prepared());
    let generation = Generation::create(&directory, &prepared, 1).expect("created");
    commit(&generation, 7);
    generation.flush().expect("flushed");
    commit(&generation, 8);
    let killed = directory.state(2);
    std::fs::create_dir(&killed).expect("created");
    for file in std::fs::read_dir(directory.state(1)).expect("listed").filter_map(Result::ok) {
        std::fs::copy(file.path(), killed.join(file.file_name())).expect("copied");
    }
    let left = Generation::open(&directory, &prepared, 2).expect("opened");
    assert_eq!(left.mark(None).expect("read"), mark(7));
    let row = tables::with_key(Table::State, b"row", |key| left.database.get(key)).expect("read");
    assert_eq!(row, Some(7u64.to_be_bytes().to_vec()));
}

#[test]
fn a_generation_that_was_not_kept_goes_with_its_folder_and_one_that_is_missing_is_lost() {
    let folder = tempfile::tempdir().expect("folder");
    let (directory, prepared) = (directory(folder.path()), prepared());
    let generation = Generation::create(&directory, &prepared, 5).expect("created");
    assert!(directory.state(5).exists());
    drop(generation);
    assert!(!directory.state(5).exists());
    let refusal = Generation::open(&directory, &prepared, 5).err().expect("it is missing").to_string();
    assert!(refusal.contains("state-5") && refusal.contains("missing"), "{refusal}");
    assert!(!directory.state(5).exists(), "nothing was created");
}
