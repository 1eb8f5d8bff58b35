//! A recipe that misbehaves in every way that compiles, for the tests of limits. Nothing to learn from.
use synod_sdk::prelude::*;

/// Never seen: every operation ends before it could return it.
#[errors]
pub enum HostileError {
    /// On purpose, after writing.
    #[error(7, aborted)]
    Refused,
}

/// What misbehaves.
#[recipe(name = "hostile", version = 1)]
pub struct Hostile {
    rows: Map<String, Blob>,
    numbers: Map<u64, u64>,
}

#[ops]
impl Hostile {
    /// Loops without end.
    #[op]
    fn spin(&self, cx: &mut Ctx) -> u64 {
        self.numbers.put(cx, &0, &1);
        let mut n = 0_u64;
        while core::hint::black_box(n) < u64::MAX {
            n += 1;
        }
        n
    }

    /// Recurses without end.
    #[op]
    fn recurse(&self, cx: &mut Ctx, depth: u64) -> u64 {
        self.numbers.put(cx, &0, &1);
        deeper(core::hint::black_box(depth))
    }

    /// Allocates without end.
    #[op]
    fn allocate(&self, cx: &mut Ctx) -> u64 {
        self.numbers.put(cx, &0, &1);
        let mut hoard = Vec::new();
        loop {
            hoard.push(core::hint::black_box(vec![1_u8; 65_536]));
        }
    }

    /// Writes without end.
    #[op]
    fn write(&self, cx: &mut Ctx) -> u64 {
        for n in 0..u64::MAX {
            self.numbers.put(cx, &n, &n);
        }
        0
    }

    /// Panics.
    #[op]
    fn panic(&self, cx: &mut Ctx) -> u64 {
        self.numbers.put(cx, &0, &1);
        panic!("on purpose")
    }

    /// Writes, and then refuses.
    #[op]
    fn refuse(&self, cx: &mut Ctx) -> Result<u64, HostileError> {
        self.numbers.put(cx, &0, &1);
        Err(HostileError::Refused)
    }

    /// Writes a value of `bytes` bytes under a key of `key_bytes` bytes.
    #[op]
    fn store(&self, cx: &mut Ctx, key_bytes: u32, bytes: u32) -> u64 {
        self.rows.put(cx, "k".repeat(key_bytes as usize).as_str(), &Blob::from(vec![7; bytes as usize]));
        u64::from(bytes)
    }

    /// Answers `bytes` bytes.
    #[op]
    fn answer(&self, _cx: &mut Ctx, bytes: u32) -> Blob {
        Blob::from(vec![7; bytes as usize])
    }

    /// Loops without end, in a query.
    #[query]
    fn spin_query(&self, _cx: &QueryCtx) -> u64 {
        let mut n = 0_u64;
        while core::hint::black_box(n) < u64::MAX {
            n += 1;
        }
        n
    }

    /// How many rows there are: 0, because nothing that misbehaves may leave any.
    #[query]
    fn rows(&self, cx: &QueryCtx) -> u32 {
        self.numbers.iter(cx).count() as u32 + self.rows.iter(cx).count() as u32
    }
}

fn deeper(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { core::hint::black_box(deeper(core::hint::black_box(depth + 1))) + 1 }
}
