//! A process that dies at each step of creating, purging and truncating: what was on disk is there,
//! and the store goes on. The steps of installing are in `install`.
//!
//! The short form dies a few times at each step, `make soak WHAT=store` twenty times.
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use synod_storage::{LogStore, Step};

use crate::support::{
    append, argument, assert_whole, commit, flush, id, open, open_to_die, payload, records, role, spawn,
};

const ROWS: u64 = 12;
/// Enough to be removed from disk at once.
const PURGED: u64 = 1_500;
/// What the truncated log has.
const KEPT: u64 = 40;
const CUT: u64 = 25;

fn rounds() -> u64 {
    if std::env::var_os("SYNOD_SOAK").is_some() { 20 } else { 2 }
}

/// Has a child run the test `name` in the folder until it dies at `step`.
fn die(name: &str, step: Step, folder: &Path) {
    let status = spawn(name, step.name(), &[("DIR", folder)]).wait().expect("ended");
    assert_eq!(status.signal(), Some(libc::SIGABRT), "it dies at {step:?}");
}

/// As a child: creates a store and dies at a step of that.
#[test]
fn killed_at_any_step_of_creating_the_next_start_has_a_store() {
    if let Some(step) = role() {
        return drop(open_to_die(&argument("DIR"), step));
    }
    let name = "killed::killed_at_any_step_of_creating_the_next_start_has_a_store";
    for _ in 0..rounds() {
        let both = tempfile::tempdir().expect("folder");
        for step in Step::CREATING {
            let folder = tempfile::tempdir().expect("folder");
            die(name, step, folder.path());
            if step != Step::CreateWhole {
                die(name, step, both.path());
            }
            let store = open(folder.path());
            assert_eq!(assert_whole(&store, ROWS), None, "{step:?}");
            append(&store, records(0, 3, 10));
            commit(&store, 2, ROWS);
            drop(store);
            let store = open(folder.path());
            assert_eq!(store.read(0..9, usize::MAX).expect("read"), records(0, 3, 10), "{step:?}");
        }
        append(&open(both.path()), records(0, 3, 10));
    }
}

/// As a child: purges behind the state and dies at a step of that.
#[test]
fn killed_at_any_step_of_purging_the_log_begins_before_or_behind_it_without_a_hole() {
    if let Some(step) = role() {
        let store = open_to_die(&argument("DIR"), step);
        let last = store.bounds().expect("bounds").last.expect("records").index;
        commit(&store, last, ROWS);
        flush(|flushed| store.purge(last - 1, id(last - 1), flushed)).expect("purged");
        return store.close();
    }
    let name = "killed::killed_at_any_step_of_purging_the_log_begins_before_or_behind_it_without_a_hole";
    for step in Step::PURGING {
        let folder = tempfile::tempdir().expect("folder");
        let (mut first, mut end) = (0, 0);
        for round in 0..rounds() {
            let store = open(folder.path());
            append(&store, records(end, PURGED + round, 30));
            end += PURGED + round;
            drop(store);
            die(name, step, folder.path());
            let store = open(folder.path());
            if step != Step::PurgeBegun {
                first = end - 1;
            }
            let purged = first.checked_sub(1).map(id);
            assert_eq!(store.bounds().expect("bounds").purged, purged, "round {round}, {step:?}");
            let expected = records(first, end - first, 30);
            assert!(store.read(0..end, usize::MAX).expect("read") == expected, "round {round}, {step:?}");
            assert_eq!(assert_whole(&store, ROWS), Some(end - 1), "round {round}, {step:?}");
        }
    }
}

/// As a child: truncates the log and dies at a step of that.
#[test]
fn killed_at_any_step_of_truncating_the_old_or_the_shorter_log_is_there() {
    if let Some(step) = role() {
        let store = open_to_die(&argument("DIR"), step);
        return flush(|flushed| store.truncate_from(CUT, flushed)).expect("truncated");
    }
    let name = "killed::killed_at_any_step_of_truncating_the_old_or_the_shorter_log_is_there";
    for step in Step::TRUNCATING {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        append(&store, records(0, CUT, 30));
        commit(&store, CUT - 1, ROWS);
        drop(store);
        for round in 0..rounds() {
            let with = |index| synod_storage::LogRecord { index, bytes: payload(index, round, 30) };
            let later: Vec<_> = (CUT..KEPT).map(with).collect();
            let store = open(folder.path());
            flush(|flushed| store.truncate_from(CUT, flushed)).expect("truncated");
            append(&store, later.clone());
            drop(store);
            die(name, step, folder.path());
            let store = open(folder.path());
            let mut expected = records(0, CUT, 30);
            if step == Step::TruncateBegun {
                expected.extend(later);
            }
            assert_eq!(store.read(0..KEPT, usize::MAX).expect("read"), expected, "round {round}, {step:?}");
            assert_eq!(assert_whole(&store, ROWS), Some(CUT - 1), "round {round}, {step:?}");
        }
    }
}
