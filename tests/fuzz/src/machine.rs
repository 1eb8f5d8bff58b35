//! A member's machine and engine over some rows, and the recipe that targets run on it: a module
//! whose arguments are a list of host calls.
use std::sync::{Arc, OnceLock};

use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef};
use synod_abi::{
    Blob, ClusterId, MemberId, OperationId, RecipeName, RequestId, SessionId, Shape, SpaceId, SpaceName,
    Time, TopicFilter, encode, fnv1a_32,
};
use synod_machine::{
    Action, Applied, Binding, Call, Caller, Command, Draft, Entry, Environment, Fatal, Machine, MemoryState,
    OnFailure, OpenSession, Origin, Principal, Request, SessionCall, StateView, TtlPolicy,
};
use synod_vm::{Modules, WasmVm};

/// A machine with what it runs recipes on. Rows are whoever's that holds them.
pub(crate) struct Runner<S: StateView + 'static> {
    pub(crate) machine: Machine,
    vm: WasmVm<Draft<S>>,
}

impl<S: StateView + Send + 'static> Runner<S> {
    /// The machine as of the rows in `view`.
    pub(crate) fn load(view: &S, modules: Arc<Modules>) -> Result<Self, Fatal> {
        let machine = Machine::load(view, &[environment()])?;
        Ok(Self { machine, vm: WasmVm::new(modules).expect("the host calls link") })
    }

    /// Applies an encoded entry to the rows in `view`.
    pub(crate) fn apply(&mut self, view: S, index: u64, entry: &[u8]) -> Result<Applied, Fatal> {
        self.machine.apply(view, &mut self.vm, index, entry)
    }
}

/// The engines that all targets share.
pub(crate) fn modules() -> Arc<Modules> {
    static MODULES: OnceLock<Arc<Modules>> = OnceLock::new();
    MODULES.get_or_init(|| Modules::in_memory().expect("the engines start")).clone()
}

/// The environment of this build.
pub(crate) fn environment() -> Environment {
    static ENGINE: OnceLock<[u8; 32]> = OnceLock::new();
    let engine = *ENGINE.get_or_init(|| modules().engine_fingerprint());
    Environment { semantics: Environment::SEMANTICS, engine }
}

/// The session that [`formed`] opens: its first.
pub(crate) fn session() -> SessionId {
    static SESSION: OnceLock<SessionId> = OnceLock::new();
    *SESSION.get_or_init(|| {
        let sessions = synod_machine::sessions::sessions(&formed().state, None, 1);
        sessions.expect("the rows are whole").items.first().expect("one was opened").0
    })
}

/// A member that formed a cluster: its rows, and the index of its last entry.
#[derive(Clone)]
pub(crate) struct Formed {
    pub(crate) state: MemoryState,
    pub(crate) index: u64,
}

/// A cluster with the recipe [`program_module`], its spaces `a` (id 1) and `b` (id 2), which hears
/// of what `a` emits, and a session.
pub(crate) fn formed() -> &'static Formed {
    static FORMED: OnceLock<Formed> = OnceLock::new();
    FORMED.get_or_init(|| {
        let mut formed = Formed { state: MemoryState::default(), index: 0 };
        let mut runner = Runner::load(&formed.state, modules()).expect("no rows are whole rows");
        for action in forming() {
            formed.index += 1;
            let entry = encode(&entry(1_000, vec![command(action)]));
            let applied = runner.apply(formed.state.clone(), formed.index, &entry).expect("it is formed");
            let outcome = &applied.outcomes[0].outcome;
            assert!(outcome.result.is_ok(), "forming was refused: {outcome:?}");
            formed.state.commit(&applied.writes);
        }
        formed
    })
}

/// The commands that lead to [`formed`].
pub(crate) fn forming() -> Vec<Action> {
    let recipe = RecipeName::new("program").expect("a name");
    let space =
        |name: &str| Action::CreateSpace { name: name_of(name), recipe: recipe.clone(), version: None };
    vec![
        Action::FormCluster { cluster: ClusterId([7; 16]) },
        Action::SetEnvironment { environment: environment() },
        Action::InstallRecipe { module: Blob(program_module().to_vec()), replace: false },
        space("a"),
        space("b"),
        Action::BindSpace { binding: binding(), on_failure: OnFailure::Skip },
        Action::OpenSession(open(1)),
    ]
}

