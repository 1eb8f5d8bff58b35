//! Unit tests of `tripwire`.
use super::*;

#[test]
fn three_crashes_on_one_entry_halt_the_member_until_the_file_is_removed() {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    Tripwire::open(folder.path()).expect("a first start").arm(7).expect("the file can be written");
    Tripwire::open(folder.path()).expect("one crash").arm(7).expect("the file can be written");
    Tripwire::open(folder.path()).expect("two crashes").arm(7).expect("the file can be written");
    let error = Tripwire::open(folder.path()).expect_err("three crashes");
    assert!(error.to_string().contains("entry 7"), "{error}");
    assert!(Tripwire::open(folder.path()).is_err(), "it stays halted");
    std::fs::remove_file(folder.path().join(FILE)).expect("the file is there");
    Tripwire::open(folder.path()).expect("the operator decided");
}

#[test]
fn crashes_on_different_entries_and_applied_entries_do_not_count() {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    for index in 1..9 {
        Tripwire::open(folder.path()).expect("another entry").arm(index).expect("the file can be written");
    }
    let last = Tripwire::open(folder.path()).expect("one crash on the last");
    last.arm(8).expect("the file can be written");
    last.disarm().expect("the file can be written");
    Tripwire::open(folder.path()).expect("it was applied").arm(8).expect("the file can be written");
    Tripwire::open(folder.path()).expect("one crash since");
}
