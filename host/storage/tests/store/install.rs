//! Installing snapshots: killed at every step, damaged on the way, and read across.
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use synod_machine::{StateView, Table};
use synod_storage::{InstallStep, LogStore, SnapshotFile, StateStore, StorageError};

use crate::support::{
    all_rows, append, argument, assert_whole, commit, flush, id, open, records, role, small, spawn,
};

const ROWS: u64 = 3_000;

fn generations(root: &Path) -> usize {
    let entries = std::fs::read_dir(root).expect("listed").filter_map(Result::ok);
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("state-")).count()
}

/// A snapshot of another member's state at 100, in a file of its own.
fn foreign_snapshot(path: &Path) {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    commit(&store, 100, ROWS);
    std::fs::copy(store.build_snapshot().expect("built").path, path).expect("copied");
}

fn received<S: StateStore>(store: &S, from: &Path) -> SnapshotFile {
    let path = store.receive_path().expect("path");
    std::fs::copy(from, &path).expect("copied");
    store.open_snapshot(&path).expect("opened")
}

/// As a child: installs the snapshot and dies after a step.
#[test]
fn killed_after_any_step_the_old_or_the_new_state_is_there_whole() {
    if let Some(step) = role() {
        let store = open(&argument("DIR"));
        let file = received(&store, &argument("SNAPSHOT"));
        let _ = store.install_snapshot_with(&file, &|at| {
            if at.name() == step {
                std::process::abort();
            }
        });
        return;
    }
    let snapshots = tempfile::tempdir().expect("folder");
    let snapshot = snapshots.path().join("snapshot");
    foreign_snapshot(&snapshot);
    for step in InstallStep::ALL {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        append(&store, records(0, 11, 100));
        commit(&store, 10, ROWS);
        drop(store);
        let name = "install::killed_after_any_step_the_old_or_the_new_state_is_there_whole";
        let status = spawn(name, step.name(), &[("DIR", folder.path()), ("SNAPSHOT", &snapshot)])
            .wait()
            .expect("ended");
        assert_eq!(status.signal(), Some(6), "died after {step:?}");

        let store = open(folder.path());
        let expected = if step < InstallStep::Switched { 10 } else { 100 };
        assert_eq!(assert_whole(&store, ROWS), Some(expected), "after {step:?}");
        let bounds = store.bounds().expect("bounds");
        let log = (bounds.last.map(|last| last.index), bounds.purged);
        let installed = (None, Some(id(100)));
        assert_eq!(log, if expected == 10 { (Some(10), None) } else { installed }, "after {step:?}");
        assert_eq!(
            std::fs::read_dir(folder.path().join("snapshots")).expect("listed").count(),
            0,
            "leftovers after {step:?}"
        );
        assert_eq!(generations(folder.path()), 1, "generations after {step:?}");

        store.install_snapshot(&received(&store, &snapshot)).expect("installed again");
        assert_eq!(assert_whole(&store, ROWS), Some(100));
        flush(|flushed| store.purge(100, id(100), flushed)).expect("purged");
        append(&store, records(101, 2, 10));
        commit(&store, 102, ROWS);
        drop(store);
        let store = open(folder.path());
        assert_eq!(assert_whole(&store, ROWS), Some(102));
        assert_eq!(store.read(0..1_000, usize::MAX).expect("read"), records(101, 2, 10));
    }
}

#[test]
fn a_view_keeps_its_generation_and_a_new_one_sees_the_new() {
    let folder = tempfile::tempdir().expect("folder");
    let snapshot = folder.path().join("snapshot");
    foreign_snapshot(&snapshot);
    let root = folder.path().join("data");
    let store = open(&root);
    append(&store, records(0, 11, 100));
    commit(&store, 10, ROWS);
    let (old, latest) = (store.view().expect("view"), store.latest().expect("view"));
    let before = all_rows(&old);
    store.install_snapshot(&received(&store, &snapshot)).expect("installed");
    assert_eq!(generations(&root), 2);
    assert!(all_rows(&old) == before && all_rows(&latest) == before);
    assert_eq!(
        store.view().expect("view").get(Table::System, b"row000000").expect("read"),
        Some(b"as of 100".to_vec())
    );
    drop(store);
    assert!(all_rows(&old) == before, "a view outlives the store");
    drop(old);
    assert!(all_rows(&latest) == before && generations(&root) == 2);
    drop(latest);
    assert_eq!(generations(&root), 1, "the old generation goes with its last view");
}

#[test]
fn a_damaged_snapshot_changes_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let snapshot = folder.path().join("snapshot");
    foreign_snapshot(&snapshot);
    let root = folder.path().join("data");
    let store = open(&root);
    append(&store, records(0, 11, 100));
    commit(&store, 10, ROWS);
    let whole = std::fs::read(&snapshot).expect("read");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&snapshot, &flipped).expect("written");
    let file = received(&store, &snapshot);
    assert!(matches!(store.install_snapshot(&file), Err(StorageError::BadSnapshot(_))));
    std::fs::write(&snapshot, &whole[..whole.len() - 1]).expect("written");
    let path = store.receive_path().expect("path");
    std::fs::copy(&snapshot, &path).expect("copied");
    assert!(matches!(store.open_snapshot(&path), Err(StorageError::BadSnapshot(_))));
    std::fs::write(&snapshot, &whole).expect("written");
    let mut other = received(&store, &snapshot);
    other.meta.rows += 1;
    assert!(matches!(store.install_snapshot(&other), Err(StorageError::BadSnapshot(_))));
    assert_eq!(assert_whole(&store, ROWS), Some(10));
    assert_eq!(generations(&root), 1);
    commit(&store, 11, ROWS);
}

#[test]
fn a_snapshot_is_of_one_moment_while_others_write() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    commit(&store, 1, ROWS);
    let writer = std::thread::spawn({
        let store = store.clone();
        move || (2..60).for_each(|index| commit(&store, index, ROWS))
    });
    let other = tempfile::tempdir().expect("folder");
    let copy = open(other.path());
    while !writer.is_finished() {
        copy.install_snapshot(&store.build_snapshot().expect("built")).expect("installed");
        assert_whole(&copy, ROWS);
    }
    writer.join().expect("written");
}

#[test]
fn the_steps_are_also_told_to_the_hook_of_the_options() {
    let folder = tempfile::tempdir().expect("folder");
    let snapshot = folder.path().join("snapshot");
    foreign_snapshot(&snapshot);
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let hook = told.clone();
    let mut options = small();
    options.on_install_step =
        Some(std::sync::Arc::new(move |step| hook.lock().expect("unpoisoned").push(step)));
    let store = synod_storage::RocksStore::open(&folder.path().join("data"), &options).expect("opened");
    store.install_snapshot(&received(&store, &snapshot)).expect("installed");
    assert_eq!(*told.lock().expect("unpoisoned"), InstallStep::ALL);
}
