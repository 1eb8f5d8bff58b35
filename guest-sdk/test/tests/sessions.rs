//! Sessions, waiting calls and timers of a test host, on a recipe that uses all of them.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use synod_sdk::prelude::*;
use synod_test::{Cancelled, TestHost};

/// Why nobody is let in.
#[errors]
pub enum GateError {
    /// On purpose.
    #[error(1)]
    Locked,
}

/// A gate, and a diary of what happened at it.
#[recipe(name = "gate", version = 1)]
pub struct Gate {
    open: Cell<bool>,
    waiting: Map<TicketId, Ticket<u32>>,
    diary: Queue<(), String>,
}

#[ops]
impl Gate {
    /// Waits until the gate is open.
    #[op]
    fn enter(&self, cx: &mut Ctx) -> Result<Reply<u32>, GateError> {
        if self.open.get(cx).unwrap_or(false) {
            return Ok(Reply::Now(1));
        }
        let ticket = cx.ticket();
        self.waiting.put(cx, &ticket.id(), &ticket);
        Ok(Reply::Later(ticket))
    }

    /// Opens it for good.
    #[op]
    fn open(&self, cx: &mut Ctx) -> u32 {
        self.open.put(cx, &true);
        self.answer(cx, |cx, ticket| cx.complete(ticket, &2))
    }

    /// Sends away who waits.
    #[op]
    fn refuse(&self, cx: &mut Ctx) -> u32 {
        self.answer(cx, |cx, ticket| cx.refuse(ticket, &GateError::Locked))
    }

    /// Writes into the diary `after_ms` from now, and each `every_ms` after that, if it is not 0.
    #[op]
    fn ring(&self, cx: &mut Ctx, after_ms: u64, every_ms: Option<u64>) -> TimerId {
        cx.set_timer(cx.now().plus_ms(after_ms), &every_ms)
    }

    /// Cancels a timer.
    #[op]
    fn silence(&self, cx: &mut Ctx, timer: TimerId) -> bool {
        cx.cancel_timer(timer)
    }

    /// Counts, so that twice is seen.
    #[op]
    fn note(&self, cx: &mut Ctx, text: String) -> u32 {
        self.diary.push_back(cx, &(), &text);
        self.diary.len_at_most(cx, &(), 100) as u32
    }

    #[on_session_end]
    fn session_ended(&self, cx: &mut Ctx, session: SessionId) {
        self.diary.push_back(cx, &(), &format!("end of {session}"));
    }

    #[on_timer]
    fn due(&self, cx: &mut Ctx, timer: TimerId, every_ms: Option<u64>) {
        let now = cx.now();
        self.diary.push_back(cx, &(), &format!("{timer} at {now}"));
        if let Some(every_ms) = every_ms {
            cx.set_timer(now.plus_ms(every_ms), &Some(every_ms));
        }
    }

    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, granted: bool) {
        self.waiting.delete(cx, &ticket);
        self.diary.push_back(cx, &(), &format!("cancelled, granted: {granted}"));
    }

    /// What happened.
    #[query]
    fn diary(&self, cx: &QueryCtx) -> Vec<String> {
        self.diary.iter(cx, &()).map(|(_, text)| text).collect()
    }

    /// The session that asks.
    #[query]
    fn whose(&self, cx: &QueryCtx) -> Option<SessionId> {
        cx.session()
    }

    fn answer(&self, cx: &mut Ctx, mut with: impl FnMut(&mut Ctx<'_>, Ticket<u32>) -> bool) -> u32 {
        let waiting: Vec<_> = self.waiting.iter(cx).collect();
        let mut answered = 0;
        for (id, ticket) in waiting {
            self.waiting.delete(cx, &id);
            answered += u32::from(with(cx, ticket));
        }
        answered
    }
}

