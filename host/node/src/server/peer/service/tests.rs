//! Unit tests of the peer service.
use super::*;

#[test]
fn a_bundle_is_whole_ids_and_bounded() {
    assert_eq!(session_ids(&[]), Ok(vec![]));
    assert_eq!(session_ids(&[7; 32]), Ok(vec![SessionId([7; 16]); 2]));
    assert!(session_ids(&[7; 33]).is_err());
    assert!(session_ids(&vec![0; 16 * (TOUCHES_PER_BUNDLE + 1)]).is_err());
}
