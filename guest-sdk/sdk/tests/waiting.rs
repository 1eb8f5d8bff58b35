//! Operations that wait, tickets, timers and hooks, as they cross the boundary.
mod common;

use common::Local;
use synod_sdk::abi::schema::{Schema, Type};
use synod_sdk::abi::{EntryPoint, Fault, OperationId, RawError, encode, limits};
use synod_sdk::native::NativeRecipe;
use synod_sdk::prelude::*;

/// What a timer carries.
#[data]
struct Alarm {
    text: String,
}

/// Why nobody is let in.
#[errors]
enum GateError {
    #[error(3)]
    Locked,
}

/// A gate that people wait before.
#[recipe(name = "gate", version = 1)]
struct Gate {
    waiting: Queue<(), Ticket<u32>>,
    log: Cell<String>,
}

#[ops]
impl Gate {
    /// Waits for the gate; `None` waits with a ticket of another call.
    #[op]
    fn enter(&self, cx: &mut Ctx, how: Option<bool>) -> Result<Reply<u32>, GateError> {
        match how {
            Some(true) => Ok(Reply::Now(7)),
            Some(false) => Err(GateError::Locked),
            None => {
                let ticket = cx.ticket();
                self.waiting.push_back(cx, &(), &ticket);
                Ok(Reply::Later(ticket))
            }
        }
    }

    #[op]
    fn foreign(&self, cx: &mut Ctx) -> Reply<u32> {
        let first = self.waiting.front(cx, &());
        Reply::Later(first.unwrap_or(cx.ticket()))
    }

    #[op]
    fn open(&self, cx: &mut Ctx, refuse: bool) -> Vec<bool> {
        let tickets: Vec<_> = self.waiting.iter(cx, &()).map(|(_, ticket)| ticket).collect();
        tickets
            .into_iter()
            .map(
                |ticket| if refuse { cx.refuse(ticket, &GateError::Locked) } else { cx.complete(ticket, &9) },
            )
            .collect()
    }

    #[op]
    fn alarm(&self, cx: &mut Ctx, after_ms: u64, text: String) -> TimerId {
        cx.set_timer(cx.now().plus_ms(after_ms), &Alarm { text })
    }

    #[op]
    fn silence(&self, cx: &mut Ctx, timer: TimerId) -> bool {
        cx.cancel_timer(timer)
    }

    #[op]
    fn wrong_payload(&self, cx: &mut Ctx) -> TimerId {
        cx.set_timer(Time(0), &7_u32)
    }

    #[op]
    fn may_wait(&self, cx: &mut Ctx) -> (bool, TicketId) {
        (cx.can_wait(), cx.ticket::<u8>().id())
    }

    #[on_session_end]
    fn gone(&self, cx: &mut Ctx, session: SessionId) {
        self.log.put(cx, &format!("{session} is gone"));
    }

    #[on_timer]
    fn ring(&self, cx: &mut Ctx, timer: TimerId, payload: Alarm) {
        self.log.put(cx, &format!("{timer} says {}", payload.text));
    }

    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, granted: bool) {
        self.log.put(cx, &format!("{ticket} {granted}"));
    }

    #[query]
    fn log(&self, cx: &QueryCtx) -> Option<String> {
        self.log.get(cx)
    }
}

/// Operations that hold several tickets.
#[recipe(name = "several", version = 1)]
struct Several {
    lines: Line<u32, u32, ()>,
}

#[ops]
impl Several {
    /// Stands in three lines, and waits by the ticket `which`.
    #[op]
    fn enter(&self, cx: &mut Ctx, which: u32) -> Reply<u32> {
        let tickets = [cx.ticket(), cx.another_ticket(), cx.another_ticket()];
        for (line, ticket) in (0_u32..).zip(tickets) {
            self.lines.join_by(cx, &line, 0, ticket, &());
        }
        Reply::Later(tickets[which as usize])
    }

    #[op]
    fn too_many(&self, cx: &mut Ctx) -> Reply<u32> {
        let last = (0..limits::CALL_TICKETS).map(|_| cx.another_ticket()).last();
        Reply::Later(last.expect("there is one"))
    }

    /// Serves a line.
    #[op]
    fn serve(&self, cx: &mut Ctx, line: u32) -> Option<TicketId> {
        self.lines.serve(cx, &line, |_, _| line).map(|(served, _)| served.ticket.id())
    }
}

