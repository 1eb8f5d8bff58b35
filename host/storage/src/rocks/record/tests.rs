//! Unit tests of `record`.
use super::*;

#[test]
fn a_record_in_the_wrong_place_or_with_a_flipped_bit_is_not_decoded() {
    let record = LogRecord { index: 7, bytes: (*b"bytes").into() };
    let value = encode(&record);
    assert_eq!(decode(7, &value), Some(record));
    assert_eq!(decode(8, &value), None);
    for bit in 0..value.len() * 8 {
        let mut flipped = value.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(7, &flipped), None);
    }
    assert_eq!(decode(7, b"abc"), None);
}
