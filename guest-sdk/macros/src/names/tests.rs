//! Unit tests of `names`.
use super::*;

#[test]
fn the_hash_is_fnv() {
    assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
    assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
}

#[test]
fn names_are_checked() {
    assert!(is_recipe_name("rate-limit"));
    for bad in ["", "Rate", "-a", "a/b", "ä"] {
        assert!(!is_recipe_name(bad), "{bad}");
    }
}
