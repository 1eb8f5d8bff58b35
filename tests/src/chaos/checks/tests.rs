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

fn change(revision: u64, value: u64) -> Change {
    let payload = Changed { value: Some(value), is_create: None };
    Change { revision, number: 0, space: "kv".to_owned(), topic: "a".to_owned(), payload }
}

fn watched(from: u64, seen: Vec<Seen<Changed>>, must_reach: u64) -> Watch<Changed> {
    let seen = [vec![Seen::Created { revision: from - 1 }], seen].concat();
    let streams = vec![watch::Stream { start: watch::Start::Revision(from), seen }];
    let topic = watch::Topic::Prefix(String::new());
    Watch { name: "of client 1".to_owned(), space: "kv".to_owned(), topic, streams, must_reach }
}

#[test]
fn gaps_repetitions_and_untrue_marks_of_watches_are_found() {
    let all = [change(3, 1), change(5, 2), change(8, 3)];
    let events = |at: &[usize]| {
        let one = |at: &usize| Seen::Events { events: vec![all[*at].clone()], partial: false };
        at.iter().map(one).collect::<Vec<_>>()
    };
    let mark = |revision| vec![Seen::Progress { revision }];
    for good in [
        watched(1, events(&[0, 1, 2]), 8),
        watched(1, [events(&[0]), mark(4), events(&[1, 2])].concat(), 8),
        watched(4, events(&[1, 2]), 8),
    ] {
        assert_eq!(watches(std::slice::from_ref(&good), &all), Ok(()), "{good:?}");
    }
    for bad in [
        watched(1, events(&[0, 2]), 8),
        watched(1, events(&[0, 1]), 8),
        watched(1, events(&[0, 1, 1, 2]), 8),
        watched(1, events(&[1, 0, 2]), 8),
        watched(4, events(&[0, 1, 2]), 8),
        watched(1, [events(&[0]), mark(5), events(&[1, 2])].concat(), 8),
    ] {
        assert!(watches(std::slice::from_ref(&bad), &all).is_err(), "{bad:?}");
    }
}

#[test]
fn writes_without_their_changes_and_changes_without_their_writes_are_found() {
    use models::kv::{Input, Output};
    let input = || Keyed { key: "a".to_owned(), input: Input::Put(7) };
    let answered =
        |revision, version| vec![Operation::done(1, 1, 2, input(), Output::Written { revision, version })];
    let unknown = || vec![Operation::unknown(1, 1, input())];
    let last = Change { topic: "last".to_owned(), ..change(9, NOBODYS) };
    for (operations, log) in [
        (answered(3, 1), vec![change(3, 7), last.clone()]),
        (unknown(), vec![change(3, 7)]),
        (unknown(), vec![]),
    ] {
        assert_eq!(written(&operations, &log), Ok(()), "{operations:?}");
    }
    for (operations, log) in [
        (answered(4, 1), vec![change(3, 7)]),
        (answered(3, 2), vec![change(3, 7)]),
        (answered(3, 1), vec![]),
        (unknown(), vec![change(3, 7), change(4, 7)]),
        (vec![], vec![change(3, 7)]),
    ] {
        assert!(written(&operations, &log).is_err(), "{operations:?}, {log:?}");
    }
}
