//! Grants and releases are events; joining the queue emits none.
use synod_lock::{Lock, Release};
use synod_sdk::prelude::*;
use synod_test::{Cancelled, TestHost};

use super::{owner, told};

#[test]
fn a_lock_that_is_handed_on_is_released_and_granted_in_one_revision() {
    let host = TestHost::of::<Lock>();
    let (one, two) = (host.open_session(), host.open_session());
    let first = one.client().acquire("db", None).unwrap().token.0;
    let granted = host.revision();
    let second = two.async_client();
    let waits = host.start(second.acquire("db", None));
    assert_eq!(told(&host, "db"), [(granted, "granted", owner(&one), first)], "waiting is no event");
    one.client().release("db", None).unwrap();
    let handed = host.revision();
    let next = waits.take().unwrap().token.0;
    let mut expected = vec![
        (granted, "granted", owner(&one), first),
        (handed, "released", owner(&one), first),
        (handed, "granted", owner(&two), next),
    ];
    assert_eq!(told(&host, "db"), expected);
    two.client().release("db", None).unwrap();
    expected.push((host.revision(), "released", owner(&two), next));
    assert_eq!(told(&host, "db"), expected);
}

#[test]
fn only_the_first_acquire_and_the_last_release_are_events() {
    let host = TestHost::of::<Lock>();
    let (session, other) = (host.open_session(), host.open_session());
    let lock = session.client();
    let token = lock.acquire("db", None).unwrap().token.0;
    let granted = (host.revision(), "granted", owner(&session), token);
    lock.acquire("db", None).unwrap();
    lock.try_acquire("db", None).unwrap();
    assert_eq!(other.client().try_acquire("db", None).unwrap(), None);
    other.client().release("db", None).rejection();
    lock.acquire("", None).rejection();
    for count in [2, 1] {
        assert_eq!(lock.release("db", None).unwrap(), Release::StillHeld { count });
    }
    assert_eq!(told(&host, "db"), std::slice::from_ref(&granted));
    lock.release("db", None).unwrap();
    assert_eq!(told(&host, "db"), [granted, (host.revision(), "released", owner(&session), token)]);
}

#[test]
fn the_end_of_a_session_and_a_grant_given_back_are_released_events() {
    for expire in [false, true] {
        let host = TestHost::of::<Lock>();
        let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
        let first = one.client().acquire("db", None).unwrap().token.0;
        let own = one.async_client();
        let passed_over = host.start(own.acquire("db", Some("second thread".into())));
        let (second, third) = (two.async_client(), three.async_client());
        let (granted, next) = (host.start(second.acquire("db", None)), host.start(third.acquire("db", None)));
        if expire {
            one.expire()
        } else {
            one.close()
        }
        let ended = host.revision();
        assert!(passed_over.take().is_err());
        assert_eq!(granted.cancel(), Cancelled::Granted);
        let given_back = host.revision();
        let last = next.take().unwrap().token.0;
        let told = told(&host, "db");
        let given = told[2].3;
        let expected = [
            (ended, "released", owner(&one), first),
            (ended, "granted", owner(&two), given),
            (given_back, "released", owner(&two), given),
            (given_back, "granted", owner(&three), last),
        ];
        assert_eq!(told[1..], expected);
        assert!(first < given && given < last);
    }
}
