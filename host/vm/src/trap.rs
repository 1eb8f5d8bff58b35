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

/// Classifies the error of a call or an instantiation. `too_deep` says whether the depth counter
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
mod tests {
    use super::*;

    #[test]
    fn every_trap_is_classified_on_purpose() {
        let known = [
            (Trap::MemoryOutOfBounds, Fault::Trap),
            (Trap::TableOutOfBounds, Fault::Trap),
            (Trap::IndirectCallToNull, Fault::Trap),
            (Trap::BadSignature, Fault::Trap),
            (Trap::IntegerOverflow, Fault::Trap),
            (Trap::IntegerDivisionByZero, Fault::Trap),
            (Trap::BadConversionToInteger, Fault::Trap),
            (Trap::UnreachableCodeReached, Fault::Trap),
            (Trap::OutOfFuel, Fault::OutOfFuel),
        ];
        let mut seen = 0;
        for trap in (0..=u8::MAX).filter_map(Trap::from_u8) {
            seen += 1;
            match known.iter().find(|(known, _)| *known == trap) {
                Some((_, fault)) => assert_eq!(of_trap(trap, false), Ok(*fault), "{trap}"),
                None => assert!(of_trap(trap, false).is_err(), "{trap}"),
            }
        }
        assert_eq!(seen, 50, "wasmtime has other traps than when they were classified");
    }

    #[test]
    fn only_our_own_unreachable_is_too_deep() {
        assert_eq!(of_trap(Trap::UnreachableCodeReached, true), Ok(Fault::TooDeep));
        assert_eq!(of_trap(Trap::MemoryOutOfBounds, true), Ok(Fault::Trap));
    }

    #[test]
    fn native_stack_overflow_stops_the_member() {
        assert!(of_trap(Trap::StackOverflow, true).is_err());
        assert!(of_trap(Trap::Interrupt, false).is_err());
        assert!(of_trap(Trap::AllocationTooLarge, false).is_err());
    }
}
