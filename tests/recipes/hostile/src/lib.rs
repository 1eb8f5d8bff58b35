//! A recipe that misbehaves in every way that compiles, for the tests of limits. Nothing to learn
//! from.
//!
//! What its handler of events does is set by `react`; until then it counts them.
use core::sync::atomic::{AtomicU64, Ordering};

use synod_sdk::prelude::*;

/// Never seen: every operation ends before it could return it.
#[errors]
pub enum HostileError {
    /// On purpose, after writing.
    #[error(7, aborted)]
    Refused,
}

/// What is emitted.
#[data]
pub struct Noise {
    /// Zeros.
    pub bytes: Blob,
}

/// What the handler of events does.
#[data]
pub enum Reaction {
    /// Counts the event, see `heard`.
    Count,
    /// Writes a row, and panics.
    Panic,
    /// Writes a row, and loops without end.
    Spin,
    /// Writes a row, and then one with a key that is too long.
    BreakLimit,
    /// Writes a row, and emits `count` events of `bytes` bytes.
    Emit {
        /// How many.
        count: u32,
        /// How long each.
        bytes: u32,
    },
    /// Writes a row, and sends an operation without arguments to a space.
    Send {
        /// The space.
        space: String,
        /// Its operation.
        operation: String,
    },
}

/// What misbehaves.
#[recipe(name = "hostile", version = 1, emits = Noise)]
pub struct Hostile {
    rows: Map<String, Blob>,
    numbers: Map<u64, u64>,
    queue: Queue<u64, u64>,
    reaction: Cell<Reaction>,
    heard: Cell<u64>,
}

/// Calls since this instance's memory was made; a recipe must not be able to tell.
static CALLS: AtomicU64 = AtomicU64::new(0);

