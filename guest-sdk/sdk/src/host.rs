//! The host calls as safe methods, made from the one table: imports in a guest, the machine's port
//! natively.
//!
//! Reads go through one scratch buffer, large enough for any value and any chunk, so that a read is
//! one host call and costs no heap.
use core::cell::RefCell;

use synod_abi::limits::RANGE_CHUNK_BYTES;

/// Size of the scratch buffer.
pub(crate) const SCRATCH_BYTES: usize = RANGE_CHUNK_BYTES;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) struct Host<'h> {
    calls: RefCell<&'h mut dyn synod_abi::HostCalls>,
    scratch: RefCell<Vec<u8>>,
}

#[cfg(target_arch = "wasm32")]
pub(crate) struct Host<'h> {
    scratch: RefCell<&'h mut [u8]>,
}

macro_rules! kind {
    (bytes) => {
        &[u8]
    };
    (buffer) => {
        &mut [u8]
    };
    (u32) => {
        u32
    };
    (u64) => {
        u64
    };
    (unit) => {
        ()
    };
    (never) => {
        core::convert::Infallible
    };
}
#[cfg(target_arch = "wasm32")]
pub(crate) use kind;

#[cfg(not(target_arch = "wasm32"))]
macro_rules! methods {
    ($($(#[$doc:meta])* $access:ident $name:ident($($param:ident: $kind:ident),*) -> $result:ident;)*) => {
        impl Host<'_> {
            $(pub(crate) fn $name(&self, $($param: kind!($kind)),*) -> kind!($result) {
                match self.calls.borrow_mut().$name($($param),*) {
                    Ok(result) => result,
                    Err(fault) => crate::native::end_call(fault),
                }
            })*
        }
    };
}

#[cfg(target_arch = "wasm32")]
macro_rules! methods {
    ($($(#[$doc:meta])* $access:ident $name:ident($($param:ident: $kind:ident),*) -> $result:ident;)*) => {
        impl Host<'_> {
            $(pub(crate) fn $name(&self, $($param: kind!($kind)),*) -> kind!($result) {
                crate::guest::calls::$name($($param),*)
            })*
        }
    };
}

synod_abi::for_each_host_call!(methods);

impl<'h> Host<'h> {
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn new(calls: &'h mut dyn synod_abi::HostCalls) -> Self {
        Self { calls: RefCell::new(calls), scratch: RefCell::new(Vec::new()) }
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn new(scratch: &'h mut [u8]) -> Self {
        Self { scratch: RefCell::new(scratch) }
    }

    /// Runs `f` on the scratch buffer.
    pub(crate) fn with_scratch<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut scratch = self.scratch.borrow_mut();
        #[cfg(not(target_arch = "wasm32"))]
        scratch.resize(SCRATCH_BYTES, 0);
        f(&mut scratch)
    }

    /// Reads the row of `key`, and hands its value to `f`.
    pub(crate) fn read<R>(&self, key: alloc::vec::Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.with_scratch(|scratch| {
            let len = self.get(&key, scratch);
            drop(key);
            (len != u32::MAX).then(|| f(&scratch[..len as usize]))
        })
    }

    /// Ends the call because a stored value is not of the type that the recipe asks for.
    pub(crate) fn corrupt(&self, what: &str) -> ! {
        let line = crate::log::Line::of(format_args!("a stored {what} does not decode"));
        match self.abort(1, line.as_bytes()) {}
    }
}
