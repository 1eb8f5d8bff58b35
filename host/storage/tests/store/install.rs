//! Installing snapshots: killed at every step, damaged on the way, and read across.
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;

use synod_abi::{ClusterId, MemberId};
use synod_machine::{StateView, Table};
use synod_storage::{
    ContentHash, IdentityFile, Joined, LogStore, Manifest, RocksOptions, RocksStore, RocksView, StateStore,
    Step, StorageError, Wanted, receive_here,
};

use crate::support::{
    all_rows, append, argument, assert_whole, commit, flush, id, install, mark, open, open_to_die, put,
    records, role, small, spawn, until,
};

const ROWS: u64 = 3_000;

fn generations(root: &Path) -> usize {
    let entries = std::fs::read_dir(root).expect("listed").filter_map(Result::ok);
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("state-")).count()
}

/// Another member's store, with its state at 100.
fn other_store(folder: &Path) -> RocksStore {
    let store = open(folder);
    append(&store, records(0, 101, 10));
    commit(&store, 100, ROWS);
    store
}

fn everything_is_right(_: &RocksView) -> Result<(), String> {
    Ok(())
}

/// What is in the folder of snapshots.
fn left(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("snapshots")).expect("listed").filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// As a child: installs the snapshot and dies after a step.
#[test]
fn killed_after_any_step_the_old_or_the_new_state_is_there_whole() {
    if let Some(step) = role() {
        let store = open_to_die(&argument("DIR"), step);
        return install(&store, &open(&argument("OTHER"))).expect("installed");
    }
    let others = tempfile::tempdir().expect("folder");
    drop(other_store(others.path()));
    let written = Step::INSTALLING.iter().position(|step| *step == Step::SwitchWritten).expect("a step");
    for (nth, step) in Step::INSTALLING.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        append(&store, records(0, 11, 100));
        commit(&store, 10, ROWS);
        drop(store);
        let name = "install::killed_after_any_step_the_old_or_the_new_state_is_there_whole";
        let status = spawn(name, step.name(), &[("DIR", folder.path()), ("OTHER", others.path())])
            .wait()
            .expect("ended");
        assert_eq!(status.signal(), Some(6), "died after {step:?}");

        let store = open(folder.path());
        let expected = if nth < written { 10 } else { 100 };
        assert_eq!(assert_whole(&store, ROWS), Some(expected), "after {step:?}");
        let bounds = store.bounds().expect("bounds");
        let log = (bounds.last.map(|last| last.index), bounds.purged);
        let installed = (None, Some(id(100)));
        assert_eq!(log, if expected == 10 { (Some(10), None) } else { installed }, "after {step:?}");
        assert_eq!(generations(folder.path()), 1, "generations after {step:?}");
        let checkpoint = open(others.path()).checkpoint().expect("made");
        if expected == 10 {
            let receiving = store.receive(checkpoint.manifest().clone()).expect("begun");
            let name = |wanted: &Wanted| receiving.manifest().files[wanted.file].name.clone();
            let tables = receiving.wanted().iter().map(name).filter(|name| name.ends_with(".sst")).count();
            assert_eq!(tables, 0, "what was received is still there after {step:?}");
        } else {
            until("what was received is gone", || left(folder.path()).is_empty());
        }
        let received = receive_here(&store, &checkpoint).expect("received");
        let incoming = store.prepare(received, &everything_is_right).expect("prepared");
        store.install(incoming).expect("installed again");
        assert_eq!(left(folder.path()), Vec::<String>::new());
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
    let other = other_store(&folder.path().join("other"));
    let root = folder.path().join("data");
    let store = open(&root);
    append(&store, records(0, 11, 100));
    commit(&store, 10, ROWS);
    let (old, latest) = (store.view().expect("view"), store.latest().expect("view"));
    let before = all_rows(&old);
    install(&store, &other).expect("installed");
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
fn a_bad_snapshot_changes_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let other = other_store(&folder.path().join("other"));
    let checkpoint = other.checkpoint().expect("made");
    let root = folder.path().join("data");
    let store = open(&root);
    append(&store, records(0, 11, 100));
    commit(&store, 10, ROWS);
    let with = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = checkpoint.manifest().clone();
        change(&mut manifest);
        manifest
    };
    let position = |name: &str| checkpoint.manifest().files.iter().position(|file| file.name.contains(name));
    let table = position(".sst").expect("there is a table");
    let current = position("CURRENT").expect("there is a current manifest");
    let bad = [
        with(&|manifest| manifest.mark.index = Some(99)),
        with(&|manifest| manifest.mark.membership = (*b"others").into()),
        with(&|manifest| drop(manifest.files.remove(table))),
        with(&|manifest| drop(manifest.files.remove(current))),
        with(&|manifest| manifest.files[table].name = "000999.sst".to_owned()),
        with(&|manifest| {
            let name = std::mem::take(&mut manifest.files[table].name);
            manifest.files[table].name = std::mem::replace(&mut manifest.files[current].name, name);
        }),
    ];
    for manifest in bad {
        let mut receiving = store.receive(manifest.clone()).expect("begun");
        for wanted in receiving.wanted() {
            let hash = manifest.files[wanted.file].hash;
            let place = checkpoint.manifest().files.iter().position(|file| file.hash == hash);
            let bytes = checkpoint.read(place.expect("it is sent"), wanted.from_byte, usize::MAX);
            receiving.write(wanted.file, wanted.from_byte, &bytes.expect("read")).expect("written");
        }
        let refused = store.prepare(receiving, &everything_is_right).map(drop);
        assert!(matches!(refused, Err(StorageError::BadSnapshot(_))), "{manifest:?}: {refused:?}");
        assert_eq!((left(&root), generations(&root)), (vec![], 1));
    }
    let received = receive_here(&store, &checkpoint).expect("received");
    let refused = store.prepare(received, &|_| Err("its rows are others".to_owned())).map(drop);
    let why = refused.expect_err("the rows are not right").to_string();
    assert!(why.contains("its rows are others"), "{why}");
    assert_eq!((left(&root), generations(&root)), (vec![], 1));
    assert_eq!(assert_whole(&store, ROWS), Some(10));
    commit(&store, 11, ROWS);
}

