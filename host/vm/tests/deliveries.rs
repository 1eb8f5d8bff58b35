//! A call and all that it sets off, on the real machine and the real engine: one fuel for all, and
//! the same on every member, whatever a handler does with it.
use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef};
use synod_abi::{
    CONTEXT_BYTES, ClusterId, Fault, OperationId, RecipeName, Shape, SpaceId, SpaceName, Time, TopicFilter,
    costs, encode, limits,
};
use synod_machine::directory::{Head, hook_failures};
use synod_machine::{
    Action, Binding, Call, Caller, Command, CommandOutcome, DeliveryFailure, Draft, Entry, Environment,
    Machine, MemoryState, OnFailure, Origin, Rejection, Reply,
};
use synod_vm::{Modules, WasmVm, spawn};

const EMIT: EntryPointDef =
    EntryPointDef { name: "emit", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: false };
const SCHEMA: SchemaDef = SchemaDef {
    name: "fixture",
    version: 1,
    docs: "",
    operations: &[EMIT],
    queries: &[],
    fields: &[],
    hooks: HooksDef { event: true, ..HooksDef::NONE },
    emits: Some(&Shape::U8),
};
const SCHEMA_BYTES: [u8; SCHEMA.encoded_len()] = SCHEMA.encode();

const SOURCE: SpaceId = SpaceId(1);
const HANDLER: SpaceId = SpaceId(2);

/// What the handler does with an event, which is its payload.
const RETURN: u8 = 0;
const SPEND_AND_RETURN: u8 = 1;
const SPEND_AND_PANIC: u8 = 2;
const SPEND_AND_TRAP: u8 = 3;
const NEVER_END: u8 = 4;

/// Rounds that use more than half of a call's fuel, and less than all of it.
const ROUNDS: u32 = 7_500_000;

/// Its operation emits as many events as its first byte of arguments says, whose payload is the
/// second; its handler does what the payload says, which lies behind the space's name and the
/// topic, of one byte each.
fn module() -> Vec<u8> {
    let schema: String = SCHEMA_BYTES.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let args = 65_536 + CONTEXT_BYTES;
    let text = format!(
        r#"(module
            (import "synod_1_0" "emit" (func $emit (param i32 i32 i32 i32)))
            (import "synod_1_0" "abort" (func $abort (param i32 i32 i32)))
            (memory (export "memory") 1)
            (global (export "synod_input") i32 (i32.const 65536))
            (data (i32.const 1024) "\00t")
            (func (export "synod_operation") (export "synod_query")
                    (param i32 i32) (result i64) (local $left i32)
                (local.set $left (i32.load8_u (i32.const {args})))
                (loop
                    (call $emit (i32.const 1025) (i32.const 1) (i32.const {payload}) (i32.const 1))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if 0 (i32.gt_s (local.get $left) (i32.const 0))))
                (i64.const 0x40000000001))
            (func (export "synod_hook") (param i32 i32) (result i64) (local $does i32) (local $left i32)
                (local.set $does (i32.load8_u (i32.const {event})))
                (if (i32.eqz (local.get $does)) (then (return (i64.const 0x40000000001))))
                (local.set $left (i32.const {ROUNDS}))
                (loop
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if 0 (i32.or (local.get $left) (i32.eq (local.get $does) (i32.const {NEVER_END})))))
                (if (i32.eq (local.get $does) (i32.const {SPEND_AND_PANIC}))
                    (then (call $abort (i32.const 0) (i32.const 0) (i32.const 0))))
                (if (i32.eq (local.get $does) (i32.const {SPEND_AND_TRAP}))
                    (then (drop (i32.load (i32.const -4)))))
                (i64.const 0x40000000001))
            (@custom "synod_schema" "{schema}"))"#,
        payload = args + 1,
        event = args + 5,
    );
    wat::parse_str(text).expect("the fixture is well-formed")
}

struct Member {
    machine: Machine,
    state: MemoryState,
    vm: WasmVm<Draft<MemoryState>>,
    index: u64,
}

impl Member {
    fn new(on_failure: OnFailure) -> Self {
        let modules = Modules::in_memory().expect("the engines start");
        let environment =
            Environment { semantics: Environment::SEMANTICS, engine: modules.engine_fingerprint() };
        let state = MemoryState::default();
        let machine = Machine::load(&state, &[environment]).expect("an empty state loads");
        let mut member =
            Self { machine, state, vm: WasmVm::new(modules).expect("the host calls link"), index: 0 };
        let space = |name| SpaceName::new(name).expect("it is a name");
        let recipe = RecipeName::new("fixture").expect("it is a name");
        for action in [
            Action::FormCluster { cluster: ClusterId([1; 16]) },
            Action::SetEnvironment { environment },
            Action::InstallRecipe { module: module().into(), replace: false },
            Action::CreateSpace { name: space("s"), recipe: recipe.clone(), version: None },
            Action::CreateSpace { name: space("h"), recipe, version: None },
            Action::BindSpace {
                binding: Binding { handler: space("h"), source: space("s"), filter: TopicFilter::all() },
                on_failure,
            },
        ] {
            let outcome = member.apply(vec![action]).remove(0).outcome;
            assert!(outcome.result.is_ok(), "{outcome:?}");
        }
        member
    }

    fn apply(&mut self, actions: Vec<Action>) -> Vec<CommandOutcome> {
        self.index += 1;
        let command = |action| Command { origin: Origin::default(), caller: Caller::default(), action };
        let entry = encode(&Entry { stamp: Time(1), commands: actions.into_iter().map(command).collect() });
        let applied = self
            .machine
            .apply(self.state.clone(), &mut self.vm, self.index, &entry)
            .expect("the entry is well formed");
        self.state.commit(&applied.writes);
        applied.outcomes
    }

