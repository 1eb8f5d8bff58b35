//! Data directories that must be refused, with nothing changed.
use std::collections::BTreeMap;
use std::path::Path;

use synod_storage::{RocksStore, StorageError};

use crate::support::{open, small};

fn refusal(root: &Path) -> String {
    match RocksStore::open(root, &small()) {
        Err(StorageError::Unusable(message)) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

fn contents(root: &Path) -> BTreeMap<std::path::PathBuf, Option<Vec<u8>>> {
    let entries = std::fs::read_dir(root).expect("listed").filter_map(Result::ok).map(|entry| entry.path());
    entries
        .flat_map(|path| {
            if path.is_dir() { contents(&path) } else { [(path.clone(), std::fs::read(&path).ok())].into() }
        })
        .collect()
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().expect("folder");
    drop(open(folder.path()));
    std::fs::write(folder.path().join("FORMAT"), "synod data format 3\n").expect("written");
    let before = contents(folder.path());
    let message = refusal(folder.path());
    assert!(message.contains("format 3") && message.contains("knows format 2"), "{message}");
    assert!(before == contents(folder.path()));
    for nonsense in ["nonsense", "synod data format +2\n", "synod data format 02\n"] {
        std::fs::write(folder.path().join("FORMAT"), nonsense).expect("written");
        assert!(refusal(folder.path()).contains("FORMAT"), "{nonsense}");
    }
}

#[test]
fn a_folder_with_other_things_in_it_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("thesis.txt"), "precious").expect("written");
    assert!(refusal(folder.path()).contains("thesis.txt"));
    assert_eq!(contents(folder.path()).len(), 1);
    let file = folder.path().join("thesis.txt");
    assert!(refusal(&file).contains("cannot be created"));
}

#[test]
fn a_directory_in_use_is_refused_until_it_is_free() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    assert!(refusal(folder.path()).contains("in use by another process"));
    drop(store);
    drop(open(folder.path()));
}
