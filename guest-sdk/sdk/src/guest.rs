//! The guest's side of the boundary, on wasm32 only: imports, the input buffer, the entry points'
//! common body, the allocator and the panic hook. All unsafe code of the SDK is here.
//!
//! Every call begins in the memory of a fresh instance: the host puts statics and heap back. So the
//! allocator only counts up, from `__heap_base` to the end of memory. Only the newest allocation is
//! freed or grown in place: a call's garbage is collected by its end.
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

use synod_abi::limits::ARGS_BYTES;
use synod_abi::{
    CONTEXT_BYTES, Context, EntryPoint, HOOK_CANCEL, HOOK_EVENT, HOOK_SESSION_END, HOOK_TIMER, HOST_MODULE,
    fnv1a_32,
};

use crate::ctx::{Ctx, Declared, QueryCtx};
use crate::host::{Host, SCRATCH_BYTES};
use crate::log::Line;
use crate::recipe::{Recipe, bad_arguments};

const _: () = assert!(
    fnv1a_32(HOST_MODULE.as_bytes()) == fnv1a_32(b"synod_1_0"),
    "the link attribute below names HOST_MODULE"
);

const ABORT_PANIC: u32 = 0;
const ABORT_OUT_OF_MEMORY: u32 = 2;

/// The host calls as safe functions.
pub(crate) mod calls {
    use crate::host::kind;

    macro_rules! import {
        (@type bytes) => { (*const u8, usize) };
        // Splits slices in pointer and length, one parameter after the other.
        (@split $name:ident [$($done:tt)*] [] unit) => { import!(@link $name [$($done)*] ()); };
        (@split $name:ident [$($done:tt)*] [] never) => { import!(@link $name [$($done)*] ()); };
        (@split $name:ident [$($done:tt)*] [] $result:ident) => { import!(@link $name [$($done)*] $result); };
        (@split $name:ident [$($done:tt)*] [$param:ident: bytes, $($rest:tt)*] $result:ident) => {
            import!(@split $name [$($done)* $param: *const u8, _: usize,] [$($rest)*] $result);
        };
        (@split $name:ident [$($done:tt)*] [$param:ident: buffer, $($rest:tt)*] $result:ident) => {
            import!(@split $name [$($done)* $param: *mut u8, _: usize,] [$($rest)*] $result);
        };
        (@split $name:ident [$($done:tt)*] [$param:ident: $kind:ident, $($rest:tt)*] $result:ident) => {
            import!(@split $name [$($done)* $param: $kind,] [$($rest)*] $result);
        };
        (@link $name:ident [$($params:tt)*] $result:ty) => {
            #[link(wasm_import_module = "synod_1_0")]
            unsafe extern "C" {
                pub(super) fn $name($($params)*) -> $result;
            }
        };
        (@call $name:ident [$($done:expr,)*] []) => { unsafe { raw::$name($($done),*) } };
        (@call $name:ident [$($done:expr,)*] [$param:ident: bytes, $($rest:tt)*]) => {
            import!(@call $name [$($done,)* $param.as_ptr(), $param.len(),] [$($rest)*])
        };
        (@call $name:ident [$($done:expr,)*] [$param:ident: buffer, $($rest:tt)*]) => {
            import!(@call $name [$($done,)* $param.as_mut_ptr(), $param.len(),] [$($rest)*])
        };
        (@call $name:ident [$($done:expr,)*] [$param:ident: $kind:ident, $($rest:tt)*]) => {
            import!(@call $name [$($done,)* $param,] [$($rest)*])
        };
        (@end never $call:expr) => {{
            $call;
            core::arch::wasm32::unreachable()
        }};
        (@end $result:ident $call:expr) => { $call };
    }

