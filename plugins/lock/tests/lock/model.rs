//! The lock against a model: random steps of three sessions on two locks.
use std::collections::VecDeque;

use proptest::prelude::*;
use synod_lock::{Lock, LockError, Owner, Release};
use synod_sdk::prelude::*;
use synod_test::{Cancelled, Started, TestHost, TestSession};

use super::{Acquired, told};

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

/// Names of locks.
const LOCKS: [&str; 2] = ["x", "y"];
/// Names of owners within a session.
const OWNERS: [&str; 2] = ["", "o"];

/// The recipe and the model of it, side by side.
struct Twins<'p, 'h> {
    host: &'h TestHost<Lock>,
    pool: &'p [TestSession<'h, Lock>],
    /// The sessions in use; one that ends is followed by the next of the pool.
    current: [usize; 3],
    fresh: usize,
    model: [Modelled; 2],
    /// The last token of each lock.
    last: [Option<Token>; 2],
    calls: Vec<Call<'p>>,
}

impl<'p, 'h: 'p> Twins<'p, 'h> {
    fn new(host: &'h TestHost<Lock>, pool: &'p [TestSession<'h, Lock>]) -> Self {
        Self {
            host,
            pool,
            current: [0, 1, 2],
            fresh: 3,
            model: Default::default(),
            last: [None; 2],
            calls: Vec::new(),
        }
    }

    fn session(&self, session: usize) -> &'p TestSession<'h, Lock> {
        &self.pool[self.current[session]]
    }

    fn take(&mut self, number: usize, step: &Step) {
        match *step {
            Step::Acquire { session, owner, lock, wait_ms } => {
                self.acquire(number, (session, owner), lock, wait_ms);
            }
            Step::Try { session, owner, lock } => {
                let client = self.session(session).client();
                let held = client.try_acquire(LOCKS[lock], Some(OWNERS[owner].into()));
                let entered = self.model[lock].acquire(number, (session, owner));
                assert_eq!(held.expect("it is not refused").is_some(), entered);
            }
            Step::Release { session, owner, lock } => self.release((session, owner), lock),
            Step::Cancel { which } if !self.calls.is_empty() => {
                let call = self.calls.remove(which % self.calls.len());
                if let Cancelled::Granted | Cancelled::Waiting = call.started.cancel() {
                    self.model.iter_mut().for_each(|lock| lock.give_up(|other, _| other == call.number));
                }
            }
            Step::Cancel { .. } => {}
            Step::End { session, expire } => self.end(session, expire),
            Step::Advance { ms } => self.advance(ms),
        }
    }

    fn acquire(&mut self, number: usize, by: (usize, usize), lock: usize, wait_ms: Option<u64>) {
        let (session, owner) = by;
        let caller = self.session(session);
        let owner = Some(OWNERS[owner].to_owned());
        let started = self.host.start(async move {
            let client = caller.async_client();
            match wait_ms {
                None => client.acquire(LOCKS[lock], owner).await,
                Some(wait_ms) => client.waiting_ms(wait_ms).acquire(LOCKS[lock], owner).await,
            }
        });
        if !self.model[lock].acquire(number, by) && wait_ms != Some(0) {
            self.model[lock].line.push_back((number, by));
        }
        let until = wait_ms.map(|ms| self.host.now().plus_ms(ms));
        self.calls.push(Call { number, session, until, started });
    }

    fn release(&mut self, by: (usize, usize), lock: usize) {
        let (session, owner) = by;
        let released = self.session(session).client().release(LOCKS[lock], Some(OWNERS[owner].into()));
        let lock = &mut self.model[lock];
        match lock.calls.last().copied().filter(|_| lock.holder == Some(by)) {
            None => assert_eq!(released.rejection(), LockError::NotHeld),
            Some(call) => {
                let left = match lock.calls.len() - 1 {
                    0 => Release::Released,
                    count => Release::StillHeld { count: count as u32 },
                };
                assert_eq!(released.expect("it is held"), left);
                lock.give_up(|other, _| other == call);
            }
        }
    }

    fn end(&mut self, session: usize, expire: bool) {
        let ended = self.session(session);
        if expire {
            ended.expire()
        } else {
            ended.close()
        }
        self.model.iter_mut().for_each(|lock| lock.give_up(|_, (of, _)| of == session));
        self.calls.retain(|call| call.session != session);
        self.current[session] = self.fresh;
        self.fresh += 1;
    }

    fn advance(&mut self, ms: u64) {
        self.host.advance_ms(ms);
        let now = self.host.now();
        let over = |call: &&Call<'_>| call.until.is_some_and(|until| until <= now);
        let over: Vec<usize> = self.calls.iter().filter(over).map(|call| call.number).collect();
        self.model.iter_mut().for_each(|lock| lock.line.retain(|(call, _)| !over.contains(call)));
    }

    fn owner(&self, (session, owner): (usize, usize)) -> Owner {
        Owner { session: self.session(session).id(), name: OWNERS[owner].into() }
    }

    /// Compares what can be asked, and what the events tell, with the model.
    fn compare(&mut self) {
        for (at, name) in LOCKS.into_iter().enumerate() {
            let lock = &self.model[at];
            let client = self.host.client();
            let holder = client.holder(name).expect("it can be asked");
            let found = holder.as_ref().map(|holder| (holder.owner.clone(), holder.tickets.len()));
            assert_eq!(found, lock.holder.map(|by| (self.owner(by), lock.calls.len())));
            let line = client.queue(name, None, None).expect("it can be asked");
            let line: Vec<_> = line.into_iter().map(|waiter| waiter.owner).collect();
            assert_eq!(line, lock.line.iter().map(|(_, by)| self.owner(*by)).collect::<Vec<_>>());
            let known = holder.as_ref().map(|holder| (holder.owner.clone(), holder.token.0));
            assert_eq!(known, followed(self.host, name));
            if let Some(holder) = holder {
                let token = holder.token;
                let former = self.last[at].replace(token);
                let is_current = |token| client.is_current(name, token).expect("it can be asked");
                assert!(former.is_none_or(|former| former <= token), "tokens grow");
                assert!(is_current(token));
                assert_eq!(former.is_some_and(is_current), former == Some(token));
            }
        }
        for call in &self.calls {
            let waits_for = |lock: &Modelled| lock.line.iter().any(|(other, _)| *other == call.number);
            let waits = self.model.iter().any(waits_for);
            assert_eq!(call.started.is_waiting(), waits, "call {}", call.number);
        }
    }

    /// Closes every session, and checks that nothing is left of them.
    fn close(self) {
        drop(self.calls);
        self.current.iter().map(|session| &self.pool[*session]).for_each(TestSession::close);
        self.pool[self.fresh..].iter().for_each(TestSession::close);
        let counts = self.host.head().counts;
        let left = (self.host.rows("lock"), counts.sessions, counts.requests, counts.waiting, counts.timers);
        assert_eq!(left, (0, 0, 0, 0, 0));
    }
}

fn run(steps: &[Step]) {
    let host = TestHost::of::<Lock>();
    let ends = steps.iter().filter(|step| matches!(step, Step::End { .. })).count();
    let pool: Vec<_> = (0..3 + ends).map(|_| host.open_session()).collect();
    let mut twins = Twins::new(&host, &pool);
    for (number, step) in steps.iter().enumerate() {
        twins.take(number, step);
        twins.compare();
    }
    twins.close();
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
