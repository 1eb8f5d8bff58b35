//! An allocator that counts what each thread has, so that a target that asks for far more memory
//! than its input has bytes is found on stable, too.
//!
//! It counts requests, not pages: a vector that is reserved and never written to counts. Memory
//! that C++ allocates (RocksDB) does not pass here.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts, and allocates with the system's allocator. To be a program's `#[global_allocator]`.
pub struct Counting;

thread_local! {
    static PRESENT: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn grown(bytes: usize) {
    let present = PRESENT.get().saturating_add(bytes);
    PRESENT.set(present);
    PEAK.set(PEAK.get().max(present));
}

fn shrunk(bytes: usize) {
    PRESENT.set(PRESENT.get().saturating_sub(bytes));
}

// SAFETY: every call is passed on as it is; counting neither allocates nor changes a layout.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        shrunk(layout.size());
        grown(bytes);
        // SAFETY: the caller's.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

/// Runs `function` and returns how much more memory than before this thread had while it ran. 0
/// unless the program allocates with [`Counting`].
pub fn peak_of(function: impl FnOnce()) -> usize {
    let before = PRESENT.get();
    PEAK.set(before);
    function();
    PEAK.get() - before
}
