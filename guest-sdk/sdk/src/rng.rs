//! Pseudo-random numbers that are the same on every member: SplitMix64 (Steele, Lea, Flood 2014)
//! over the command's seed. For jitter and fair choices; every member can compute them, so never
//! for secrets.

/// A generator; see [`QueryCtx::rng`](crate::QueryCtx::rng).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: [u8; 16], stream: u64) -> Self {
        let seed = u128::from_le_bytes(seed);
        let mut rng = Self(seed as u64 ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        Self(rng.next_u64() ^ (seed >> 64) as u64)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, each about equally often; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
