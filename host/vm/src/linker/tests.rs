//! Unit tests of `linker`.
use super::*;

#[test]
fn slices_outside_of_memory_are_refused() {
    let mut memory = [0; 64];
    assert!(split(&mut memory, (60, 5)).is_err());
    assert!(split(&mut memory, (u32::MAX, u32::MAX)).is_err());
    let (view, out) = split(&mut memory, (16, 16)).expect("within memory");
    assert_eq!(out.len(), 16);
    assert_eq!(view.bytes(0, 16).map(<[u8]>::len), Ok(16));
    assert_eq!(view.bytes(32, 32).map(<[u8]>::len), Ok(32));
    for (pointer, len) in [(0, 17), (31, 1), (32, 33), (u32::MAX, 1), (0, u32::MAX), (65, 0)] {
        assert_eq!(view.bytes(pointer, len), Err(Fault::BadHostCall), "{pointer} {len}");
    }
    assert_eq!(view.bytes(64, 0), Ok(&[][..]));
    assert_eq!(view.bytes(20, 0), Ok(&[][..]));
}