    /// Emits `count` events that have the handler do `what`; what came of it, and the fuel of the
    /// whole command.
    fn emit(&mut self, count: u8, what: u8) -> (Result<Reply, Rejection>, u64) {
        let CommandOutcome { outcome, fuel, .. } = self.apply(vec![emitting(count, what)]).remove(0);
        (outcome.result, fuel)
    }

    fn failures(&self) -> Option<(u64, DeliveryFailure)> {
        let failures = hook_failures(&self.state, HANDLER).expect("the rows are whole");
        failures.map(|failures| (failures.count, failures.why))
    }

    fn digest(&self) -> [u8; 32] {
        self.machine.head().state_digest()
    }
}

fn emitting(count: u8, what: u8) -> Action {
    Action::Call(Call { space: SOURCE, operation: OperationId::of("emit"), args: vec![count, what].into() })
}

/// Runs `test` on a thread with the stack that recipes need.
fn on_a_member(on_failure: OnFailure, test: impl FnOnce(Member) + Send + 'static) {
    spawn("member", move || test(Member::new(on_failure))).expect("a thread").join().expect("it passes");
}

fn handler_failed(fault: Fault) -> Result<Reply, Rejection> {
    Err(Rejection::Handler { space: HANDLER, why: DeliveryFailure::Fault(fault) })
}

#[test]
fn a_call_and_its_handlers_share_one_fuel() {
    on_a_member(OnFailure::Reject, |mut member| {
        let (done, little) = member.emit(1, RETURN);
        assert!(
            done.is_ok() && little > 2 * costs::ENTER && little < 2 * costs::ENTER + 10_000,
            "{done:?} {little}"
        );
        let (done, one) = member.emit(1, SPEND_AND_RETURN);
        assert!(done.is_ok() && one > limits::CALL_FUEL / 2 && one < limits::CALL_FUEL, "{done:?} {one}");
        let head = *member.machine.head();
        assert_eq!(member.emit(2, SPEND_AND_RETURN), (handler_failed(Fault::OutOfFuel), limits::CALL_FUEL));
        assert_eq!(member.emit(1, NEVER_END), (handler_failed(Fault::OutOfFuel), limits::CALL_FUEL));
        let left = *member.machine.head();
        let nothing = Head { commands: head.commands, index: head.index, chain: head.chain, ..left };
        assert_eq!(nothing, head, "a rejected command leaves nothing but that it was there");
        assert_eq!(member.emit(1, SPEND_AND_RETURN).1, one, "and the next call has its own");
    });
}

#[test]
fn a_handler_that_fails_rejects_with_what_it_failed_with() {
    on_a_member(OnFailure::Reject, |mut member| {
        assert_eq!(member.emit(1, SPEND_AND_PANIC).0, handler_failed(Fault::Panic));
        assert_eq!(member.emit(1, SPEND_AND_TRAP).0, handler_failed(Fault::Trap));
        assert_eq!((member.failures(), member.machine.head().counts.events), (None, 0));
        assert!(member.emit(1, RETURN).0.is_ok(), "its instance was replaced");
    });
}

#[test]
fn handlers_that_are_skipped_pay_for_what_they_did() {
    on_a_member(OnFailure::Skip, |mut member| {
        let (done, fuel) = member.emit(1, SPEND_AND_PANIC);
        assert!(done.is_ok() && fuel > limits::CALL_FUEL / 2, "{done:?} {fuel}");
        assert_eq!(member.failures(), Some((1, DeliveryFailure::Fault(Fault::Panic))));
        let (done, fuel) = member.emit(1, SPEND_AND_TRAP);
        assert!(done.is_ok() && fuel >= limits::TRAP_FUEL, "{done:?} {fuel}");
        assert_eq!(member.failures(), Some((2, DeliveryFailure::Fault(Fault::Trap))));
        let (done, fuel) = member.emit(100, SPEND_AND_TRAP);
        assert_eq!(
            (done.is_ok(), fuel),
            (true, limits::CALL_FUEL),
            "and many of them no more than one that never ends"
        );
        assert_eq!(member.failures(), Some((102, DeliveryFailure::Fault(Fault::OutOfFuel))));
        assert_eq!(member.machine.head().counts.events, 102);
    });
}

#[test]
fn members_agree_on_fuel_outcomes_and_state() {
    let calls = [
        (3, RETURN),
        (2, SPEND_AND_RETURN),
        (5, SPEND_AND_TRAP),
        (1, NEVER_END),
        (2, SPEND_AND_PANIC),
        (4, RETURN),
    ];
    for on_failure in [OnFailure::Reject, OnFailure::Skip] {
        let run = move |together: usize| {
            let run = move || {
                let mut member = Member::new(on_failure);
                let actions: Vec<_> = calls.iter().map(|(count, what)| emitting(*count, *what)).collect();
                let outcomes: Vec<_> =
                    actions.chunks(together).flat_map(|actions| member.apply(actions.to_vec())).collect();
                (
                    outcomes.into_iter().map(|done| (done.outcome, done.fuel)).collect::<Vec<_>>(),
                    member.failures(),
                    member.digest(),
                )
            };
            spawn("member", run).expect("a thread").join().expect("it passes")
        };
        let alone = run(1);
        assert_eq!(alone, run(1), "two members");
        assert_eq!(alone, run(calls.len()), "and what came in one entry");
    }
}
