//! What a failed call means: something that every member suffers alike, or something that only this
//! host can.
//!
//! Deterministic traps collapse to few faults: fewer ways to differ. Everything else is fatal, and
//! so is what a later wasmtime may add, because taking a local failure for an outcome would split
//! the state without a sound.
use synod_abi::Fault;
use synod_machine::Fatal;
use wasmtime::Trap;

use crate::linker::Stop;

/// Classifies the error of a call or an instantiation. `too_deep` says whether the count of stack
/// stands above its limit.
pub(crate) fn classify(error: &wasmtime::Error, too_deep: bool) -> Result<Fault, Fatal> {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Fault(fault) => Ok(*fault),
            Stop::Broken(cause) => Err(Fatal(cause.clone())),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => of_trap(*trap, too_deep),
        None => Err(Fatal(format!("this host cannot run a recipe: {error:?}"))),
    }
}

/// Whether the fuel counter tells all that the failed call used. Compiled code counts in a register
/// and writes it back where it calls, is unreachable or out of fuel, but not where the processor
/// traps.
pub(crate) fn fuel_is_known(error: &wasmtime::Error) -> bool {
    match error.downcast_ref::<Trap>() {
        None | Some(Trap::UnreachableCodeReached | Trap::OutOfFuel) => true,
        Some(_) => false,
    }
}

fn of_trap(trap: Trap, too_deep: bool) -> Result<Fault, Fatal> {
    match trap {
        Trap::UnreachableCodeReached if too_deep => Ok(Fault::TooDeep),
        Trap::UnreachableCodeReached
        | Trap::MemoryOutOfBounds
        | Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::IntegerOverflow
        | Trap::IntegerDivisionByZero
        | Trap::BadConversionToInteger => Ok(Fault::Trap),
        Trap::OutOfFuel => Ok(Fault::OutOfFuel),
        local => Err(Fatal(format!("a recipe was ended by something that only this host suffers: {local}"))),
    }
}

#[cfg(test)]
mod tests;
