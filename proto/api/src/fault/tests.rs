//! Unit tests of `fault`.
use super::*;

#[test]
fn every_fault_of_the_wire_goes_there_and_back() {
    let mut seen = 0;
    for number in 1..=64 {
        let Ok(wire) = v1::Fault::try_from(number) else { continue };
        let fault = fault_from_api(wire).expect("a numbered fault stands for one");
        assert_eq!(fault_to_api(fault), wire);
        seen += 1;
    }
    assert_eq!(seen, 22);
    assert_eq!(fault_from_api(v1::Fault::Unspecified), None);
}
