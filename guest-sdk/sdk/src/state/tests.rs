//! Unit tests of `state`.
use super::*;

#[test]
fn behind_carries_over_full_bytes() {
    assert_eq!(behind(vec![1, 2]), [1, 3]);
    assert_eq!(behind(vec![1, 0xff, 0xff]), [2]);
    assert!(behind(vec![0xff]).is_empty());
}