    macro_rules! imports {
        ($(
            $(#[$doc:meta])*
            $access:ident $name:ident($($param:ident: $kind:ident),*) -> $result:ident;
        )*) => {
            mod raw {
                $(import!(@split $name [] [$($param: $kind,)*] $result);)*
            }

            // SAFETY of every call: the host reads and writes only within the slices whose pointer
            // and length it is given.
            $(pub(crate) fn $name($($param: kind!($kind)),*) -> kind!($result) {
                import!(@end $result import!(@call $name [] [$($param: $kind,)*]))
            })*
        };
    }

    synod_abi::for_each_host_call!(imports);
}

/// A static that the one thread of a guest writes to.
#[repr(C, align(16))]
pub struct Static<T>(UnsafeCell<T>);

// SAFETY: a guest has one thread.
unsafe impl<T> Sync for Static<T> {}

/// Where the host puts context and arguments.
pub type Input = Static<[u8; CONTEXT_BYTES + ARGS_BYTES]>;

/// The input buffer that the macro exports.
pub const fn input() -> Input {
    Static(UnsafeCell::new([0; CONTEXT_BYTES + ARGS_BYTES]))
}

static SCRATCH: Static<[u8; SCRATCH_BYTES]> = Static(UnsafeCell::new([0; SCRATCH_BYTES]));

/// The body of the export for hooks: runs the one with this number.
pub fn run_hook<R: Recipe>(input: &'static Input, hook: i32, len: i32) -> i64 {
    match hook {
        HOOK_SESSION_END => run::<R>(input, EntryPoint::SessionEnd, len),
        HOOK_TIMER => run::<R>(input, EntryPoint::Timer, len),
        HOOK_CANCEL => run::<R>(input, EntryPoint::Cancel, len),
        HOOK_EVENT => run::<R>(input, EntryPoint::Event, len),
        _ => place(bad_arguments()),
    }
}

/// The body of every entry point: runs `entry` on the input and returns where the reply lies.
pub fn run<R: Recipe>(input: &'static Input, entry: EntryPoint, len: i32) -> i64 {
    hook_panics();
    // SAFETY: the host writes to the input only between two calls, and nothing in the guest ever
    // does.
    let input: &'static [u8] = unsafe { &*input.0.get() };
    let (context, args) =
        match input.get(..len as u32 as usize).and_then(|input| input.split_first_chunk::<CONTEXT_BYTES>()) {
            Some((context, args)) => (Context::from_bytes(context), args),
            None => return place(bad_arguments()),
        };
    // SAFETY: the host does not enter an instance while a call runs in it, so this is the only
    // reference.
    let scratch = unsafe { &mut *SCRATCH.0.get() };
    let host = Host::new(scratch);
    place(match entry {
        EntryPoint::Operation(id) => {
            R::operation(id, &mut Ctx::new(context, host, const { Declared::of::<R>() }), args)
        }
        EntryPoint::Query(id) => R::query(id, &QueryCtx::new(context, host), args),
        EntryPoint::SessionEnd | EntryPoint::Timer | EntryPoint::Cancel | EntryPoint::Event => {
            R::hook(entry, &mut Ctx::new(context, host, const { Declared::of::<R>() }), args)
        }
    })
}

fn place(reply: alloc::vec::Vec<u8>) -> i64 {
    let reply = reply.leak();
    ((reply.as_ptr() as u64) << 32 | reply.len() as u64) as i64
}

fn abort(code: u32, text: &[u8]) -> ! {
    match calls::abort(code, text) {}
}

fn hook_panics() {
    // The closure captures nothing, so its box takes no heap.
    std::panic::set_hook(alloc::boxed::Box::new(|info| {
        let line = Line::of(format_args!("{info}"));
        abort(ABORT_PANIC, line.as_bytes())
    }));
}

unsafe extern "C" {
    static __heap_base: u8;
}

/// The address of what is allocated next.
struct Heap(Static<*const u8>);

#[global_allocator]
static HEAP: Heap = Heap(Static(UnsafeCell::new(&raw const __heap_base)));

const PAGE_BYTES: usize = 64 * 1_024;

impl Heap {
    fn next(&self) -> usize {
        // SAFETY: one thread, and the reference ends here.
        unsafe { *self.0.0.get() as usize }
    }

    fn set(&self, next: usize) {
        // SAFETY: as in `next`.
        unsafe { *self.0.0.get() = next as *const u8 }
    }

    fn take(&self, start: usize, bytes: usize) -> *mut u8 {
        let end = core::arch::wasm32::memory_size(0).saturating_mul(PAGE_BYTES);
        match start.checked_add(bytes) {
            Some(next) if next <= end => {
                self.set(next);
                start as *mut u8
            }
            _ => abort(ABORT_OUT_OF_MEMORY, b"the call's heap is full"),
        }
    }
}

// SAFETY: blocks lie between `next` and the end of memory, never overlap while in use, and are
// aligned; the host takes all back when it takes all of memory back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(self.next().next_multiple_of(layout.align()), layout.size())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if block as usize + layout.size() == self.next() {
            self.set(block as usize);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if block as usize + layout.size() == self.next() {
            return self.take(block as usize, new_size);
        }
        if new_size <= layout.size() {
            return block;
        }
        let new = self.take(self.next().next_multiple_of(layout.align()), new_size);
        // SAFETY: the new block is behind every block in use and larger than the old one.
        unsafe { core::ptr::copy_nonoverlapping(block, new, layout.size()) };
        new
    }
}
