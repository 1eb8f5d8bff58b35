//! The lock as its callers see it, and against a model.
use std::collections::VecDeque;

use proptest::prelude::*;
use synod_lock::{Held, Lock, LockError, LockEvent, NAME_BYTES, Owner, SESSION_CLAIMS};
use synod_sdk::abi::limits;
use synod_sdk::prelude::*;
use synod_test::{Cancelled, Started, TestHost, TestSession};

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
        assert!(!session.client().release("db", None).unwrap());
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
    assert!(lock.release("db", None).unwrap() && lock.release("db", None).unwrap());
    assert!(thread.is_waiting());
    assert!(!lock.release("db", None).unwrap());
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
        let head = host.head();
        assert_eq!(
            (host.rows("lock"), head.sessions, head.requests, head.waiting, head.timers),
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
    assert!(!one.client().release("db", None).unwrap());
    assert!(waits.take().unwrap().token > held.token && in_time.is_waiting());
    assert_eq!(two.client().waiting_ms(0).acquire("db", None), Err(CallError::WaitTimeout));
    assert!(!three.client().release("db", None).unwrap());
    assert_eq!((in_time.take().unwrap().count, host.head().timers), (1, 0));
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
    assert!(session.client().release("db", None).unwrap());
    session.retry_last();
    assert_eq!(holder(&host, "db"), Some((session.id(), String::new(), 1)));
}

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
    assert!(lock.release("db", None).unwrap() && lock.release("db", None).unwrap());
    assert_eq!(told(&host, "db"), std::slice::from_ref(&granted));
    lock.release("db", None).unwrap();
    assert_eq!(told(&host, "db"), [granted, (host.revision(), "released", owner(&session), token)]);
}

#[test]
fn the_end_of_a_session_and_a_grant_given_back_are_told_like_a_release() {
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
    assert_eq!((host.rows("lock"), host.head().requests), (0, 0));
}

fn others_limit(session: &TestSession<'_, Lock>) -> LockError {
    session.client().acquire("one more", None).rejection()
}

/// A step of the test against the model: sessions, owners and locks by number.
#[derive(Clone, Debug)]
enum Step {
    Acquire { session: usize, owner: usize, lock: usize, wait_ms: Option<u64> },
    Try { session: usize, owner: usize, lock: usize },
    Release { session: usize, owner: usize, lock: usize },
    Cancel { which: usize },
    End { session: usize, expire: bool },
    Advance { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..3_usize, 0..2_usize, 0..2_usize);
    prop_oneof![
        6 => (place.clone(), prop_oneof![3 => Just(None), 1 => (0..50_u64).prop_map(Some)])
            .prop_map(|((session, owner, lock), wait_ms)| Step::Acquire { session, owner, lock, wait_ms }),
        1 => place.clone().prop_map(|(session, owner, lock)| Step::Try { session, owner, lock }),
        5 => place.prop_map(|(session, owner, lock)| Step::Release { session, owner, lock }),
        2 => (0..8_usize).prop_map(|which| Step::Cancel { which }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(session, expire)| Step::End { session, expire }),
        1 => (0..30_u64).prop_map(|ms| Step::Advance { ms }),
    ]
}

/// A lock of the model: who holds it with how many calls, and who waits for it.
#[derive(Debug, Default)]
struct Modelled {
    holder: Option<(usize, usize)>,
    calls: Vec<usize>,
    line: VecDeque<(usize, (usize, usize))>,
}

impl Modelled {
    fn acquire(&mut self, call: usize, by: (usize, usize)) -> bool {
        let enters = self.holder.is_none_or(|holder| holder == by);
        if enters {
            self.holder = Some(by);
            self.calls.push(call);
        }
        enters
    }

    fn give_up(&mut self, gone: impl Fn(usize, (usize, usize)) -> bool) {
        self.line.retain(|(call, by)| !gone(*call, *by));
        if let Some(holder) = self.holder {
            self.calls.retain(|call| !gone(*call, holder));
            if self.calls.is_empty() {
                let next = self.line.pop_front();
                self.holder = next.map(|(_, by)| by);
                self.calls.extend(next.map(|(call, _)| call));
            }
        }
    }
}

/// A call of `acquire` in the test.
struct Call<'f> {
    number: usize,
    session: usize,
    until: Option<Time>,
    started: Started<'f, Acquired>,
}

