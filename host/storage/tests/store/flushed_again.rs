//! A state whose flushes meet a full disk while the log goes on: it is flushed again when there is
//! space, and whenever its process is killed, it is whole up to its mark, and the log has the rest.
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};

use synod_abi::Direction;
use synod_machine::{RangeLimit, StateView, Table, Write};
use synod_storage::{Health, LogRecord, LogStore, RocksStore, StateStore};

use crate::full::fill;
use crate::support::{PATIENCE, append, argument, flush, id, mark, open, payload, role, spawn};

const DISK: &str = "size=24m";
/// Rows that entries write in turn: a buffer of 1 MiB holds some entries of each round.
const SLOTS: u64 = 64;
const VALUE_BYTES: usize = 20_000;
/// Entries that stay in the log behind what is applied.
const KEPT: u64 = 20;
/// Entries after which the state was certainly flushed in between.
const ENTRIES: u64 = 200;

/// When the process is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Killed {
    WhileFull,
    OnceItGoesOn,
    WhileFullAgain,
}

/// A small disk for the state, mounted over its folder; unmounted on drop.
struct StateDisk(PathBuf);

impl StateDisk {
    /// Puts a new store's state there, where mounting is allowed.
    fn mount(root: &Path) -> Option<Self> {
        open(root).close();
        let (state, aside) = (root.join("state-1"), root.with_extension("aside"));
        std::fs::rename(&state, &aside).expect("moved");
        std::fs::create_dir(&state).expect("created");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&state).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no right to mount a tmpfs");
            return None;
        }
        let disk = Self(state);
        for file in std::fs::read_dir(&aside).expect("listed") {
            let file = file.expect("listed");
            std::fs::copy(file.path(), disk.0.join(file.file_name())).expect("copied");
        }
        Some(disk)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    fn fill(&self) {
        fill(&self.ballast(), 0);
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("it was filled");
    }
}

impl Drop for StateDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn key(index: u64) -> Vec<u8> {
    format!("slot{:02}", index % SLOTS).into_bytes()
}

fn value(index: u64) -> Vec<u8> {
    let mut value = format!("as of {index}/").into_bytes();
    value.resize(VALUE_BYTES, b'.');
    value
}

/// Applies entry `index`, which is in the log.
fn apply(store: &RocksStore, index: u64) {
    let write = Write::Put { table: Table::State, key: key(index), value: value(index) };
    store.commit(&[write], &mark(index)).expect("the state is written, when there is space");
}

/// Checks that the state has every entry up to its mark and none behind it; returns the next.
fn assert_whole(store: &RocksStore) -> u64 {
    let next = store.applied().expect("applied").index.map_or(0, |index| index + 1);
    let limit = RangeLimit { rows: usize::MAX, bytes: usize::MAX };
    let view = store.view().expect("view");
    let (rows, _) = view.range(Table::State, b"", b"", Direction::Forward, limit).expect("read");
    let mut expected: Vec<_> = (next.saturating_sub(SLOTS)..next).map(|n| (key(n), value(n))).collect();
    expected.sort();
    assert!(rows == expected, "the state before entry {next} lacks one, or has another");
    next
}

/// Tells the parent.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent listens");
}

/// As a child: appends, applies and purges until it is killed, and tells how it is.
fn write_for_ever(root: &Path) {
    let store = open(root);
    let watched = store.clone();
    std::thread::spawn(move || {
        let mut was_full = false;
        loop {
            let is_full = matches!(watched.health(), Health::Full);
            if is_full != was_full {
                say(if is_full { "full" } else { "ready" });
                was_full = is_full;
            }
            std::thread::yield_now();
        }
    });
    for index in assert_whole(&store).. {
        append(&store, vec![LogRecord { index, bytes: payload(index, 0, 300) }]);
        apply(&store, index);
        if let Some(behind) = index.checked_sub(KEPT) {
            flush(|flushed| store.purge(behind, id(behind), flushed)).expect("purged");
        }
        say(&format!("applied {index}"));
    }
}

struct Told(Receiver<String>);

impl Told {
    fn wait_for(&self, line: &str) {
        while self.0.recv_timeout(PATIENCE).expect("the child goes on") != line {}
    }

    /// Waits until so many entries more are applied.
    fn wait_for_entries(&self, count: u64) {
        let mut applied = 0;
        while applied < count {
            let line = self.0.recv_timeout(PATIENCE).expect("the child goes on");
            applied += u64::from(line.starts_with("applied "));
        }
    }
}

#[test]
fn a_state_whose_flush_met_a_full_disk_goes_on_and_lacks_nothing() {
    if role().is_some() {
        return write_for_ever(&argument("DIR"));
    }
    let folder = tempfile::tempdir().expect("folder");
    let root = folder.path().join("data");
    let Some(disk) = StateDisk::mount(&root) else { return };
    for killed in [Killed::WhileFull, Killed::OnceItGoesOn, Killed::WhileFullAgain] {
        let name = "flushed_again::a_state_whose_flush_met_a_full_disk_goes_on_and_lacks_nothing";
        let mut child = spawn(name, "writer", &[("DIR", &root)]);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let (sender, told) = mpsc::channel();
        std::thread::spawn(move || lines.for_each(|line| drop(sender.send(line))));
        let told = Told(told);
        told.wait_for_entries(10);
        disk.fill();
        told.wait_for("full");
        if killed != Killed::WhileFull {
            disk.free();
            told.wait_for("ready");
            told.wait_for_entries(1);
        }
        if killed == Killed::WhileFullAgain {
            told.wait_for_entries(ENTRIES);
            disk.fill();
            told.wait_for("full");
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
        if disk.ballast().exists() {
            disk.free();
        }

        let store = open(&root);
        let next = assert_whole(&store);
        let records = store.read(0..u64::MAX, usize::MAX).expect("read");
        let (first, last) = (records.first().expect("records").index, records.last().expect("records").index);
        assert_eq!(records.len() as u64, last + 1 - first, "no hole between {first} and {last}");
        assert!(first <= next && next <= last + 1, "the log from {first} to {last} goes on at {next}");
        (next..=last).for_each(|index| apply(&store, index));
        assert_eq!(assert_whole(&store), last + 1);
    }
}
