//! Chance for tests that take random turns: a small generator, told from its seed, so that a
//! failing run can be made again.
use std::time::{SystemTime, UNIX_EPOCH};

/// A generator of Knuth's: linear, congruential, of 64 bits.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// One whose seed is the time, which it prints.
    pub fn seeded() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        eprintln!("seed {seed}");
        Self(seed)
    }

    /// One that is the same each time.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether it happened, with a chance of one in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// One that goes its own way from here.
    pub fn fork(&mut self) -> Self {
        Self::new(self.below(1 << 31) << 31 | self.below(1 << 31))
    }
}