/// `b` hears of everything that `a` emits.
pub(crate) fn binding() -> Binding {
    Binding { handler: name_of("b"), source: name_of("a"), filter: TopicFilter::all() }
}

/// A session of this nonce.
pub(crate) fn open(nonce: u8) -> OpenSession {
    OpenSession {
        nonce: [nonce; 16],
        secret_hash: [9; 32],
        ttl_ms: 10_000,
        ttl_policy: TtlPolicy::Nearest,
        label: "a client".to_owned(),
    }
}

/// The name of a space.
pub(crate) fn name_of(name: &str) -> SpaceName {
    SpaceName::new(name).expect("the name of a space")
}

/// A command of the cluster itself, which nobody waits for.
pub(crate) fn command(action: Action) -> Command {
    let caller = Caller { principal: Principal::System, session: None };
    Command { origin: Origin { member: MemberId(1), incarnation: 1, sequence: 1 }, caller, action }
}

/// A command of the session `session`.
pub(crate) fn of_session(session: SessionId, action: Action) -> Command {
    let caller = Caller { principal: Principal::Anyone, session: Some(session) };
    Command { caller, ..command(action) }
}

/// An entry.
pub(crate) fn entry(stamp: u64, commands: Vec<Command>) -> Entry {
    Entry { stamp: Time(stamp), commands }
}

/// A call of the program `args` in a space.
pub(crate) fn call(space: u32, args: &[u8]) -> Call {
    Call { space: SpaceId(space), operation: operation(), args: Blob(args.to_vec()) }
}

/// The same as a request of a session.
pub(crate) fn request(space: u32, id: u64, args: &[u8]) -> Action {
    let request = Request { id: RequestId(id), wait_ms: Some(5_000), ..Request::default() };
    Action::SessionCall(SessionCall { call: call(space, args), request })
}

/// The operation of [`program_module`].
pub(crate) fn operation() -> OperationId {
    OperationId(fnv1a_32(b"run"))
}

const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: true };
const LOOK: EntryPointDef = EntryPointDef { name: "look", waits: false, ..RUN };
const PROGRAM: SchemaDef = SchemaDef {
    name: "program",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[LOOK],
    fields: &[],
    hooks: HooksDef { session_end: true, cancel: true, timer: Some(&Shape::U64), event: true },
    emits: Some(&Shape::U64),
};

/// The schema of [`program_module`].
pub(crate) const SCHEMA: [u8; PROGRAM.encoded_len()] = PROGRAM.encode();

/// Bytes of one step of a program: what it does, and five numbers, little-endian.
pub(crate) const STEP_BYTES: usize = 1 + 5 * 4;

/// A step of a program.
pub(crate) fn step(what: u8, numbers: [u32; 5]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
    std::iter::once(what).chain(numbers).collect()
}

/// The step that writes its second number where the first says. Those below it are host calls, in
/// the order of the table.
pub(crate) const STORE: u8 = 12;
/// The step that answers with what lies at the first number, as long as the second says.
pub(crate) const ANSWER: u8 = 13;

/// Where [`program_module`] has room for what programs write.
pub(crate) const SCRATCH: u32 = 4_096;
/// Where the arguments of [`program_module`] begin.
pub(crate) const ARGS: u32 = 65_536 + synod_abi::CONTEXT_BYTES as u32;

/// A recipe that does what its arguments say: any host calls with any numbers. A hook runs what
/// its arguments say, too. It answers as the program does, or with an empty result.
pub(crate) fn program_module() -> &'static [u8] {
    static MODULE: OnceLock<Vec<u8>> = OnceLock::new();
    MODULE.get_or_init(|| {
        let schema: String = SCHEMA.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let program = PROGRAM_TEXT.replace("ARGS", &ARGS.to_string());
        let text = format!("(module {program} (@custom \"synod_schema\" \"{schema}\"))");
        wat::parse_str(text).expect("the module is well-formed")
    })
}