#[test]
fn a_snapshot_is_of_one_moment_while_others_write() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    append(&store, records(0, 60, 10));
    commit(&store, 1, ROWS);
    let writer = std::thread::spawn({
        let store = store.clone();
        move || (2..60).for_each(|index| commit(&store, index, ROWS))
    });
    let other = tempfile::tempdir().expect("folder");
    let copy = open(other.path());
    while !writer.is_finished() {
        install(&copy, &store).expect("installed");
        assert_whole(&copy, ROWS);
    }
    writer.join().expect("written");
}

#[test]
fn a_snapshot_shares_the_files_of_the_state_and_of_the_snapshot_before() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    append(&store, records(0, 3, 10));
    commit(&store, 1, ROWS);
    let first = store.checkpoint().expect("made");
    store.commit(&[put(Table::State, "more", "rows")], &mark(2)).expect("written");
    let second = store.checkpoint().expect("made");
    assert_eq!((first.manifest().mark.index, second.manifest().mark.index), (Some(1), Some(2)));
    let tables = |of: &Manifest| -> BTreeSet<ContentHash> {
        of.files.iter().filter(|file| file.name.ends_with(".sst")).map(|file| file.hash).collect()
    };
    let (before, after) = (tables(first.manifest()), tables(second.manifest()));
    assert!(before.is_subset(&after) && after.len() == before.len() + 1, "{before:?} {after:?}");
    let data = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("listed").filter_map(Result::ok);
        let tables = entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "sst"));
        tables.map(|entry| entry.metadata().expect("there").ino()).collect::<BTreeSet<_>>()
    };
    let sent = folder.path().join("snapshots/sent-1");
    assert_eq!(data(&sent), data(&folder.path().join("state-1")), "nothing was copied");
    assert_eq!(second.handles(), 1);
    drop(first);
    until("the first one is gone", || left(folder.path()) == ["sent-1"]);
    drop(second);
    until("the second one is gone", || left(folder.path()).is_empty());
}

#[test]
fn the_steps_are_told_to_the_hook_of_the_options() {
    let folder = tempfile::tempdir().expect("folder");
    let other = other_store(&folder.path().join("other"));
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let hook = told.clone();
    let mut options = small();
    options.on_step = Some(std::sync::Arc::new(move |step| hook.lock().expect("unpoisoned").push(step)));
    let store = RocksStore::open(&folder.path().join("data"), &options).expect("opened");
    install(&store, &other).expect("installed");
    let mut told = told.lock().expect("unpoisoned").clone();
    let listed = [&Step::CREATING[..], &Step::INSTALLING].concat();
    told.retain(|step| listed.contains(step));
    assert_eq!(told, listed);
}

#[test]
fn a_snapshot_of_another_cluster_is_refused_by_its_header() {
    let folders = [tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder")];
    let stores = folders.each_ref().map(|folder| {
        let identity = IdentityFile::open(folder.path(), "a", || Ok(MemberId(1))).expect("drawn");
        let identity = Arc::new(identity);
        let options = RocksOptions { identity: Some(identity.clone()), ..small() };
        (RocksStore::open(folder.path(), &options).expect("opened"), identity)
    });
    let [(from, theirs), (to, ours)] = stores;
    append(&from, records(0, 101, 10));
    commit(&from, 100, ROWS);
    let [one, other] = [[1; 16], [2; 16]].map(ClusterId);
    theirs.join(one, Joined::Formed(vec!["a=host:1".to_owned()])).expect("promised");
    let manifest = from.checkpoint().expect("made").manifest().clone();
    assert_eq!(manifest.cluster, Some(one), "a promise counts from when it is made");
    ours.join(other, Joined::Formed(vec!["a=host:2".to_owned()])).expect("promised");
    let refused = to.receive(manifest.clone()).err().expect("refused").to_string();
    assert!(refused.contains(&one.to_string()) && refused.contains(&other.to_string()), "{refused}");
    let received = folders[1].path().join("snapshots/received");
    assert!(!received.exists(), "nothing is kept for it");

    let manifest = Manifest { cluster: Some(other), ..manifest };
    assert!(!to.receive(manifest).expect("its own is received").wanted().is_empty());
}
