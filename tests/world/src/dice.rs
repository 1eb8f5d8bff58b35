//! Chance that is told from its seed.
use std::time::Duration;

/// A generator of numbers: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Two of the same seed give
/// the same numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number of 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.bits() % n }
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// A duration from `least` to `most`, in microseconds.
    pub fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        Duration::from_micros(self.between(least.as_micros() as u64, most.as_micros() as u64))
    }

    /// Whether something happens that happens in so many cases of a thousand.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of `items`.
    ///
    /// # Panics
    /// There are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        assert!(!items.is_empty(), "there is something to pick from");
        &items[self.below(items.len() as u64) as usize]
    }

    /// Another generator, whose numbers tell nothing of this one's.
    pub fn fork(&mut self) -> Self {
        Self(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_one_others() {
        let numbers = |seed| {
            let mut dice = Dice::new(seed);
            (0..8).map(|_| dice.bits()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        let mut dice = Dice::new(7);
        assert_ne!(dice.fork().bits(), dice.bits());
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut dice = Dice::new(1);
        assert!((0..1_000).all(|_| dice.below(3) < 3 && (5..=9).contains(&dice.between(5, 9))));
        assert_eq!((dice.below(0), dice.between(4, 4)), (0, 4));
        assert!(!dice.happens(0) && dice.happens(1_000));
    }
}
