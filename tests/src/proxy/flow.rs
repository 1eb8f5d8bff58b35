//! How bytes get from one end to another, and the count of what was done to them.
use std::sync::atomic::{AtomicU64, Ordering};

/// How bytes flow in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// At once, all of them.
    Open,
    /// In order, each after `delay_ms`, and up to `jitter_ms` more.
    Late {
        /// The least.
        delay_ms: u64,
        /// How much more it can be.
        jitter_ms: u64,
    },
    /// So many a second at most.
    Narrow {
        /// So many.
        bytes_per_second: u64,
    },
    /// None for now, and none is lost: as if packets were sent again and again.
    Held,
    /// They are taken and never arrive. A connection that lost some is reset when that ends,
    /// because nothing that came after would mean anything.
    Swallowed,
    /// One bit in about so many bytes is flipped.
    Garbled {
        /// So many.
        one_in_bytes: u64,
    },
    /// Each connection is reset after up to so long; new ones are taken.
    Flaky {
        /// So long.
        lives_ms: u64,
    },
    /// This direction of each connection is closed in order, and the other one goes on.
    HalfClosed,
    /// Connections that the one end makes to the other are reset, and new ones, too. Those that are
    /// made the other way round live.
    Cut,
}

/// What can happen to bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toll {
    /// Bytes that came late.
    Delayed,
    /// Bytes that were lost.
    Swallowed,
    /// Bits that were flipped.
    Flipped,
    /// Connections that were reset.
    Reset,
    /// Directions that were closed.
    HalfClosed,
    /// Times that a direction of a connection was held up.
    Held,
}

/// How often each happened.
#[derive(Debug, Default)]
pub struct Tolls([AtomicU64; 6]);

impl Tolls {
    pub(super) fn add(&self, toll: Toll, count: u64) {
        self.0[toll as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// How often this happened.
    pub fn of(&self, toll: Toll) -> u64 {
        self.0[toll as usize].load(Ordering::Relaxed)
    }
}
