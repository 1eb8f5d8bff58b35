//! For each record a good one, and one change for each way to be wrong.
use super::*;

#[track_caller]
fn assert_wrong(verdict: Result<(), Violation>, property: Property, names: &str) {
    let violation = verdict.expect_err("a violation");
    assert_eq!(violation.property, property, "{violation}");
    assert!(violation.why.contains(names), "{names} is not named: {violation}");
}

/// A session that was heard last at 40 and lives for 10.
fn life(at: u64, cause: Cause) -> Life {
    Life { session: 7, ttl: 10, opened: 20, touches: vec![30, 40, 35], end: Some(End { at, cause }) }
}

#[test]
fn a_session_lives_for_its_time_after_it_was_heard() {
    let alive = Life { end: None, ..life(0, Cause::Closed) };
    let unheard = Life { touches: Vec::new(), ..life(30, Cause::Expired) };
    let good = [life(50, Cause::Expired), life(41, Cause::Closed), alive, unheard];
    assert_eq!(lives(&good), Ok(()));
}

#[test]
fn a_session_that_ends_early_is_found() {
    let early = life(49, Cause::Expired);
    assert_wrong(
        lives(&[early]),
        Property::NotEndedEarly,
        "session 7 with a time to live of 10 was heard at 40",
    );
    let unheard = Life { touches: Vec::new(), ..life(29, Cause::Expired) };
    assert_wrong(lives(&[unheard]), Property::NotEndedEarly, "was heard at 20, and expired at 29");
}

#[test]
fn a_session_that_is_told_it_lives_after_its_end_is_found() {
    assert_wrong(lives(&[life(39, Cause::Closed)]), Property::NotEndedEarly, "a touch sent at 40");
}

fn change(revision: u64, session: u64, token: u64, change: LockChange) -> LockEvent {
    LockEvent { revision, lock: "db".into(), session, token, change }
}

/// Session 1 holds the lock, its end hands it to session 2, which keeps it.
fn handed_on() -> Vec<LockEvent> {
    vec![
        change(1, 1, 10, LockChange::Granted),
        LockEvent { lock: "other".into(), ..change(2, 2, 11, LockChange::Granted) },
        change(5, 1, 10, LockChange::Released),
        change(5, 2, 12, LockChange::Granted),
    ]
}

fn check_locks(change: impl FnOnce(&mut Vec<LockEvent>)) -> Result<(), Violation> {
    let mut events = handed_on();
    change(&mut events);
    locks(&events, &BTreeMap::from([(1, 5)]))
}

#[test]
fn a_lock_that_is_handed_on_has_one_holder() {
    assert_eq!(check_locks(|_| ()), Ok(()));
}

#[test]
fn two_holders_are_found() {
    assert_wrong(check_locks(|events| drop(events.remove(2))), Property::OneHolder, "two hold a lock");
    let by_another = check_locks(|events| events[2].session = 2);
    assert_wrong(by_another, Property::OneHolder, "released by another");
    let twice = check_locks(|events| events.insert(3, events[2].clone()));
    assert_wrong(twice, Property::OneHolder, "held was None");
}

#[test]
fn a_token_that_does_not_grow_is_found() {
    assert_wrong(check_locks(|events| events[3].token = 10), Property::TokensGrow, "token: 10");
}

#[test]
fn a_dead_session_neither_gets_nor_keeps_a_lock() {
    let late = check_locks(|events| {
        events[3].session = 1;
        events[3].revision = 6;
    });
    assert_wrong(late, Property::OneHolder, "a session that had ended gets a lock");
    let kept = check_locks(|events| events.truncate(1));
    assert_wrong(kept, Property::NothingLeft, "still holds a lock");
}

#[test]
fn nobody_relies_on_a_lock_while_another_one_does() {
    let reliance = |lock: &str, session, from, until| Reliance { lock: lock.into(), session, from, until };
    let good = [
        reliance("db", 2, 20, 30),
        reliance("db", 1, 0, 20),
        reliance("db", 1, 5, 10),
        reliance("other", 3, 5, 25),
    ];
    assert_eq!(reliances(&good), Ok(()));
    let bad = [reliance("db", 2, 19, 30), reliance("db", 1, 0, 20), reliance("db", 1, 5, 10)];
    assert_wrong(reliances(&bad), Property::OneHolder, "session: 2, from: 19");
}

#[test]
fn what_is_left_of_a_dead_session_is_named() {
    let owned = [(1, "ticket 5"), (2, "request 9"), (3, "claim db")]
        .map(|(session, what)| Owned { session, what: what.into() });
    assert_eq!(nothing_left(&BTreeSet::from([1, 2, 3, 4]), &owned), Ok(()));
    let left = nothing_left(&BTreeSet::from([1]), &owned).expect_err("a violation");
    assert!(left.why.contains("request 9") && left.why.contains("claim db"), "{left}");
    assert!(!left.why.contains("ticket 5"), "{left}");
    assert_eq!(left.property, Property::NothingLeft);
}

#[test]
fn a_resource_that_lets_an_older_token_in_is_found() {
    let access = |resource: &str, token, accepted| Access { resource: resource.into(), token, accepted };
    let good = [
        access("a", 5, true),
        access("a", 5, true),
        access("b", 4, true),
        access("a", 7, true),
        access("a", 5, false),
        access("a", 9, false),
        access("a", 8, true),
    ];
    assert_eq!(fenced(&good), Ok(()));
    let bad = [access("a", 5, true), access("a", 7, true), access("a", 6, true)];
    assert_wrong(fenced(&bad), Property::Fenced, "after token 7 an older one was let in");
}
