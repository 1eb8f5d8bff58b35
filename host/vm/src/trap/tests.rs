//! Unit tests of `trap`.
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
