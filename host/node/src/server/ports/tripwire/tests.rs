//! Unit tests of `tripwire`.
use super::*;

const WRITTEN: &str = "the file can be written";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("the temporary folder can be written")
}

#[test]
fn two_crashes_on_one_entry_halt_the_member_until_the_file_is_removed() {
    let folder = folder();
    Tripwire::open(folder.path()).expect("a first start").arm(7).expect(WRITTEN);
    Tripwire::open(folder.path()).expect("one crash").arm(7).expect(WRITTEN);
    let error = Tripwire::open(folder.path()).expect_err("two crashes");
    assert!(error.to_string().contains("2 times while applying entry 7"), "{error}");
    assert!(Tripwire::open(folder.path()).is_err(), "it stays halted");
    std::fs::remove_file(folder.path().join(FILE)).expect("the file is there");
    Tripwire::open(folder.path()).expect("the operator decided");
}

#[test]
fn crashes_on_different_entries_and_applied_entries_do_not_count() {
    let folder = folder();
    for index in 1..9 {
        Tripwire::open(folder.path()).expect("another entry").arm(index).expect(WRITTEN);
    }
    let last = Tripwire::open(folder.path()).expect("one crash on the last");
    last.arm(8).expect(WRITTEN);
    last.disarm().expect(WRITTEN);
    Tripwire::open(folder.path()).expect("it was applied").arm(8).expect(WRITTEN);
    Tripwire::open(folder.path()).expect("one crash since");
}

#[test]
fn a_member_that_is_killed_while_it_waits_is_never_halted() {
    let folder = folder();
    for _ in 0..9 {
        let tripwire = Tripwire::open(folder.path()).expect("it was killed while it waited");
        tripwire.arm(7).expect(WRITTEN);
        tripwire.pause().expect(WRITTEN);
    }
}

#[test]
fn a_crash_counts_after_the_entry_went_on_and_is_not_forgotten_when_the_member_is_killed_waiting() {
    let folder = folder();
    let crashes = Tripwire::open(folder.path()).expect("a first start");
    crashes.arm(7).expect(WRITTEN);
    crashes.pause().expect(WRITTEN);
    crashes.resume().expect(WRITTEN);
    let waits = Tripwire::open(folder.path()).expect("one crash");
    waits.arm(7).expect(WRITTEN);
    waits.pause().expect(WRITTEN);
    Tripwire::open(folder.path()).expect("one crash still").arm(7).expect(WRITTEN);
    Tripwire::open(folder.path()).expect_err("two crashes");
}

#[test]
fn without_an_entry_waiting_is_not_noted() {
    let folder = folder();
    let tripwire = Tripwire::open(folder.path()).expect("a first start");
    tripwire.arm(7).expect(WRITTEN);
    tripwire.disarm().expect(WRITTEN);
    tripwire.pause().expect(WRITTEN);
    tripwire.resume().expect(WRITTEN);
    Tripwire::open(folder.path()).expect("no crash").arm(7).expect(WRITTEN);
    Tripwire::open(folder.path()).expect("one crash");
}
