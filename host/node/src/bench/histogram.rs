//! Latencies in a fixed amount of memory: buckets whose width grows with the value, 64 per power of
//! two, so quantiles are exact to 1.6 %.

/// Buckets per power of two, as a power of two.
const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
/// Largest power of two with buckets of its own: 2^36 µs is 19 hours.
const POWERS: usize = 36;

/// A histogram of microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; SUB * (POWERS - SUB_BITS as usize + 1)], total: 0, max: 0 }
    }
}

fn index(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    SUB * shift as usize + (value >> shift) as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    if index < 2 * SUB {
        return index as u64;
    }
    let shift = (index / SUB - 1) as u32;
    let base = (index % SUB + SUB) as u64;
    ((base + 1) << shift) - 1
}

impl Histogram {
    /// Adds a latency.
    pub(crate) fn add(&mut self, micros: u64) {
        let last = self.counts.len() - 1;
        self.counts[index(micros).min(last)] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    /// Adds all of another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The largest.
    pub(crate) const fn max(&self) -> u64 {
        self.max
    }

    /// The value that `per_mille` of 1,000 do not exceed; 0 if there are none.
    pub(crate) fn quantile(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(at).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests;
