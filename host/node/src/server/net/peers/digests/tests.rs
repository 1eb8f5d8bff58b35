//! Unit tests of `peers::digests`.
use super::*;

#[test]
fn digests_come_back_as_they_were_sent_and_those_of_another_length_are_refused() {
    let own = DigestRecord { index: 7, chain: [1; 32], state: [2; 32] };
    assert_eq!(from_wire(&to_wire(own)), Ok(own));
    let short = Digests { state: vec![2; 31].into(), ..to_wire(own) };
    assert_eq!(from_wire(&short), Err("a digest has 32 bytes, not 31".to_owned()));
}