fn run(steps: &[Step]) {
    let host = TestHost::of::<Lock>();
    let (names, owners) = (["x", "y"], ["", "o"]);
    // A session that ends is followed by the next of these.
    let ends = steps.iter().filter(|step| matches!(step, Step::End { .. })).count();
    let pool: Vec<_> = (0..3 + ends).map(|_| host.open_session()).collect();
    let clients: Vec<_> = pool.iter().map(|session| session.async_client()).collect();
    let (mut current, mut fresh) = ([0, 1, 2], 3);
    let mut model = [Modelled::default(), Modelled::default()];
    let mut last = [None; 2];
    let mut calls = Vec::<Call<'_>>::new();
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Acquire { session, owner, lock, wait_ms } => {
                let (client, name, owner_name) =
                    (&clients[current[session]], names[lock], Some(owners[owner].to_owned()));
                let started = host.start(async move {
                    match wait_ms {
                        None => client.acquire(name, owner_name).await,
                        Some(wait_ms) => client.waiting_ms(wait_ms).acquire(name, owner_name).await,
                    }
                });
                if !model[lock].acquire(number, (session, owner)) && wait_ms != Some(0) {
                    model[lock].line.push_back((number, (session, owner)));
                }
                calls.push(Call {
                    number,
                    session,
                    until: wait_ms.map(|ms| host.now().plus_ms(ms)),
                    started,
                });
            }
            Step::Try { session, owner, lock } => {
                let held = pool[current[session]]
                    .client()
                    .try_acquire(names[lock], Some(owners[owner].into()))
                    .expect("it is not refused");
                assert_eq!(held.is_some(), model[lock].acquire(number, (session, owner)));
            }
            Step::Release { session, owner, lock } => {
                let released =
                    pool[current[session]].client().release(names[lock], Some(owners[owner].into()));
                let lock = &mut model[lock];
                match lock.calls.last().copied().filter(|_| lock.holder == Some((session, owner))) {
                    None => assert_eq!(released.rejection(), LockError::NotHeld),
                    Some(call) => {
                        assert_eq!(released.expect("it is held"), lock.calls.len() > 1);
                        lock.give_up(|other, _| other == call);
                    }
                }
            }
            Step::Cancel { which } if !calls.is_empty() => {
                let call = calls.remove(which % calls.len());
                if let Cancelled::Granted | Cancelled::Waiting = call.started.cancel() {
                    model.iter_mut().for_each(|lock| lock.give_up(|other, _| other == call.number));
                }
            }
            Step::Cancel { .. } => {}
            Step::End { session, expire } => {
                let ended = &pool[current[session]];
                if expire {
                    ended.expire()
                } else {
                    ended.close()
                }
                model.iter_mut().for_each(|lock| lock.give_up(|_, (of, _)| of == session));
                calls.retain(|call| call.session != session);
                (current[session], fresh) = (fresh, fresh + 1);
            }
            Step::Advance { ms } => {
                host.advance_ms(ms);
                let over = |number| {
                    calls.iter().any(|call| {
                        call.number == number && call.until.is_some_and(|until| until <= host.now())
                    })
                };
                model.iter_mut().for_each(|lock| lock.line.retain(|(call, _)| !over(*call)));
            }
        }
        let owner_of = |(session, owner): (usize, usize)| Owner {
            session: pool[current[session]].id(),
            name: owners[owner].into(),
        };
        for (at, lock) in model.iter().enumerate() {
            let holder = host.client().holder(names[at]).expect("it can be asked");
            let found = holder.as_ref().map(|holder| (holder.owner.clone(), holder.tickets.len()));
            assert_eq!(found, lock.holder.map(|by| (owner_of(by), lock.calls.len())));
            let line: Vec<_> = host
                .client()
                .queue(names[at], None, None)
                .expect("it can be asked")
                .into_iter()
                .map(|waiter| waiter.owner)
                .collect();
            assert_eq!(line, lock.line.iter().map(|(_, by)| owner_of(*by)).collect::<Vec<_>>());
            assert_eq!(
                holder.as_ref().map(|holder| (holder.owner.clone(), holder.token.0)),
                followed(&host, names[at])
            );
            if let Some(holder) = holder {
                let (token, former) = (holder.token, last[at].replace(holder.token));
                assert!(former.is_none_or(|former| former <= token), "tokens grow");
                assert!(host.client().is_current(names[at], token).expect("it can be asked"));
                assert_eq!(
                    former.is_some_and(|former| host
                        .client()
                        .is_current(names[at], former)
                        .expect("it can be asked")),
                    former == Some(token)
                );
            }
        }
        for call in &calls {
            let waits = model.iter().any(|lock| lock.line.iter().any(|(other, _)| *other == call.number));
            assert_eq!(call.started.is_waiting(), waits, "call {}", call.number);
        }
    }
    drop(calls);
    current.iter().map(|session| &pool[*session]).chain(&pool[fresh..]).for_each(TestSession::close);
    let head = host.head();
    assert_eq!((host.rows("lock"), head.sessions, head.requests, head.waiting, head.timers), (0, 0, 0, 0, 0));
}

/// Who holds a lock and with which token, as somebody knows who only follows its events: each grant
/// ends with its own release.
fn followed(host: &TestHost<Lock>, name: &str) -> Option<(Owner, u64)> {
    let mut held = None;
    for (_, what, owner, token) in told(host, name) {
        let of_this = Some((owner, token));
        match what {
            "granted" => assert_eq!(std::mem::replace(&mut held, of_this), None),
            _ => assert_eq!(std::mem::take(&mut held), of_this),
        }
    }
    held
}

/// Fewer against the compiled module, which each case compiles.
fn cases() -> u32 {
    if std::env::var_os("SYNOD_TEST_WASM").is_some() { 8 } else { 128 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
