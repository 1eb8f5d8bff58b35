//! The lock as its callers see it; its events and a model of it have files of their own.
use std::collections::VecDeque;

use synod_lock::{Held, Lock, LockError, LockEvent, NAME_BYTES, Owner, Release, SESSION_CLAIMS};
use synod_sdk::abi::limits;
use synod_sdk::prelude::*;
use synod_sdk::state::Claimed;
use synod_test::{Cancelled, Started, TestHost, TestSession};

mod events;
mod hot;
mod model;

type Acquired = Result<Held, CallError<LockError>>;

fn tokens(held: &[Held]) -> Vec<u64> {
    held.iter().map(|held| held.token.0).collect()
}

/// Who holds a lock, and how often.
fn holder(host: &TestHost<Lock>, name: &str) -> Option<(SessionId, String, usize)> {
    let holder = host.client().holder(name).expect("it can be asked")?;
    Some((holder.owner.session, holder.owner.name, holder.tickets.len()))
}

/// What was emitted about a lock: revisions, whether it was granted, by whom it is held, with which
/// token.
fn told(host: &TestHost<Lock>, name: &str) -> Vec<(Revision, &'static str, Owner, u64)> {
    let revisions = host.events("lock").into_iter().map(|(revision, ..)| revision);
    let of_lock = revisions.zip(host.events_of("lock")).filter(|(_, (topic, _))| topic == name);
    let told = |(revision, (_, event))| match event {
        LockEvent::Granted { owner, token } => (revision, "granted", owner, token.0),
        LockEvent::Released { owner, token } => (revision, "released", owner, token.0),
    };
    of_lock.map(told).collect()
}

fn owner(session: &TestSession<'_, Lock>) -> Owner {
    Owner { session: session.id(), name: String::new() }
}

#[test]
fn whoever_comes_first_is_served_first() {
    let host = TestHost::of::<Lock>();
    let sessions: Vec<_> = (0..5).map(|_| host.open_session()).collect();
    let clients: Vec<_> = sessions.iter().map(|session| session.async_client()).collect();
    let mut waiting: VecDeque<_> = clients.iter().map(|lock| host.start(lock.acquire("db", None))).collect();
    let mut held = Vec::new();
    for session in &sessions {
        let first = waiting.pop_front().expect("one per session");
        assert!(waiting.iter().all(Started::is_waiting));
        held.push(first.take().unwrap());
        assert_eq!(holder(&host, "db"), Some((session.id(), String::new(), 1)));
        assert!(host.client().is_current("db", held.last().unwrap().token).unwrap());
        assert_eq!(session.client().release("db", None).unwrap(), Release::Released);
    }
    assert!(tokens(&held).is_sorted_by(|one, next| one < next));
    assert_eq!((holder(&host, "db"), host.rows("lock")), (None, 0));
    assert!(held.iter().all(|held| !host.client().is_current("db", held.token).unwrap()));
}

#[test]
fn an_owner_acquires_again_what_it_holds() {
    let host = TestHost::of::<Lock>();
    let session = host.open_session();
    let lock = session.client();
    let first = lock.acquire("db", None).unwrap();
    assert_eq!(lock.acquire("db", None).unwrap(), Held { token: first.token, count: 2 });
    assert_eq!(lock.try_acquire("db", None).unwrap(), Some(Held { token: first.token, count: 3 }));
    assert_eq!(
        lock.try_acquire("db", Some("thread".into())).unwrap(),
        None,
        "another owner of the same session waits"
    );
    assert_eq!(lock.release("db", Some("thread".into())).rejection(), LockError::NotHeld);
    let async_lock = session.async_client();
    let thread = host.start(async_lock.acquire("db", Some("thread".into())));
    let released = [2, 1].map(|count| Release::StillHeld { count });
    assert_eq!(released, [(); 2].map(|()| lock.release("db", None).unwrap()));
    assert!(thread.is_waiting());
    assert_eq!(lock.release("db", None).unwrap(), Release::Released);
    assert_eq!(lock.release("db", None).rejection(), LockError::NotHeld);
    let held = thread.take().unwrap();
    assert!(held.token > first.token && held.count == 1);
    assert_eq!(holder(&host, "db"), Some((session.id(), "thread".into(), 1)));
}

#[test]
fn a_lock_needs_a_session() {
    let host = TestHost::of::<Lock>();
    let lock = host.client();
    assert_eq!(lock.acquire("db", None).rejection(), LockError::NoSession);
    assert_eq!(lock.try_acquire("db", None).rejection(), LockError::NoSession);
    assert_eq!(lock.release("db", None).rejection(), LockError::NoSession);
}

