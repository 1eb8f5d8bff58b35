//! Native stack for recipes. What nested calls take of it is counted in Wasm, and this stack is
//! larger, so that it can't be the one to overflow first: see the tests, which compare the largest
//! frames that an admitted module gets out of the compiler with what they are counted as.
//!
//! Threads that run recipes all the time are started with [`spawn`]; a call made on any other
//! thread is carried out on a thread of its own, which is right but slow. Pages of a stack that are
//! never touched cost address space only; recipes touch `limits::CALL_STACK_BYTES`.
use std::cell::Cell;
use std::io;
use std::thread::{Builder, JoinHandle};

use synod_abi::limits;

/// Stack that Wasm may use of a thread: four times what is counted.
pub(crate) const WASM_STACK_BYTES: usize = 4 * limits::CALL_STACK_BYTES as usize;
/// Stack of a thread that runs recipes: the Wasm's, and what the host's functions use on top, and a
/// compiler, which recurses with what it compiles.
pub(crate) const THREAD_STACK_BYTES: usize = WASM_STACK_BYTES + 16 * 1_024 * 1_024;

thread_local! {
    static LARGE: Cell<bool> = const { Cell::new(false) };
}

/// Starts a thread that may run recipes without a detour.
///
/// # Errors
/// What the operating system says when it has no room for the thread or its stack.
pub fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    builder(name).spawn(move || {
        LARGE.set(true);
        run()
    })
}

/// Runs `call` on a large stack: here, if this thread has one.
pub(crate) fn on_large<T: Send>(call: impl FnOnce() -> T + Send) -> io::Result<T> {
    if LARGE.get() {
        return Ok(call());
    }
    std::thread::scope(|scope| {
        let thread = builder("synod-recipe").spawn_scoped(scope, move || {
            LARGE.set(true);
            call()
        })?;
        thread.join().map_err(|_| io::Error::other("the thread that ran a recipe panicked"))
    })
}

fn builder(name: &str) -> Builder {
    Builder::new().name(name.to_string()).stack_size(THREAD_STACK_BYTES)
}

#[cfg(test)]
mod tests;
