//! How long to wait before trying again: exponential, capped, with jitter, so that clients that
//! failed together do not come back together.

/// An exponential backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt, at most.
    pub base_ms: u64,
    /// Before any attempt, at most.
    pub max_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 10, max_ms: 500 }
    }
}

impl Backoff {
    /// How long to wait after `failures` failures (from 1): between half of the step and the step,
    /// as `jitter` says.
    pub const fn delay_ms(&self, failures: u32, jitter: u32) -> u64 {
        let doublings = if failures > 20 { 20 } else { failures.saturating_sub(1) };
        let grown = self.base_ms.saturating_mul(1 << doublings);
        let step = if grown < self.max_ms { grown } else { self.max_ms };
        let half = step / 2;
        half + (step - half) * jitter as u64 / u32::MAX as u64
    }
}

/// A well-spread number from a counter or seed, for jitter (SplitMix64). Not for secrets.
pub const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
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
}