#[test]
fn the_end_of_a_session_hands_its_locks_on() {
    for expire in [false, true] {
        let host = TestHost::of::<Lock>();
        let (holder_of_both, next, last) = (host.open_session(), host.open_session(), host.open_session());
        let before = [
            holder_of_both.client().acquire("a", None).unwrap(),
            holder_of_both.client().acquire("b", None).unwrap(),
        ];
        let (own, other, third) = (holder_of_both.async_client(), next.async_client(), last.async_client());
        let own_wait = host.start(own.acquire("a", Some("second thread".into())));
        let (a, b) = (host.start(other.acquire("a", None)), host.start(other.acquire("b", None)));
        let behind = host.start(third.acquire("a", None));
        if expire {
            holder_of_both.expire()
        } else {
            holder_of_both.close()
        }
        assert!(
            matches!(own_wait.take(), Err(CallError::SessionExpired(_))),
            "it stood first in line and is passed over"
        );
        let after = [a.take().unwrap(), b.take().unwrap()];
        assert!(tokens(&after).iter().min() > tokens(&before).iter().max());
        assert!(behind.is_waiting());
        next.close();
        assert!(behind.take().unwrap().token > after[0].token);
        last.close();
        let counts = host.head().counts;
        assert_eq!(
            (host.rows("lock"), counts.sessions, counts.requests, counts.waiting, counts.timers),
            (0, 0, 0, 0, 0)
        );
    }
}

#[test]
fn who_gives_up_leaves_the_line() {
    let host = TestHost::of::<Lock>();
    let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
    let held = one.client().acquire("db", None).unwrap();
    let (second, third) = (two.async_client(), three.async_client());
    let cancelled = host.start(second.acquire("db", None));
    let (patient, hasty) = (second.waiting_ms(2_000), second.waiting_ms(1_000));
    let timed_out = host.start(hasty.acquire("db", None));
    let waits = host.start(third.acquire("db", None));
    let in_time = host.start(patient.acquire("db", None));
    assert_eq!(cancelled.cancel(), Cancelled::Waiting);
    host.advance_ms(1_000);
    assert_eq!(timed_out.take(), Err(CallError::WaitTimeout));
    let line = host.client().queue("db", None, None).unwrap();
    assert_eq!(line.iter().map(|waiter| waiter.owner.session).collect::<Vec<_>>(), [three.id(), two.id()]);
    assert_eq!(one.client().release("db", None).unwrap(), Release::Released);
    assert!(waits.take().unwrap().token > held.token && in_time.is_waiting());
    assert_eq!(two.client().waiting_ms(0).acquire("db", None), Err(CallError::WaitTimeout));
    assert_eq!(three.client().release("db", None).unwrap(), Release::Released);
    assert_eq!((in_time.take().unwrap().count, host.head().counts.timers), (1, 0));
}

#[test]
fn a_grant_that_nobody_heard_of_is_given_back() {
    let host = TestHost::of::<Lock>();
    let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
    one.client().acquire("db", None).unwrap();
    let (second, third) = (two.async_client(), three.async_client());
    let (granted, next) = (host.start(second.acquire("db", None)), host.start(third.acquire("db", None)));
    one.client().release("db", None).unwrap();
    assert_eq!(holder(&host, "db").map(|(session, ..)| session), Some(two.id()));
    assert_eq!(granted.cancel(), Cancelled::Granted);
    let held = next.take().unwrap();
    assert_eq!(holder(&host, "db").map(|(session, ..)| session), Some(three.id()));
    let again = host.start(third.acquire("db", None));
    assert_eq!(again.cancel(), Cancelled::Granted, "of what it acquired again, only that is given back");
    assert_eq!(holder(&host, "db"), Some((three.id(), String::new(), 1)));
    assert!(host.client().is_current("db", held.token).unwrap());
}

#[test]
fn a_retry_acquires_and_releases_once() {
    let host = TestHost::of::<Lock>();
    let session = host.open_session();
    session.client().acquire("db", None).unwrap();
    session.retry_last();
    assert_eq!(holder(&host, "db"), Some((session.id(), String::new(), 1)));
    session.client().acquire("db", None).unwrap();
    assert_eq!(session.client().release("db", None).unwrap(), Release::StillHeld { count: 1 });
    session.retry_last();
    assert_eq!(holder(&host, "db"), Some((session.id(), String::new(), 1)));
}

#[test]
fn claims_are_counted_whatever_becomes_of_them() {
    let host = TestHost::of::<Lock>();
    let (session, other) = (host.open_session(), host.open_session());
    let (lock, waits) = (session.client(), session.async_client());
    other.client().acquire("theirs", None).unwrap();
    for _ in 0..2 {
        let waiting: Vec<_> =
            (0..SESSION_CLAIMS).map(|n| host.start(waits.acquire("theirs", Some(n.to_string())))).collect();
        assert_eq!(lock.acquire("one more", None).rejection(), LockError::TooMany);
        assert_eq!(lock.try_acquire("theirs", None).unwrap(), None, "nothing is claimed");
        for started in waiting {
            assert_eq!(started.cancel(), Cancelled::Waiting);
        }
        assert_eq!(lock.waiting_ms(0).acquire("theirs", None), Err(CallError::WaitTimeout));
        lock.acquire("mine", None).unwrap();
        lock.release("mine", None).unwrap();
    }
    assert_eq!(host.rows("lock"), 3, "the other's lock, its claim and its count");
}