/// Sets a timer and has no hook for it.
#[recipe(name = "deaf", version = 1)]
struct Deaf {}

#[ops]
impl Deaf {
    #[op]
    fn alarm(&self, cx: &mut Ctx) -> TimerId {
        cx.set_timer(Time(0), &7_u32)
    }
}

#[test]
fn the_schema_says_what_waits_and_which_hooks_there_are() {
    let schema = Schema::decode(Gate::schema_bytes()).expect("the macros write a valid schema");
    let waits: Vec<_> =
        schema.operations.iter().filter(|point| point.waits).map(|point| point.name.as_str()).collect();
    assert_eq!(waits, ["enter", "foreign"]);
    let enter = schema.operation("enter").expect("it is an operation");
    assert_eq!((&enter.result, enter.errors.is_some()), (&Type::U32, true));
    assert!(schema.hooks.session_end && schema.hooks.cancel);
    let Some(Type::Struct(alarm)) = schema.hooks.timer else { panic!("the payload is a struct") };
    assert_eq!(alarm.name, "Alarm");
    assert_eq!(schema.fields[0].value, Type::U64, "a ticket is a number");
    assert!(!Schema::decode(Deaf::schema_bytes()).expect("the macros write a valid schema").hooks.any());
}

fn dispatch(space: &Local<Gate>, entry: EntryPoint, args: &[u8]) -> Result<Vec<u8>, Fault> {
    let context = *space.context.borrow();
    Gate::dispatch(entry, &context, args, &mut *space.host.borrow_mut())
}

fn operation(name: &str) -> EntryPoint {
    EntryPoint::Operation(OperationId::of(name))
}

#[test]
fn an_operation_answers_now_later_or_not_at_all() {
    let space = Local::<Gate>::new(10);
    assert_eq!(dispatch(&space, operation("enter"), &[1, 1]), Ok(vec![4, 7]));
    assert_eq!(dispatch(&space, operation("enter"), &[1, 0]), Ok(vec![1, 3, 0, 0, 0, 0]));
    assert_eq!(dispatch(&space, operation("enter"), &[]), Ok(vec![3]));
    space.context.borrow_mut().revision = Revision(2);
    assert_eq!(dispatch(&space, operation("foreign"), &[]), Err(Fault::Panic));
    let lines = space.host.borrow().record.lines.clone();
    assert!(lines[0].contains("with its own ticket"), "{lines:?}");
}

#[test]
fn tickets_are_completed_and_refused_while_they_wait() {
    let space = Local::<Gate>::new(10);
    dispatch(&space, operation("enter"), &[]).expect("it waits");
    space.context.borrow_mut().revision = Revision(300);
    dispatch(&space, operation("enter"), &[]).expect("it waits");
    space.host.borrow_mut().record.waiting = vec![300];
    let gate = Gate::blocking(&space, "s");
    assert_eq!(gate.open(false).unwrap(), [false, true]);
    space.host.borrow_mut().record.waiting = vec![1];
    assert_eq!(gate.open(true).unwrap(), [true, false]);
    assert_eq!(space.host.borrow().record.completed, [(300, vec![0, 9]), (1, vec![1, 3, 0, 0, 0, 0])]);
}

#[test]
fn a_call_holds_several_tickets_and_waits_by_any_of_them() {
    let space = Local::<Several>::new(10);
    let dispatch = |name: &str, args: &[u8]| {
        let context = *space.context.borrow();
        Several::dispatch(operation(name), &context, args, &mut *space.host.borrow_mut())
    };
    assert_eq!(dispatch("enter", &[2]), Ok(vec![3, 3, 0]), "it says how many");
    assert_eq!(dispatch("too_many", &[]), Err(Fault::Panic));
    let second = TicketId::new(Revision(1), 1);
    space.host.borrow_mut().record.waiting = vec![second.0];
    let several = Several::blocking(&space, "s");
    assert_eq!(several.serve(0).unwrap(), None, "that ticket is answered for by none");
    assert_eq!(several.serve(1).unwrap(), Some(second));
}

