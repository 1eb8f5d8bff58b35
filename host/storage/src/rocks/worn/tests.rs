//! Unit tests of `worn`.
use super::*;

fn stretch(from: &str, to: &str, deleted: u64) -> Stretch {
    Stretch { table: Table::State, from: from.into(), to: to.into(), deleted }
}

#[test]
fn stretches_that_meet_wait_as_one_and_leave_in_order() {
    let worn = Worn::default();
    assert!(
        worn.add(stretch("m", "p", 1)) && worn.add(stretch("a", "c", 2)) && worn.add(stretch("e", "g", 4))
    );
    assert!(worn.add(Stretch { table: Table::Events, ..stretch("a", "z", 8) }));
    assert!(worn.add(stretch("c", "f", 16)));
    assert_eq!(worn.take(), Some(stretch("m", "p", 1)));
    assert_eq!(worn.take(), Some(Stretch { table: Table::Events, ..stretch("a", "z", 8) }));
    assert_eq!(worn.take(), Some(stretch("a", "g", 22)));
    assert_eq!(worn.take(), None);
}

#[test]
fn one_without_an_end_takes_in_all_behind_it() {
    let worn = Worn::default();
    assert!(
        worn.add(stretch("x", "y", 1)) && worn.add(stretch("b", "", 1)) && worn.add(stretch("c", "d", 1))
    );
    assert_eq!(worn.take(), Some(stretch("b", "", 3)));
}

#[test]
fn only_so_many_wait() {
    let worn = Worn::default();
    let numbered = |n: usize| stretch(&format!("{n:03}"), &format!("{n:03}x"), 1);
    assert!((0..WAITING).all(|n| worn.add(numbered(n))));
    assert!(!worn.add(numbered(WAITING)));
    assert!(worn.add(numbered(3)), "it is one with what waits");
}