const PROGRAM_TEXT: &str = r#"
    (import "synod_1_0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "synod_1_0" "range" (func $range (param i32 i32 i32 i32) (result i64)))
    (import "synod_1_0" "log" (func $log (param i32 i32 i32)))
    (import "synod_1_0" "abort" (func $abort (param i32 i32 i32)))
    (import "synod_1_0" "put" (func $put (param i32 i32 i32 i32)))
    (import "synod_1_0" "delete" (func $delete (param i32 i32)))
    (import "synod_1_0" "next_token" (func $next_token (result i64)))
    (import "synod_1_0" "set_timer" (func $set_timer (param i64 i32 i32) (result i64)))
    (import "synod_1_0" "cancel_timer" (func $cancel_timer (param i64) (result i32)))
    (import "synod_1_0" "complete" (func $complete (param i64 i32 i32) (result i32)))
    (import "synod_1_0" "emit" (func $emit (param i32 i32 i32 i32)))
    (import "synod_1_0" "send" (func $send (param i32 i32 i32 i32 i32)))
    (memory (export "memory") 2)
    (global (export "synod_input") i32 (i32.const 65536))
    (data (i32.const 1024) "\00")
    (func $number (param $at i32) (param $n i32) (result i32)
        (i32.load offset=1 (i32.add (local.get $at) (i32.mul (local.get $n) (i32.const 4)))))
    (func $wide (param $at i32) (result i64) (i64.load offset=1 (local.get $at)))
    (func $step (param $at i32) (param $a i32) (param $b i32) (param $c i32) (param $d i32) (result i64)
        (block $answer (block $store (block $send (block $emit (block $complete (block $cancel (block $timer
        (block $token (block $delete (block $put (block $abort (block $log (block $range (block $get
            (br_table $get $range $log $abort $put $delete $token $timer $cancel $complete $emit $send $store
                $answer (i32.rem_u (i32.load8_u (local.get $at)) (i32.const 14))))
        (return (i64.extend_i32_u (i32.and (i32.const 0)
            (call $get (local.get $a) (local.get $b) (local.get $c) (local.get $d))))))
        (drop (call $range (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
        (return (i64.const 0)))
        (call $log (local.get $a) (local.get $b) (local.get $c)) (return (i64.const 0)))
        (call $abort (local.get $a) (local.get $b) (local.get $c)) (return (i64.const 0)))
        (call $put (local.get $a) (local.get $b) (local.get $c) (local.get $d)) (return (i64.const 0)))
        (call $delete (local.get $a) (local.get $b)) (return (i64.const 0)))
        (drop (call $next_token)) (return (i64.const 0)))
        (drop (call $set_timer (call $wide (local.get $at)) (local.get $c) (local.get $d)))
        (return (i64.const 0)))
        (drop (call $cancel_timer (call $wide (local.get $at)))) (return (i64.const 0)))
        (drop (call $complete (call $wide (local.get $at)) (local.get $c) (local.get $d)))
        (return (i64.const 0)))
        (call $emit (local.get $a) (local.get $b) (local.get $c) (local.get $d)) (return (i64.const 0)))
        (call $send (local.get $a) (local.get $b) (local.get $c) (local.get $d)
            (call $number (local.get $at) (i32.const 4))) (return (i64.const 0)))
        (i32.store (local.get $a) (local.get $b)) (return (i64.const 0)))
        (i64.or (i64.shl (i64.extend_i32_u (local.get $a)) (i64.const 32))
            (i64.extend_i32_u (local.get $b))))
    (func (export "synod_operation") (export "synod_query") (export "synod_hook")
        (param $id i32) (param $length i32) (result i64)
        (local $at i32) (local $end i32) (local $answer i64)
        (local.set $at (i32.const ARGS))
        (local.set $end (i32.add (i32.const 65536) (local.get $length)))
        (loop $next
            (if (i32.gt_u (i32.add (local.get $at) (i32.const 21)) (local.get $end))
                (then (return (i64.const 0x40000000001))))
            (local.set $answer (call $step (local.get $at)
                (call $number (local.get $at) (i32.const 0)) (call $number (local.get $at) (i32.const 1))
                (call $number (local.get $at) (i32.const 2)) (call $number (local.get $at) (i32.const 3))))
            (if (i64.ne (local.get $answer) (i64.const 0)) (then (return (local.get $answer))))
            (local.set $at (i32.add (local.get $at) (i32.const 21)))
            (br $next))
        (unreachable))
"#;
