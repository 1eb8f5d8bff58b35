//! Unit tests of `backoff`.
use super::*;

#[test]
fn delays_double_up_to_the_cap_within_their_jitter() {
    let backoff = Backoff { base_ms: 10, max_ms: 500 };
    let table = [(1, 5, 10), (2, 10, 20), (3, 20, 40), (6, 160, 320), (7, 250, 500), (1_000, 250, 500)];
    for (failures, least, most) in table {
        assert_eq!(backoff.delay_ms(failures, 0), least);
        assert_eq!(backoff.delay_ms(failures, u32::MAX), most);
    }
}

#[test]
fn jitter_is_spread() {
    let halves = (0..1_000).filter(|&seed| mix(seed) as u32 > u32::MAX / 2).count();
    assert!((400..600).contains(&halves), "{halves}");
}
