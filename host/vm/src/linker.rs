//! The host's side of the boundary: one function per row of the host-call table, made from it.
//!
//! Pointers and lengths come from a stranger: they are checked with 64-bit arithmetic against the
//! memory, and a wrong one ends the call with a fault. A host function gets slices of guest memory
//! and no way to call back into the guest. What the calls mean is the business of whoever
//! implements [`HostCalls`].
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use synod_abi::{Access, Fault, HOST_MODULE, HostCalls};
use wasmtime::{Caller, Engine, Linker, Memory};

use crate::VmError;
use crate::engine::Kind;
use crate::pristine::{self, GUEST_BYTES};

/// What a store holds: the host, while a call runs.
pub(crate) struct Call<H> {
    pub(crate) host: Option<H>,
    pub(crate) memory: Option<Memory>,
    pub(crate) access: Access,
    kind: Kind,
}

impl<H> Call<H> {
    /// For a store of such an engine.
    pub(crate) const fn idle(kind: Kind) -> Self {
        Self { host: None, memory: None, access: Access::Read, kind }
    }
}

/// Why a host function ended the call: wasmtime carries it through the guest's frames.
#[derive(Debug)]
pub(crate) enum Stop {
    /// What every member would suffer.
    Fault(Fault),
    /// The host itself failed.
    Broken(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Broken(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for Stop {}

/// Links every host call. Writing ones are there for queries too, because a module imports them
/// whatever runs, but fault unless the call may write: a query never reaches them.
pub(crate) fn linker<H: HostCalls + 'static>(engine: &Engine) -> Result<Linker<Call<H>>, VmError> {
    let mut linker = Linker::new(engine);
    link(&mut linker).map_err(VmError::engine)?;
    Ok(linker)
}

/// Guest memory without the buffer that a host function fills.
#[derive(Clone, Copy)]
struct View<'a> {
    before: &'a [u8],
    after: &'a [u8],
    after_start: u64,
}

impl<'a> View<'a> {
    fn bytes(&self, pointer: u32, len: u32) -> Result<&'a [u8], Fault> {
        let (start, len) = (u64::from(pointer), u64::from(len));
        let within = |part: &'a [u8], part_start: u64| {
            let from = usize::try_from(start.checked_sub(part_start)?).ok()?;
            let to = usize::try_from((start + len).checked_sub(part_start)?).ok()?;
            part.get(from..to)
        };
        if len == 0 && start <= self.after_start + self.after.len() as u64 {
            return Ok(&[]);
        }
        within(self.before, 0).or_else(|| within(self.after, self.after_start)).ok_or(Fault::BadHostCall)
    }
}

/// Cuts `buffer` (pointer and capacity) out of `memory`. A slice that the host reads and one that
/// it fills may not overlap.
fn split(memory: &mut [u8], buffer: (u32, u32)) -> Result<(View<'_>, &mut [u8]), Fault> {
    let start = u64::from(buffer.0);
    let end = start + u64::from(buffer.1);
    if end > memory.len() as u64 {
        return Err(Fault::BadHostCall);
    }
    let (head, after) = memory.split_at_mut(end as usize);
    let (before, buffer) = head.split_at_mut(start as usize);
    Ok((View { before, after, after_start: end }, buffer))
}

/// What a host function says of the buffer that it was given: how many bytes it wrote. If that is
/// more than there is room for, it wrote nothing.
trait Filled {
    fn filled(&self) -> u32;
}

impl Filled for u32 {
    fn filled(&self) -> u32 {
        *self
    }
}

impl Filled for u64 {
    fn filled(&self) -> u32 {
        *self as u32
    }
}

impl Filled for () {
    fn filled(&self) -> u32 {
        0
    }
}