#[ops]
impl Hostile {
    /// Loops without end.
    #[op]
    fn spin(&self, cx: &mut Ctx) -> u64 {
        self.numbers.put(cx, &0, &1);
        endless()
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

    /// Writes, and emits `count` events of `bytes` bytes, and up to 3 that tell the length, under
    /// topics of their own.
    #[op]
    fn emit(&self, cx: &mut Ctx, count: u32, bytes: u32) {
        self.numbers.put(cx, &0, &1);
        shout(cx, count, bytes);
        self.numbers.delete(cx, &0);
    }

    /// Writes, and emits an event with a topic of `bytes` bytes.
    #[op]
    fn emit_topic(&self, cx: &mut Ctx, bytes: u32) {
        self.numbers.put(cx, &0, &1);
        cx.emit(&"t".repeat(bytes as usize), &Noise { bytes: Blob::default() });
        self.numbers.delete(cx, &0);
    }

    /// Writes, and sends `count` times an operation without arguments to a space.
    #[op]
    fn send(&self, cx: &mut Ctx, space: String, operation: String, count: u32) {
        self.numbers.put(cx, &0, &1);
        (0..count).for_each(|_| cx.send(&space, &operation, &()));
        self.numbers.delete(cx, &0);
    }

    /// Sends `enter` of the recipe `waiting`, which waits.
    #[op]
    fn send_wait(&self, cx: &mut Ctx, space: String) {
        cx.send(&space, "enter", &("key", 2_u32));
    }

    /// Sends `count` times an operation with `bytes` bytes of arguments that `space` does not know.
    #[op]
    fn send_bytes(&self, cx: &mut Ctx, space: String, count: u32, bytes: u32) {
        let argument = Blob::from(vec![7; bytes as usize]);
        (0..count).for_each(|_| cx.send(&space, "unknown", &(&argument,)));
    }

    /// Sends itself to the space `there`, which sends it back to `here`, and so on without end.
    #[op]
    fn bounce(&self, cx: &mut Ctx, there: String, here: String) {
        cx.send(&there, "bounce", &(&here, &there));
    }

    /// Emits one event: with a handler that sends this back, two spaces feed each other without
    /// end.
    #[op]
    fn echo(&self, cx: &mut Ctx) {
        shout(cx, 1, 0);
    }

    /// Sends itself `times` times to the space `there`, each of which does the same, `generations`
    /// deep: many in all, and none of them many.
    #[op]
    fn multiply(&self, cx: &mut Ctx, there: String, times: u32, generations: u32) {
        if let Some(generations) = generations.checked_sub(1) {
            (0..times).for_each(|_| cx.send(&there, "multiply", &(&there, times, generations)));
        }
    }

    /// Deletes rows that are not there, without end.
    #[op]
    fn delete_absent(&self, cx: &mut Ctx) {
        (0..u64::MAX).for_each(|n| self.numbers.delete(cx, &n));
    }

    /// Writes the same long row without end.
    #[op]
    fn overwrite(&self, cx: &mut Ctx, bytes: u32) {
        let value = Blob::from(vec![7; bytes as usize]);
        loop {
            self.rows.put(cx, "row", &value);
        }
    }

    /// Reads a row that is not there, without end.
    #[op]
    fn read_absent(&self, cx: &mut Ctx) -> u64 {
        (0..u64::MAX).filter_map(|n| self.numbers.get(cx, &n)).sum()
    }

    /// Writes a row of `bytes` bytes, and reads it without end.
    #[op]
    fn read_back(&self, cx: &mut Ctx, bytes: u32) {
        self.rows.put(cx, "row", &Blob::from(vec![7; bytes as usize]));
        while self.rows.get(cx, "row").is_some() {}
    }

    /// Writes rows from `from` on, to be left to later calls.
    #[op]
    fn fill(&self, cx: &mut Ctx, from: u64, rows: u64) {
        (from..from + rows).for_each(|n| self.numbers.put(cx, &n, &n));
    }

    /// Deletes those rows.
    #[op]
    fn clear(&self, cx: &mut Ctx, from: u64, rows: u64) {
        (from..from + rows).for_each(|n| self.numbers.delete(cx, &n));
    }

    /// Asks for the first row without end.
    #[op]
    fn first(&self, cx: &mut Ctx) -> u64 {
        endlessly(|| self.numbers.first(cx).map_or(1, |(n, _)| n + 1))
    }

    /// Asks for the last row without end.
    #[op]
    fn last(&self, cx: &mut Ctx) -> u64 {
        endlessly(|| self.numbers.last(cx).map_or(1, |(n, _)| n + 1))
    }

    /// Reads all rows, without end.
    #[op]
    fn scan(&self, cx: &mut Ctx) -> u64 {
        endlessly(|| self.numbers.iter(cx).map(|(n, _)| n).max().unwrap_or(0) + 1)
    }

    /// Deletes `rows` rows, and then asks for the first one without end.
    #[op]
    fn clear_and_first(&self, cx: &mut Ctx, rows: u64) -> u64 {
        (0..rows).for_each(|n| self.numbers.delete(cx, &n));
        endlessly(|| self.numbers.first(cx).map_or(1, |(n, _)| n + 1))
    }

    /// Pushes and pops without end.
    #[op]
    fn turn_over(&self, cx: &mut Ctx) -> u64 {
        endlessly(|| {
            self.queue.push_back(cx, &0, &1);
            self.queue.pop_front(cx, &0).unwrap_or(1)
        })
    }

    /// Draws tokens without end.
    #[op]
    fn draw(&self, cx: &mut Ctx) -> u64 {
        endlessly(|| cx.next_token().0)
    }

    /// Logs lines of `bytes` bytes without end.
    #[op]
    fn log(&self, cx: &mut Ctx, bytes: u32) {
        let line = "l".repeat(bytes as usize);
        loop {
            info!(cx, "{line}");
        }
    }

    /// Sets timers at `at_ms` without end.
    #[op]
    fn set_timers(&self, cx: &mut Ctx, at_ms: u64) {
        loop {
            cx.set_timer(Time(at_ms), &0_u64);
        }
    }

    /// Sets `count` timers at `at_ms`, which set themselves again `generations` times.
    #[op]
    fn set_timer(&self, cx: &mut Ctx, at_ms: u64, count: u64, generations: u64) {
        for _ in 0..count {
            cx.set_timer(Time(at_ms), &generations);
        }
    }

    /// Cancels timers that are not there, without end.
    #[op]
    fn cancel_timers(&self, cx: &mut Ctx) {
        for n in 0..u64::MAX {
            cx.cancel_timer(TimerId(n));
        }
    }

    /// Emits short events about one topic, without end.
    #[op]
    fn shout(&self, cx: &mut Ctx, bytes: u32) {
        loop {
            shout(cx, 1, bytes);
        }
    }

    /// Sends without end.
    #[op]
    fn send_all(&self, cx: &mut Ctx, space: String) {
        loop {
            cx.send(&space, "count_calls", &());
        }
    }

    /// Recurses without end, with frames of 4 KiB.
    #[op]
    fn recurse_wide(&self, _cx: &mut Ctx, depth: u64) -> u64 {
        deeper_and_wider(core::hint::black_box(depth), [0; 512])
    }

    /// Copies memory without end.
    #[op]
    fn copy(&self, _cx: &mut Ctx, bytes: u32) -> u64 {
        let from = vec![7_u8; bytes as usize];
        let mut to = vec![0_u8; bytes as usize];
        endlessly(|| {
            to.copy_from_slice(core::hint::black_box(&from));
            u64::from(to.first().copied().unwrap_or(1)) + 1
        })
    }

    /// Divides without end: the slowest instruction.
    #[op]
    fn divide(&self, _cx: &mut Ctx) -> u64 {
        let mut n = u64::MAX;
        endlessly(|| {
            n = core::hint::black_box(n) / core::hint::black_box(3) + u64::MAX / 2;
            n | 1
        })
    }

    /// How many calls this instance's memory remembers: 0.
    #[op]
    fn count_calls(&self, _cx: &mut Ctx) -> u64 {
        CALLS.fetch_add(1, Ordering::Relaxed)
    }

    /// Sets itself again, as often as it is told.
    #[on_timer]
    fn fired(&self, cx: &mut Ctx, _timer: TimerId, generations: u64) {
        if let Some(generations) = generations.checked_sub(1) {
            cx.set_timer(Time(0), &generations);
        }
    }

    /// Sets what the handler of events does from now on.
    #[op]
    fn react(&self, cx: &mut Ctx, reaction: Reaction) {
        self.reaction.put(cx, &reaction);
    }

    /// Does what `react` was told.
    #[on_event]
    fn noticed(&self, cx: &mut Ctx, _event: Event) {
        let reaction = self.reaction.get(cx).unwrap_or(Reaction::Count);
        if reaction == Reaction::Count {
            let heard = self.heard.get(cx).unwrap_or(0) + 1;
            return self.heard.put(cx, &heard);
        }
        self.numbers.put(cx, &0, &1);
        match reaction {
            Reaction::Count => {}
            Reaction::Panic => panic!("on purpose"),
            Reaction::Spin => self.numbers.put(cx, &1, &endless()),
            Reaction::BreakLimit => {
                self.rows.put(cx, "k".repeat(synod_sdk::abi::limits::KEY_BYTES).as_str(), &Blob::default())
            }
            Reaction::Emit { count, bytes } => shout(cx, count, bytes),
            Reaction::Send { space, operation } => cx.send(&space, &operation, &()),
        }
        self.numbers.delete(cx, &0);
    }

    /// Loops without end, in a query.
    #[query]
    fn spin_query(&self, _cx: &QueryCtx) -> u64 {
        endless()
    }

    /// How many events its handler counted.
    #[query]
    fn heard(&self, cx: &QueryCtx) -> u64 {
        self.heard.get(cx).unwrap_or(0)
    }

    /// How many rows there are: 0, because nothing that misbehaves may leave any.
    #[query]
    fn rows(&self, cx: &QueryCtx) -> u32 {
        self.numbers.iter(cx).count() as u32 + self.rows.iter(cx).count() as u32
    }
}

fn shout(cx: &mut Ctx, count: u32, bytes: u32) {
    let noise = Noise { bytes: Blob::from(vec![0; bytes as usize]) };
    (0..count).for_each(|n| cx.emit(&format!("noise/{n}"), &noise));
}

fn endless() -> u64 {
    let mut n = 0_u64;
    while core::hint::black_box(n) < u64::MAX {
        n += 1;
    }
    n
}

/// Does something without end, for a result that is never 0.
fn endlessly(mut again: impl FnMut() -> u64) -> u64 {
    while again() != 0 {}
    0
}

fn deeper_and_wider(depth: u64, mut wide: [u64; 512]) -> u64 {
    wide[(depth % 512) as usize] = depth;
    if depth == u64::MAX {
        return 0;
    }
    deeper_and_wider(core::hint::black_box(depth + 1), core::hint::black_box(wide))
        + wide[(depth % 512) as usize]
}

fn deeper(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { core::hint::black_box(deeper(core::hint::black_box(depth + 1))) + 1 }
}
