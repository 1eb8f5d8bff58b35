//! A recipe that tries to remember earlier calls in every kind of memory there is, and answers what
//! it found. Nothing to learn from: each call finds nothing.
use core::sync::atomic::{AtomicU64, Ordering};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, OnceLock};

use synod_sdk::prelude::*;

static CALLS: AtomicU64 = AtomicU64::new(100);
static FIRST: OnceLock<String> = OnceLock::new();
static SEEN: LazyLock<Mutex<BTreeMap<String, u64>>> = LazyLock::new(Mutex::default);

thread_local! {
    static NAMES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static LAST: RefCell<String> = RefCell::new("nobody".to_owned());
}

/// An allocator of its own, which never gives anything back: where it is, and what it gives out.
static NEXT: AtomicU64 = AtomicU64::new(0);
static ARENA: [AtomicU64; 4_096] = [const { AtomicU64::new(0) }; 4_096];

/// Addresses that no allocator was asked for, from below the heap to the last of memory.
const TAKEN: [usize; 4] = [600_000, 2_000_003, 7_000_000, 8_388_600];

/// What tries to remember.
#[recipe(name = "forgetful", version = 1)]
pub struct Forgetful {
    calls: Counter,
}

#[ops]
impl Forgetful {
    /// Counts in a static; how many calls there were before.
    #[op]
    fn count(&self, cx: &mut Ctx) -> u64 {
        self.calls.add(cx, 1);
        CALLS.fetch_add(1, Ordering::Relaxed) - 100
    }

    /// Keeps the first name in a `OnceLock`, and answers it.
    #[op]
    fn first(&self, _cx: &mut Ctx, name: String) -> String {
        FIRST.get_or_init(|| name.repeat(2)).clone()
    }

    /// Keeps names in a map behind a `LazyLock`; how often this one was there.
    #[op]
    fn seen(&self, _cx: &mut Ctx, name: String) -> u64 {
        let mut seen = SEEN.lock().expect("nobody panicked");
        let times = seen.entry(name).or_default();
        *times += 1;
        *times - 1
    }

    /// Keeps names in thread locals; all that were there, and this one.
    #[op]
    fn names(&self, _cx: &mut Ctx, name: String) -> Vec<String> {
        let last = LAST.replace(name.clone());
        NAMES.with_borrow_mut(|names| {
            names.push(last);
            names.push(name);
            names.clone()
        })
    }

    /// Prints, which std does into a buffer on the heap.
    #[op]
    fn print(&self, _cx: &mut Ctx, name: String) -> u64 {
        print!("{name} ");
        println!("{name}");
        eprintln!("{name}");
        name.len() as u64
    }

    /// Takes a word of its own arena, writes to it, and answers what it held and where it is.
    #[op]
    fn allocate(&self, _cx: &mut Ctx, value: u64) -> (u64, u64) {
        let at = NEXT.fetch_add(1, Ordering::Relaxed);
        let word = &ARENA[at as usize % ARENA.len()];
        (word.swap(value, Ordering::Relaxed), at)
    }

    /// Writes where it should not, and answers what was there.
    #[op]
    fn take(&self, _cx: &mut Ctx, value: u64) -> Vec<u64> {
        TAKEN.map(|address| swap(address, value)).to_vec()
    }

    /// Leaves a long text on the heap, and answers the sum of what lies behind it.
    #[op]
    fn leave(&self, _cx: &mut Ctx, name: String) -> u64 {
        let text = core::hint::black_box(name.repeat(500));
        let behind = text.as_ptr() as usize + text.len();
        (0..10_000).map(|n| peek(behind + n)).sum()
    }
}

#[cfg(target_arch = "wasm32")]
fn swap(address: usize, value: u64) -> u64 {
    let place = core::ptr::without_provenance_mut::<u64>(core::hint::black_box(address));
    // SAFETY: none. The address lies in memory, and whoever owns it is robbed.
    unsafe {
        let was = place.read_unaligned();
        place.write_unaligned(value);
        was
    }
}

#[cfg(target_arch = "wasm32")]
fn peek(address: usize) -> u64 {
    // SAFETY: none, as above.
    u64::from(unsafe { core::ptr::without_provenance::<u8>(core::hint::black_box(address)).read() })
}

#[cfg(not(target_arch = "wasm32"))]
fn swap(_: usize, _: u64) -> u64 {
    0
}

#[cfg(not(target_arch = "wasm32"))]
fn peek(_: usize) -> u64 {
    0
}
