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
mod tests;
