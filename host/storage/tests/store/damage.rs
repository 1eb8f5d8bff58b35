//! Every file of a member is damaged in every way: the store says so, or nothing is missing.
//!
//! `make soak WHAT=store` damages each file at more places.
use std::path::{Path, PathBuf};

use synod_machine::StateView;
use synod_storage::{LogStore, MemoryStore, RocksStore, StateStore, StorageError};

use crate::support::{all_rows, append, commit, flush, id, open, payload, small};

const RECORDS: u64 = 60;
const ROWS: u64 = 12;
const PLACES: u64 = 2;
const PLACES_OF_SOAK: u64 = 12;

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip(u64),
    Cut(u64),
    Zero(u64),
    Delete,
    Swap,
}

/// A store that was closed in order: flushed more than once, purged, reopened.
fn filled(root: &Path) {
    for from in [0, 20, 40] {
        let store = open(root);
        for index in from..from + 20 {
            let record = synod_storage::LogRecord { index, bytes: payload(index, 0, 300) };
            append(&store, vec![record]);
            commit(&store, index, ROWS);
        }
        flush(|flushed| store.save_vote((*b"vote").into(), flushed)).expect("saved");
        if from == 20 {
            flush(|flushed| store.purge(10, id(10), flushed)).expect("purged");
        }
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).expect("listed").filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("it is below"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("created");
        std::fs::copy(&file, target).expect("copied");
    }
    std::fs::create_dir_all(to.join("snapshots")).expect("created");
}

/// Damages a file; false if it is too short to be.
fn damage(path: &Path, other: &Path, damage: Damage) -> bool {
    let mut bytes = std::fs::read(path).expect("read");
    let at = |place: u64, places: u64| (bytes.len() as u64 * place / places) as usize;
    if bytes.is_empty() && !matches!(damage, Damage::Delete | Damage::Swap) {
        return false;
    }
    match damage {
        Damage::Flip(place) => {
            let at = at(place, places());
            bytes[at] ^= 0x10;
        }
        Damage::Cut(place) => {
            let at = at(place, places());
            bytes.truncate(at);
        }
        Damage::Zero(place) => {
            let at = at(place, places());
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
        }
        Damage::Delete => {
            std::fs::remove_file(path).expect("removed");
            return true;
        }
        Damage::Swap => bytes = std::fs::read(other).expect("read"),
    }
    std::fs::write(path, bytes).expect("written");
    true
}

fn places() -> u64 {
    if std::env::var_os("SYNOD_SOAK").is_some() { PLACES_OF_SOAK } else { PLACES }
}

/// Reads all that a store holds: an error is damage that was found. Otherwise everything must be
/// there, or be run again from the log.
fn check(root: &Path, what: &str) -> Result<(), StorageError> {
    let store = RocksStore::open(root, &small())?;
    let mark = store.applied()?;
    let bounds = store.bounds()?;
    assert_eq!(bounds.last.as_ref().map(|last| last.index), Some(RECORDS - 1), "{what}");
    let log = store.read(0..u64::MAX, usize::MAX)?;
    let first = log.first().map_or(RECORDS, |record| record.index);
    assert_eq!(log.len() as u64, RECORDS - first, "{what}: no hole");
    for record in &log {
        assert_eq!(record.bytes, payload(record.index, 0, 300), "{what}");
    }
    assert_eq!(store.vote()?.as_deref(), Some(b"vote".as_slice()), "{what}");
    let view = store.view()?;
    let limit = synod_machine::RangeLimit { rows: usize::MAX, bytes: usize::MAX };
    let mut found = 0;
    for table in synod_machine::Table::ALL {
        let rows =
            synod_machine::StateView::range(&view, table, b"", b"", synod_abi::Direction::Forward, limit);
        let (rows, _) = rows.map_err(|error| StorageError::Fatal(error.to_string()))?;
        found += rows.len() as u64;
        let expected = mark.index.map(|index| format!("as of {index}").into_bytes());
        assert!(rows.iter().all(|(_, value)| Some(value) == expected.as_ref()), "{what}: rows of one moment");
    }
    assert_eq!(found, if mark.index.is_some() { ROWS } else { 0 }, "{what}: every row");
    assert!(first <= mark.index.map_or(0, |index| index + 1), "{what}: the log has what the state lacks");
    Ok(())
}

#[test]
fn damage_to_any_file_is_found_or_harmless() {
    let whole = tempfile::tempdir().expect("folder");
    filled(whole.path());
    check(whole.path(), "undamaged").expect("it is whole");
    let all = files(whole.path());
    let (mut found, mut harmless) = (0, 0);
    for (nth, file) in all.iter().enumerate() {
        let name = file.strip_prefix(whole.path()).expect("it is below");
        let other = &all[(nth + 1) % all.len()];
        let at_places =
            (0..places()).flat_map(|place| [Damage::Flip(place), Damage::Cut(place), Damage::Zero(place)]);
        for kind in at_places.chain([Damage::Delete, Damage::Swap]) {
            let damaged = tempfile::tempdir().expect("folder");
            copy(whole.path(), damaged.path());
            if !damage(&damaged.path().join(name), other, kind) {
                continue;
            }
            match check(damaged.path(), &format!("{kind:?} of {}", name.display())) {
                Ok(()) => harmless += 1,
                Err(_) => found += 1,
            }
        }
    }
    eprintln!("{found} damages were found, {harmless} were harmless");
    assert!(found > 20 && harmless > 20);
}

#[test]
fn a_row_with_a_flipped_bit_cannot_be_read_from_the_store_in_memory_until_it_is_written_again() {
    let store = MemoryStore::new();
    assert!(!store.flip(7), "there is no row");
    commit(&store, 1, ROWS);
    let rows = all_rows(&store.view().expect("a view"));
    assert!(store.flip(7));
    let store = store.reopen();
    for view in [store.view(), store.latest()].map(|view| view.expect("a view")) {
        let bad: Vec<_> = rows.iter().filter(|(table, (key, _))| view.get(*table, key).is_err()).collect();
        assert_eq!(bad.len(), 1);
        let (table, (key, _)) = bad[0];
        let one = synod_machine::RangeLimit { rows: 1, bytes: usize::MAX };
        assert!(view.range(*table, key, &[], synod_abi::Direction::Forward, one).is_err());
    }
    commit(&store, 2, ROWS);
    assert!(!store.is_flipped());
    assert_eq!(all_rows(&store.view().expect("a view")).len(), rows.len());
}

#[test]
fn a_flipped_bit_is_gone_with_a_row_that_a_crash_forgets() {
    let store = MemoryStore::manual();
    commit(&store, 1, ROWS);
    assert!(store.flip(7));
    assert!(!store.crash(0).is_flipped(), "nothing was flushed");
}
