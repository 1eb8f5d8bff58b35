//! Each check of the records finds the fault that it is for.
use super::*;
use crate::chaos::load::Thing;

fn hold(client: u32, token: u64, from: u64, to: u64) -> Hold {
    Hold { client, thing: (Thing::Lock, "a".to_owned()), token, from, to }
}

#[test]
fn two_holders_at_once_are_found() {
    assert_eq!(holders(&[hold(1, 1, 10, 20), hold(2, 2, 20, 30)]), Ok(()));
    let both = holders(&[hold(2, 2, 19, 30), hold(1, 1, 10, 20)]);
    assert!(both.is_err_and(|why| why.contains("at once")));
    let other = Hold { thing: (Thing::Election, "a".to_owned()), ..hold(2, 1, 15, 16) };
    assert_eq!(holders(&[hold(1, 1, 10, 20), other]), Ok(()));
}

#[test]
fn a_token_that_does_not_grow_is_found() {
    for token in [1, 0] {
        let found = holders(&[hold(1, 1, 10, 20), hold(2, token, 20, 30)]);
        assert!(found.is_err_and(|why| why.contains("token")), "{token}");
    }
}

fn meeting(first: Result<u32, Effect>, told: u64, second: Result<u32, Effect>) -> Meeting {
    Meeting { key: "a".to_owned(), first, told, came: 10, second }
}

#[test]
fn meetings_that_cannot_be_are_found() {
    let (perhaps, never) = (Err(Effect::Perhaps), Err(Effect::Never));
    for good in [
        meeting(Ok(2), 10, Ok(2)),
        meeting(Ok(2), 10, perhaps),
        meeting(perhaps, 0, Ok(2)),
        meeting(never, 0, never),
    ] {
        assert_eq!(meetings(std::slice::from_ref(&good)), Ok(()), "{good:?}");
    }
    for bad in [
        meeting(Ok(1), 10, Ok(2)),
        meeting(Ok(2), 10, Ok(3)),
        meeting(Ok(2), 9, Ok(2)),
        meeting(never, 9, Ok(2)),
        meeting(Ok(2), 10, never),
    ] {
        assert!(meetings(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
}

fn change(revision: u64) -> Change {
    Change { revision, key: "a".to_owned(), value: Some(revision) }
}

fn watched(from: u64, revisions: &[u64], marks: &[(u64, usize)]) -> Watched {
    let changes = revisions.iter().map(|revision| change(*revision)).collect();
    Watched { client: 1, from, changes, marks: marks.to_vec() }
}

#[test]
fn gaps_repetitions_disorder_and_untrue_marks_of_watches_are_found() {
    let all = [change(3), change(5), change(8)];
    for good in
        [watched(1, &[3, 5, 8], &[(4, 1), (8, 3)]), watched(4, &[5, 8], &[]), watched(9, &[], &[(9, 0)])]
    {
        assert_eq!(watches(&good, &all), Ok(()), "{good:?}");
    }
    for bad in [
        watched(1, &[3, 8], &[]),
        watched(1, &[3, 5], &[]),
        watched(1, &[3, 5, 5, 8], &[]),
        watched(1, &[5, 3, 8], &[]),
        watched(4, &[3, 5, 8], &[]),
        watched(1, &[3, 5, 8], &[(5, 1)]),
        watched(1, &[3, 5, 8], &[(4, 2)]),
    ] {
        assert!(watches(&bad, &all).is_err(), "{bad:?}");
    }
}

#[test]
fn an_answered_write_without_its_event_is_found() {
    use models::kv::{Input, Output};
    let put = |revision| {
        let input = Keyed { key: "a".to_owned(), input: Input::Put(revision) };
        [Operation::done(1, 1, 2, input, Output::Written { revision, version: 1 })]
    };
    let all = [change(3), change(5)];
    assert_eq!(written(&put(3), &all), Ok(()));
    assert!(written(&put(4), &all).is_err());
    let other = [Change { value: None, ..change(3) }];
    assert!(written(&put(3), &other).is_err());
}
