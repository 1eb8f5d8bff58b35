//! Unit tests of `rng`.
use super::*;

#[test]
fn the_numbers_of_a_seed_never_change() {
    let mut rng = Rng(1_234_567);
    assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
    assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    let mut one = Rng::new([7; 16], 0);
    let mut other = Rng::new([7; 16], 1);
    assert_ne!(one.next_u64(), other.next_u64());
    assert!((0..1_000).all(|_| one.below(3) < 3));
}
