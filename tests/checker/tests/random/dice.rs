//! Chance for histories that can be drawn again.
/// Chance from a seed: a linear congruential generator of Knuth's.
pub(crate) struct Dice(u64);

impl Dice {
    /// The same turns for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed);
        for _ in 0..4 {
            dice.below(2);
        }
        dice
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