/// Runs a host function on the caller's memory, and turns faults and panics into what ends the
/// call. The store's fuel is the host's meanwhile; where queries run, time is what is short.
fn serve<H: HostCalls + 'static, R: Filled>(
    caller: &mut Caller<'_, Call<H>>,
    needs: Access,
    buffer: (u32, u32),
    function: impl FnOnce(&mut H, View<'_>, &mut [u8]) -> Result<R, Fault>,
) -> Result<R, wasmtime::Error> {
    let broken = |cause: &str| wasmtime::Error::new(Stop::Broken(cause.to_string()));
    let data = caller.data();
    if needs == Access::Write && data.access == Access::Read {
        return Err(wasmtime::Error::new(Stop::Fault(Fault::BadHostCall)));
    }
    let kind = data.kind;
    let memory =
        data.memory.ok_or_else(|| broken("a recipe made a host call before its memory was known"))?;
    let fuel = match kind {
        Kind::Apply => caller.get_fuel()?,
        Kind::Query => u64::MAX,
    };
    let (memory, data) = memory.data_and_store_mut(&mut *caller);
    let (memory, behind) = memory.split_at_mut(GUEST_BYTES);
    let host = data.host.as_mut().ok_or_else(|| broken("a recipe made a host call outside of a call"))?;
    *host.fuel() = fuel;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let (view, buffer) = split(memory, buffer)?;
        function(host, view, buffer)
    }));
    if let Ok(Ok(result)) = &outcome {
        let filled = result.filled();
        pristine::mark(behind, buffer.0, if filled <= buffer.1 { filled } else { 0 });
    }
    let left = *host.fuel();
    if kind == Kind::Apply {
        caller.set_fuel(left)?;
    }
    match outcome {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(fault)) => Err(wasmtime::Error::new(Stop::Fault(fault))),
        Err(panic) => Err(broken(&format!("a host function panicked: {}", panic_text(&*panic)))),
    }
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

const NO_BUFFER: (u32, u32) = (0, 0);

/// Makes one Wasm function of a row: splits slices in pointer and length, and puts them together
/// again.
macro_rules! wrap {
    // access name result | parameters | buffer, its name | view | binding of each parameter |
    // what is passed on | parameters that are left
    (@row $linker:ident $access:ident $name:ident $result:ident
        [$($wasm:tt)*] $buffer:expr, $out:ident $view:ident [$($bind:tt)*] [$($pass:tt)*]
    ) => {
        $linker.func_wrap(
            HOST_MODULE,
            stringify!($name),
            |mut caller: Caller<'_, Call<H>>, $($wasm)*| -> Result<wrap!(@wasm $result), wasmtime::Error> {
                serve(&mut caller, Access::$access, $buffer, |host, $view, $out| {
                    $($bind)*
                    let _ = ($view, &$out);
                    wrap!(@result $result host.$name($($pass)*))
                })
            },
        )?
    };
    (@row $linker:ident $access:ident $name:ident $result:ident
        [$($wasm:tt)*] $buffer:expr, $out:ident $view:ident [$($bind:tt)*] [$($pass:tt)*]
        $param:ident: bytes $(, $($rest:tt)*)?
    ) => {
        wrap!(@row $linker $access $name $result
            [$($wasm)* pointer: u32, len: u32,] $buffer, $out $view
            [$($bind)* let $param = $view.bytes(pointer, len)?;] [$($pass)* $param,] $($($rest)*)?)
    };
    (@row $linker:ident $access:ident $name:ident $result:ident
        [$($wasm:tt)*] $buffer:expr, $out:ident $view:ident [$($bind:tt)*] [$($pass:tt)*]
        $param:ident: buffer $(, $($rest:tt)*)?
    ) => {
        wrap!(@row $linker $access $name $result
            [$($wasm)* pointer: u32, capacity: u32,] (pointer, capacity), $out $view
            [$($bind)*] [$($pass)* $out,] $($($rest)*)?)
    };
    (@row $linker:ident $access:ident $name:ident $result:ident
        [$($wasm:tt)*] $buffer:expr, $out:ident $view:ident [$($bind:tt)*] [$($pass:tt)*]
        $param:ident: $kind:ident $(, $($rest:tt)*)?
    ) => {
        wrap!(@row $linker $access $name $result
            [$($wasm)* $param: $kind,] $buffer, $out $view
            [$($bind)*] [$($pass)* $param,] $($($rest)*)?)
    };
    (@wasm unit) => { () };
    (@wasm never) => { () };
    (@wasm $kind:ident) => { $kind };
    (@result never $call:expr) => { match $call? {} };
    (@result $kind:ident $call:expr) => { $call };
}

macro_rules! link_all {
    ($($(#[$doc:meta])* $access:ident $name:ident($($param:ident: $kind:ident),*) -> $result:ident;)*) => {
        fn link<H: HostCalls + 'static>(linker: &mut Linker<Call<H>>) -> Result<(), wasmtime::Error> {
            $(wrap!(@row linker $access $name $result [] NO_BUFFER, out view [] [] $($param: $kind),*);)*
            Ok(())
        }
    };
}

synod_abi::for_each_host_call!(link_all);

#[cfg(test)]
mod tests;