#[test]
fn lines_and_locks_come_in_pages() {
    let host = TestHost::of::<Lock>();
    let session = host.open_session();
    for name in ["c", "a", "b"] {
        session.client().acquire(name, None).unwrap();
    }
    let names =
        |rows: &[(String, synod_lock::Holder)]| rows.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let first = host.client().list(Some(2), None).unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(names(&host.client().list(Some(2), Some("b".into())).unwrap()), ["c"]);
    assert_eq!(names(&host.client().list(None, Some("c".into())).unwrap()), [""; 0]);
    let others = session.async_client();
    let waiting: Vec<_> = (0..3).map(|n| host.start(others.acquire("a", Some(format!("{n}"))))).collect();
    let line = host.client().queue("a", Some(2), None).unwrap();
    assert_eq!(line.iter().map(|waiter| waiter.owner.name.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    let rest = host.client().queue("a", Some(2), Some(line[1].ticket.id())).unwrap();
    assert_eq!(
        rest.iter().map(|waiter| waiter.owner.clone()).collect::<Vec<_>>(),
        [Owner { session: session.id(), name: "2".into() }]
    );
    assert!(waiting.iter().all(Started::is_waiting));
}

#[test]
fn names_and_claims_have_limits_and_all_of_them_end_with_their_session() {
    let host = TestHost::of::<Lock>();
    let (session, other) = (host.open_session(), host.open_session());
    let (lock, long) = (session.client(), "ü".repeat(NAME_BYTES / 2));
    assert_eq!(lock.acquire(format!("{long}n"), None).rejection(), LockError::BadName);
    assert_eq!(lock.acquire("a", Some(format!("{long}n"))).rejection(), LockError::BadName);
    assert_eq!(lock.try_acquire("a\0", None).rejection(), LockError::BadName);
    assert_eq!(lock.acquire("", None).rejection(), LockError::BadName);
    let name = |n: u32| format!("{n:04}{}", &long[4..]);
    for n in 0..SESSION_CLAIMS {
        lock.acquire(name(n), Some(long.clone())).unwrap();
    }
    assert_eq!(lock.try_acquire("one more", None).rejection(), LockError::TooMany);
    let others = other.async_client();
    let waiting: Vec<_> =
        (0..SESSION_CLAIMS).map(|n| host.start(others.acquire(name(n), Some(long.clone())))).collect();
    assert_eq!(others_limit(&other), LockError::TooMany);
    session.expire();
    assert!(host.fuel_used() < limits::CALL_FUEL * 3 / 4, "{} of fuel", host.fuel_used());
    for started in waiting {
        assert_eq!(started.take().unwrap().count, 1);
    }
    other.expire();
    assert_eq!((host.rows("lock"), host.head().counts.requests), (0, 0));
}

fn others_limit(session: &TestSession<'_, Lock>) -> LockError {
    session.client().acquire("one more", None).rejection()
}

#[test]
fn who_tells_holders_and_waiters_of_a_lock_and_what_a_session_has() {
    let host = TestHost::of::<Lock>();
    let (one, two) = (host.open_session(), host.open_session());
    let token = one.client().acquire("db", None).unwrap().token;
    one.client().acquire("db", None).unwrap();
    let since = host.now();
    host.advance_ms(5);
    let caller = two.async_client();
    let waiting = host.start(caller.acquire("db", Some("thread".into())));
    let other = two.client().acquire("log", None).unwrap().token;
    let holds = |name: &str, session, token, since| Claimed {
        name: name.into(),
        session,
        owner: String::new(),
        since,
        token: Some(token),
    };
    let waits = Claimed {
        name: "db".into(),
        session: two.id(),
        owner: "thread".into(),
        since: host.now(),
        token: None,
    };
    let held = holds("db", one.id(), token, since);
    let who = |name: Option<&str>, session| host.client().who(name.map(str::to_owned), session).unwrap();
    assert_eq!(who(Some("db"), None), [held.clone(), waits.clone()]);
    assert_eq!(who(None, Some(one.id())), [held]);
    assert_eq!(who(None, Some(two.id())), [waits.clone(), holds("log", two.id(), other, host.now())]);
    assert_eq!(who(Some("db"), Some(two.id())), [waits]);
    assert_eq!((who(Some("none"), None), who(None, None)), (Vec::new(), Vec::new()));
    assert!(waiting.is_waiting());
}
