//! Unit tests of `paced`.
use super::*;

#[test]
fn calls_are_spread_evenly() {
    let ms = Duration::from_millis;
    assert!(due(0, 1_000, ms(0)) && !due(1, 1_000, ms(0)));
    assert!(due(5, 1_000, ms(5)) && !due(6, 1_000, ms(5)));
}
