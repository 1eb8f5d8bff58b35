//! Unit tests of `progress`.
use futures::FutureExt;

use super::*;

#[test]
fn a_waiter_is_ready_at_its_number_and_not_before() {
    let progress = Progress::default();
    let mut five = progress.reach(5);
    assert!((&mut five).now_or_never().is_none());
    progress.advance(4);
    assert!((&mut five).now_or_never().is_none());
    progress.advance(6);
    assert!((&mut five).now_or_never().is_some());
    assert_eq!(progress.get(), 6);
}

#[test]
fn the_number_never_goes_back() {
    let progress = Progress::default();
    progress.advance(6);
    progress.advance(3);
    assert_eq!(progress.get(), 6);
}

#[test]
fn a_waiter_that_gave_up_leaves_nothing_behind() {
    let progress = Progress::default();
    let mut nine = progress.reach(9);
    assert!((&mut nine).now_or_never().is_none());
    assert_eq!(progress.waiting(), 1);
    drop(nine);
    assert_eq!(progress.waiting(), 0);
}
