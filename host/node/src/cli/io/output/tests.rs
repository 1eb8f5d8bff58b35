//! Unit tests of `output`.
use super::*;

#[test]
fn hashes_are_shown_whole_to_programs_and_short_to_people() {
    assert_eq!(hex(&[0, 255, 16]), "00ff10");
    assert_eq!(short_hex(&[0xab; 32]), "abababababab");
    assert_eq!(short_hex(&[]), "-");
}
