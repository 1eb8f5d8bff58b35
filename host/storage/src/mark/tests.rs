//! Unit tests of `mark`.
use super::*;

#[test]
fn marks_survive_encoding_and_garbage_is_none() {
    let mark = AppliedMark { index: Some(7), id: (*b"id").into(), membership: (*b"abc").into() };
    let bytes = encode_mark(&mark);
    for mark in [mark, AppliedMark::default()] {
        assert_eq!(decode_mark(&encode_mark(&mark)), Some(mark));
    }
    for cut in 0..bytes.len() {
        assert_eq!(decode_mark(&bytes[..cut]), None);
    }
    let mut nothing = encode_mark(&AppliedMark::default());
    nothing[5] = 0xff;
    assert_eq!(decode_mark(&nothing), None, "an index of nothing");
}
