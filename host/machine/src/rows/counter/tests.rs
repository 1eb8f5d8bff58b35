//! A counter never falls below zero.
use super::Counter;

#[test]
fn what_is_there_can_be_taken() {
    let mut counter = 3_u32;
    assert_eq!((counter.take(3, "sessions"), counter), (Ok(()), 0));
}

#[test]
fn taking_more_than_is_there_is_fatal_and_names_the_counter() {
    let mut counter = 3_u64;
    let fatal = counter.take(4, "sessions").unwrap_err();
    assert!(fatal.0.starts_with("the number of sessions would fall below zero"), "{fatal}");
    assert_eq!(counter, 3, "it is left as it was");
}