#[test]
fn what_waits_is_answered_by_another_command() {
    let host = TestHost::of::<Gate>();
    let (one, two) = (host.open_session(), host.open_session());
    assert_ne!(one.id(), two.id());
    let (gate_one, gate_two) = (one.async_client(), two.async_client());
    let (first, second) = (host.start(gate_one.enter()), host.start(gate_two.enter()));
    assert!(first.is_waiting() && second.is_waiting());
    assert_eq!((host.head().counts.waiting, host.head().counts.requests), (2, 2));
    assert_eq!(host.client().refuse().unwrap(), 2);
    assert_eq!(first.take().rejection(), GateError::Locked);
    let third = host.start(gate_one.enter());
    assert_eq!(host.client().open().unwrap(), 1);
    assert!(!third.is_waiting());
    assert_eq!((third.take(), second.take().rejection()), (Ok(2), GateError::Locked));
    assert_eq!(one.client().enter().unwrap(), 1, "it is open, so nothing waits");
    one.client().note("so that everything is acknowledged").unwrap();
    let counts = host.head().counts;
    assert_eq!((counts.waiting, counts.requests), (0, 2), "the last of one, and that of two");
}

#[test]
fn a_blocking_call_that_waits_says_what_to_do() {
    let host = TestHost::of::<Gate>();
    let waits = catch_unwind(AssertUnwindSafe(|| {
        let session = host.open_session();
        let _ = session.client().enter();
    }));
    let text = waits.expect_err("it would wait for ever").downcast::<&str>().expect("the panic has a text");
    assert!(text.contains("host.start"), "{text}");
}

#[test]
fn without_a_session_nothing_waits() {
    let host = TestHost::of::<Gate>();
    let refused = host.client().enter().expect_err("it cannot wait");
    assert_eq!(refused.to_string(), synod_test::Rejection::CannotWait.to_string());
    assert_eq!(host.head().counts.waiting, 0);
}

#[test]
fn a_wait_ends_at_its_time_and_not_before() {
    let host = TestHost::of::<Gate>();
    let session = host.open_session();
    let gate = session.async_client().waiting_ms(1_000);
    let started = host.start(gate.enter());
    host.advance_ms(999);
    assert!(started.is_waiting());
    host.advance_ms(1);
    assert_eq!(started.take(), Err(CallError::WaitTimeout));
    assert_eq!(host.client().diary().unwrap(), ["cancelled, granted: false"]);
    assert_eq!(session.client().waiting_ms(0).enter(), Err(CallError::WaitTimeout), "0 does not wait at all");
    assert_eq!((host.head().counts.waiting, host.head().counts.timers), (0, 0));
}

#[test]
fn a_call_is_cancelled_in_every_state() {
    let host = TestHost::of::<Gate>();
    let session = host.open_session();
    let gate = session.async_client();
    assert_eq!(host.start(gate.enter()).cancel(), Cancelled::Waiting);
    let granted = host.start(gate.enter());
    host.client().open().unwrap();
    assert_eq!(granted.cancel(), Cancelled::Granted);
    let now = host.start(gate.enter());
    assert!(!now.is_waiting());
    assert_eq!(now.cancel(), Cancelled::Granted, "what was answered at once is given back as well");
    assert_eq!(host.start(gate.note("plain")).cancel(), Cancelled::Final);
    let (yes, no) = ("cancelled, granted: true", "cancelled, granted: false");
    assert_eq!(host.client().diary().unwrap(), [no, yes, yes, "plain"]);
    assert_eq!(session.cancel(RequestId(100)), Cancelled::NotRun);
    session.close();
    assert_eq!(host.head().counts.requests, 0);
}

#[test]
fn dropping_what_waits_cancels_it() {
    let host = TestHost::of::<Gate>();
    let session = host.open_session();
    let gate = session.async_client();
    drop(host.start(gate.enter()));
    assert_eq!(host.head().counts.waiting, 0);
    assert_eq!(host.client().diary().unwrap(), ["cancelled, granted: false"]);
    session.client().note("acknowledges the cancelled one").unwrap();
    assert_eq!(host.head().counts.requests, 1);
}

