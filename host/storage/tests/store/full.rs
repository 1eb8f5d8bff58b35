//! A disk that fills up: a small tmpfs, where mounting one is allowed.
use std::path::{Path, PathBuf};
use std::process::Command;

use synod_machine::StateView;
use synod_storage::{Checkpoint, Health, LogStore, RocksOptions, RocksStore, StateStore, StorageError};

use crate::support::{PATIENCE, assert_whole, callback, commit, flush, records, small, until};

const ROWS: u64 = 12;

/// A mounted tmpfs; unmounted on drop.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("folder");
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder))
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Fills the disk with a file until at most `left` bytes are free.
pub(crate) fn fill(path: &Path, left: u64) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opened");
    let free = || {
        let out = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(path).output().expect("stat runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.split_whitespace().map(|part| part.parse::<u64>().expect("a number")).product::<u64>()
    };
    while free() > left {
        let step = (free() - left).min(65_536) as usize;
        if file.write_all(&vec![0; step]).is_err() {
            return;
        }
    }
}

fn appends_wait_until_there_is_space(options: &RocksOptions, left: u64) {
    let Some(disk) = SmallDisk::mount(48) else {
        eprintln!("skipped: no right to mount a tmpfs; the classification of errors is tested elsewhere");
        return;
    };
    let store = RocksStore::open(&disk.data(), options).expect("opened");
    flush(|flushed| store.append(records(0, 10, 100), flushed)).expect("flushed");
    commit(&store, 9, ROWS);
    fill(&disk.ballast(), left);
    let (mut next, mut waiting) = (10, Vec::new());
    until("the disk is full", || {
        let (flushed, done) = callback();
        store.append(records(next, 1, 20_000), flushed);
        let result = done.recv_timeout(std::time::Duration::from_millis(300));
        next += 1;
        match result {
            Ok(flushed) => flushed.expect("flushed"),
            Err(_) => waiting.push(done),
        }
        matches!(store.health(), Health::Full)
    });
    assert!(!waiting.is_empty());
    assert_eq!(store.read(0..10, usize::MAX).expect("reads go on"), records(0, 10, 100));
    assert_eq!(assert_whole(&store, ROWS), Some(9));
    assert!(store.view().expect("view").get(synod_machine::Table::System, b"none").expect("read").is_none());

    std::fs::remove_file(disk.ballast()).expect("space is freed");
    for done in waiting {
        done.recv_timeout(PATIENCE).expect("called").expect("flushed when there is space");
    }
    until("the store is ready", || matches!(store.health(), Health::Ready));
    flush(|flushed| store.append(records(next, 1, 10), flushed)).expect("flushed");
    commit(&store, next, ROWS);
    drop(store);
    let store = RocksStore::open(&disk.data(), options).expect("opened again");
    assert_eq!(store.read(0..1_000, usize::MAX).expect("read").len() as u64, next + 1);
    assert_eq!(assert_whole(&store, ROWS), Some(next));
}

#[test]
fn below_the_reserve_the_store_is_full_and_what_it_is_given_fits() {
    let Some(disk) = SmallDisk::mount(48) else {
        eprintln!("skipped: no right to mount a tmpfs");
        return;
    };
    let options = RocksOptions { reserve_bytes: 12 << 20, ..small() };
    let store = RocksStore::open(&disk.data(), &options).expect("opened");
    assert!(matches!(store.health(), Health::Ready) && !store.is_short());
    fill(&disk.ballast(), 11 << 20);
    until("the store is full", || matches!(store.health(), Health::Full));
    assert!(!store.is_short(), "entries still fit");
    flush(|flushed| store.append(records(0, 10, 20_000), flushed)).expect("flushed");
    commit(&store, 9, ROWS);
    fill(&disk.ballast(), 4 << 20);
    until("only votes and purges fit", || store.is_short());
    flush(|flushed| store.save_vote((*b"vote").into(), flushed)).expect("flushed");
    flush(|flushed| store.purge(5, crate::support::id(5), flushed)).expect("purged");
    assert!(matches!(store.checkpoint(), Err(StorageError::Full { .. })), "the reserve is not for it");
    assert_eq!(assert_whole(&store, ROWS), Some(9));
    std::fs::remove_file(disk.ballast()).expect("space is freed");
    until("the store is ready", || matches!(store.health(), Health::Ready) && !store.is_short());
    assert_eq!(store.checkpoint().expect("made").manifest().mark.index, Some(9));
}

/// A follower that needs a snapshot may be the only one that is left.
#[test]
fn who_takes_new_work_has_room_for_a_snapshot_of_what_it_has() {
    let Some(disk) = SmallDisk::mount(48) else {
        eprintln!("skipped: no right to mount a tmpfs");
        return;
    };
    let options = RocksOptions { reserve_bytes: 12 << 20, write_buffer_bytes: 256 << 20, ..small() };
    let store = RocksStore::open(&disk.data(), &options).expect("opened");
    flush(|flushed| store.append(records(0, 10, 100), flushed)).expect("flushed");
    commit(&store, 9, ROWS);
    assert!(matches!(store.health(), Health::Ready));
    assert_eq!(store.checkpoint().expect("made").manifest().mark.index, Some(9));
}

#[test]
fn on_a_full_disk_appends_wait_for_space() {
    appends_wait_until_there_is_space(&small(), 0);
}

#[test]
fn a_store_that_waits_for_space_can_be_closed() {
    let Some(disk) = SmallDisk::mount(48) else {
        eprintln!("skipped: no right to mount a tmpfs");
        return;
    };
    let store = RocksStore::open(&disk.data(), &small()).expect("opened");
    fill(&disk.ballast(), 0);
    let (flushed, done) = callback();
    store.append(records(0, 1, 4 << 20), flushed);
    until("it waits", || matches!(store.health(), Health::Full));
    flush(|flushed| {
        store.append(records(1, 1, 1), flushed);
        store.close();
    })
    .expect_err("not written");
    match done.recv_timeout(PATIENCE).expect("called") {
        Err(StorageError::Full { path }) => assert_eq!(path, disk.data()),
        other => panic!("{other:?}"),
    }
    drop(store);
    std::fs::remove_file(disk.ballast()).expect("space is freed");
    assert_eq!(crate::support::open(&disk.data()).bounds().expect("bounds").last, None);
}

#[test]
fn a_snapshot_that_does_not_fit_changes_nothing() {
    let Some(disk) = SmallDisk::mount(48) else {
        eprintln!("skipped: no right to mount a tmpfs");
        return;
    };
    let store = RocksStore::open(&disk.data(), &small()).expect("opened");
    commit(&store, 9, 30_000);
    fill(&disk.ballast(), 300_000);
    assert!(matches!(store.checkpoint(), Err(StorageError::Full { .. })));
    let left = || std::fs::read_dir(disk.data().join("snapshots")).expect("listed").count();
    until("nothing of it is left", || left() == 0);
    std::fs::remove_file(disk.ballast()).expect("space is freed");
    let mark = |made: Result<Checkpoint, _>| made.ok().map(|made| made.manifest().mark.index);
    until("one is made, whatever met the full disk", || mark(store.checkpoint()) == Some(Some(9)));
    commit(&store, 10, 30_000);
}
