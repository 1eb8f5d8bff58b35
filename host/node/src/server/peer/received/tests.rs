//! Unit tests of `received`.
use super::*;

#[test]
fn a_received_file_goes_with_its_call_unless_it_was_handed_over() {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, b"snapshot").expect("a file can be written");
        path
    };
    let (torn, whole) = (file("torn"), file("whole"));
    drop(ReceivedFile(torn.clone()));
    assert_eq!(ReceivedFile(whole.clone()).hand_over(), whole);
    assert!(!torn.exists() && whole.exists());
}