#[test]
fn a_sessions_end_ends_what_waits_in_it() {
    let host = TestHost::of::<Gate>();
    for expire in [false, true] {
        let session = host.open_session();
        let gate = session.async_client();
        let started = host.start(gate.enter());
        if expire {
            session.expire()
        } else {
            session.close()
        }
        assert!(matches!(started.take(), Err(CallError::SessionExpired(_))));
        assert!(matches!(session.client().note("late"), Err(CallError::SessionExpired(_))));
        assert_eq!(host.client().diary().unwrap().last(), Some(&format!("end of {}", session.id())));
    }
    let counts = host.head().counts;
    assert_eq!((counts.sessions, counts.requests, counts.waiting, counts.timers), (0, 0, 0, 0));
    assert_eq!(
        host.rows("gate"),
        5,
        "two lines of the diary, where they lie, and the tickets of two that were not cancelled"
    );
}

#[test]
fn a_retry_has_effect_once() {
    let host = TestHost::of::<Gate>();
    let session = host.open_session();
    assert_eq!(session.client().note("once").unwrap(), 1);
    let (before, revision) = (session.last_request(), host.revision());
    let first = session.retry_last();
    assert_eq!((session.retry_last(), host.revision()), (first, revision));
    assert_eq!((session.last_request(), host.client().diary().unwrap().len()), (before, 1));
    let gate = session.async_client();
    let started = host.start(gate.enter());
    assert!(format!("{:?}", session.retry_last().result).contains("Parked"));
    host.client().open().unwrap();
    assert_eq!(session.retry_last().result, Ok(synod_test::Reply::Result(vec![2].into())));
    assert_eq!(started.take(), Ok(2));
    assert_eq!(session.client().whose().unwrap(), Some(session.id()));
}

#[test]
fn timers_fire_each_at_its_time() {
    let host = TestHost::of::<Gate>();
    let (gate, begin) = (host.client(), host.now());
    let late = gate.ring(500, None).unwrap();
    let early = gate.ring(100, None).unwrap();
    let silent = gate.ring(200, None).unwrap();
    assert!(gate.silence(silent).unwrap() && !gate.silence(silent).unwrap());
    host.advance_ms(99);
    assert_eq!(gate.diary().unwrap(), [""; 0]);
    host.advance_ms(1_000);
    let at = |timer: TimerId, ms: u64| format!("{timer} at {}", begin.plus_ms(ms));
    assert_eq!(gate.diary().unwrap(), [at(early, 100), at(late, 500)]);
    assert!(!gate.silence(late).unwrap());
    let first = gate.ring(0, Some(10)).unwrap();
    host.advance_ms(1);
    assert_eq!(gate.diary().unwrap()[2], at(first, 1_100));
    host.advance_ms(94);
    assert_eq!(gate.diary().unwrap().len(), 12);
    assert_eq!((host.now(), host.head().counts.timers), (begin.plus_ms(1_194), 1));
}

#[test]
fn a_timer_that_is_set_for_now_fires_a_millisecond_later() {
    let host = TestHost::of::<Gate>();
    let gate = host.client();
    gate.ring(0, Some(0)).unwrap();
    host.advance_ms(0);
    assert_eq!(gate.diary().unwrap().len(), 0);
    host.advance_ms(3);
    assert_eq!((gate.diary().unwrap().len(), host.head().counts.timers), (3, 1));
}

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Remembers in memory what it answers later.
#[recipe(name = "leaky", version = 1)]
pub struct Leaky {
    waiting: Cell<Ticket<u64>>,
}

#[ops]
impl Leaky {
    /// Waits.
    #[op]
    fn ask(&self, cx: &mut Ctx) -> Reply<u64> {
        let ticket = cx.ticket();
        self.waiting.put(cx, &ticket);
        Reply::Later(ticket)
    }

    /// Answers from memory.
    #[op]
    fn answer(&self, cx: &mut Ctx) {
        if let Some(ticket) = self.waiting.get(cx) {
            cx.complete(ticket, &CALLS.fetch_add(1, Ordering::SeqCst));
        }
    }
}

#[test]
fn a_late_answer_that_is_not_deterministic_fails_its_test() {
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        let host = TestHost::of::<Leaky>();
        let session = host.open_session();
        let leaky = session.async_client();
        let started = host.start(leaky.ask());
        host.client().answer().unwrap();
        started.take().unwrap();
    }));
    let text = dropped.expect_err("the replay differs").downcast::<String>().expect("the panic has a text");
    assert!(text.contains("among the calls that waited"), "{text}");
}
