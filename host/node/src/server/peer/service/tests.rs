//! Unit tests of `peer_service`.
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

#[test]
fn a_bundle_is_whole_ids_and_bounded() {
    assert_eq!(session_ids(&[]), Ok(vec![]));
    assert_eq!(session_ids(&[7; 32]), Ok(vec![SessionId([7; 16]); 2]));
    assert!(session_ids(&[7; 33]).is_err());
    assert!(session_ids(&vec![0; 16 * (TOUCHES_PER_BUNDLE + 1)]).is_err());
}
