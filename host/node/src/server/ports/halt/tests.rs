//! Unit tests of `ports::halt`.
use super::*;

#[test]
fn a_member_that_stopped_for_good_does_not_start_again_and_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let halt = Halt::in_folder(folder.path());
    halt.check().expect("it may start");
    let told = halt.halt("its digests are wrong after entry 7");
    assert!(told.contains("after entry 7") && told.contains("--replace-lost"), "{told}");
    let refused = halt.check().expect_err("it may not start").to_string();
    assert!(refused.contains("after entry 7") && refused.contains("--replace-lost"), "{refused}");
}

#[test]
fn a_reason_that_cannot_be_written_down_is_told_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = Halt::in_folder(&folder.path().join("gone")).halt("its digests are wrong");
    assert!(told.contains("its digests are wrong") && told.contains("do not start"), "{told}");
}