#[test]
fn timers_are_set_with_the_type_of_their_hook() {
    let space = Local::<Gate>::new(10);
    space.context.borrow_mut().now = Time(100);
    let gate = Gate::blocking(&space, "s");
    assert_eq!(gate.alarm(5, "up").unwrap(), TimerId(1));
    assert_eq!(space.host.borrow().record.timers, [(1, (105, vec![2, b'u', b'p']))].into());
    assert!(gate.silence(TimerId(1)).unwrap() && !gate.silence(TimerId(1)).unwrap());
    let wrong = gate.wrong_payload().expect_err("the hook takes another type");
    assert!(matches!(wrong, CallError::Fault { fault: Some(Fault::Panic), .. }), "{wrong}");
    assert!(space.host.borrow().record.lines[0].contains("another type than that of #[on_timer]"));
    let deaf = Local::<Deaf>::new(10);
    assert!(Deaf::blocking(&deaf, "s").alarm().is_err());
    assert!(deaf.host.borrow().record.lines[0].contains("without #[on_timer]"));
}

#[test]
fn hooks_are_told_what_happened_and_say_nothing() {
    let space = Local::<Gate>::new(10);
    let gate = Gate::blocking(&space, "s");
    let session = SessionId([1; 16]);
    assert_eq!(dispatch(&space, EntryPoint::SessionEnd, &encode(&session)), Ok(vec![0]));
    assert_eq!(gate.log().unwrap().unwrap(), format!("{session} is gone"));
    let payload = [encode(&TimerId(300)), encode(&Alarm { text: "up".into() })].concat();
    assert_eq!(dispatch(&space, EntryPoint::Timer, &payload), Ok(vec![0]));
    assert_eq!(gate.log().unwrap().unwrap(), "300 says up");
    assert_eq!(dispatch(&space, EntryPoint::Cancel, &encode(&(TicketId(4), true))), Ok(vec![0]));
    assert_eq!(gate.log().unwrap().unwrap(), "4 true");
    for bad in [&[][..], &[4, 2], &[4, 1, 0]] {
        assert_eq!(dispatch(&space, EntryPoint::Cancel, bad), Ok(vec![2]), "{bad:?}");
    }
    let deaf = Local::<Deaf>::new(10);
    let answer = Deaf::dispatch(
        EntryPoint::SessionEnd,
        &Default::default(),
        &encode(&session),
        &mut *deaf.host.borrow_mut(),
    );
    assert_eq!(answer, Ok(vec![2]), "a recipe does not know the hooks that it has not");
}

#[test]
fn a_call_knows_whether_it_may_wait_and_its_ticket() {
    let space = Local::<Gate>::new(10);
    space.context.borrow_mut().revision = Revision(77);
    assert_eq!(Gate::blocking(&space, "s").may_wait().unwrap(), (false, TicketId(77)));
    let mut context = *space.context.borrow();
    context.may_wait = true;
    *space.context.borrow_mut() = context;
    assert!(Gate::blocking(&space, "s").may_wait().unwrap().0);
}

#[test]
fn clients_say_how_long_they_wait() {
    struct Asked(std::cell::RefCell<Vec<Option<u64>>>);
    impl synod_sdk::abi::Transport for Asked {
        fn call(
            &self,
            call: synod_sdk::abi::RawCall,
        ) -> impl Future<Output = Result<synod_sdk::abi::RawReply, RawError>> + Send {
            self.0.borrow_mut().push(call.wait_ms);
            std::future::ready(Err(RawError::WaitTimeout))
        }
        fn query(
            &self,
            _: synod_sdk::abi::RawQuery,
        ) -> impl Future<Output = Result<synod_sdk::abi::RawReply, RawError>> + Send {
            std::future::ready(Err(RawError::SessionExpired("gone".into())))
        }
    }
    let asked = Asked(Default::default());
    let (gate, blocking) = (Gate::client(&asked, "s"), Gate::blocking(&asked, "s"));
    assert_eq!(synod_sdk::block_on(gate.waiting_ms(5_000).enter(None)), Err(CallError::WaitTimeout));
    assert_eq!(blocking.waiting_ms(0).enter(None), Err(CallError::WaitTimeout));
    assert_eq!(blocking.enter(None), Err(CallError::WaitTimeout));
    assert_eq!(*asked.0.borrow(), [Some(5_000), Some(0), None]);
    assert_eq!(blocking.log(), Err(CallError::SessionExpired("gone".into())));
}
