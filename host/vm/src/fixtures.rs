//! What the tests of this crate share: recipes written as text, and an engine that runs one on a
//! host on a map.
use std::sync::{Arc, OnceLock};

use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef};
use synod_abi::testing::MapHost;
use synod_abi::{Context, EntryPoint, ModuleHash, OperationId, Shape, SpaceId, limits};
use synod_machine::{Completion, Fatal, Invocation, Vm, module_hash};

use crate::{Modules, WasmVm};

const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: false };
const DEF: SchemaDef = SchemaDef {
    name: "fixture",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[],
    fields: &[],
    hooks: HooksDef::NONE,
    emits: None,
};
const SCHEMA: [u8; DEF.encoded_len()] = DEF.encode();
const HOOKED: SchemaDef = SchemaDef {
    hooks: HooksDef { session_end: true, cancel: true, timer: Some(&Shape::U64), event: true },
    emits: Some(&Shape::U64),
    ..DEF
};
const HOOKED_SCHEMA: [u8; HOOKED.encoded_len()] = HOOKED.encode();
const HEARING: SchemaDef = SchemaDef { hooks: HooksDef { event: true, ..HooksDef::NONE }, ..DEF };
const HEARING_SCHEMA: [u8; HEARING.encoded_len()] = HEARING.encode();
const EMITTING: SchemaDef = SchemaDef { emits: Some(&Shape::U64), ..DEF };
const EMITTING_SCHEMA: [u8; EMITTING.encoded_len()] = EMITTING.encode();

/// Where a fixture has its input buffer.
pub(crate) const INPUT: u32 = 65_536;
/// `i64.const` of a reply without payload, which lies at 1024.
pub(crate) const DONE: &str = "(i64.const 0x40000000001)";

/// The schema section as text.
pub(crate) fn schema() -> String {
    section(&SCHEMA)
}

/// The schema section of a recipe with all hooks, as text.
pub(crate) fn hooked_schema() -> String {
    section(&HOOKED_SCHEMA)
}

/// The schema section of a recipe that has a handler and emits nothing, as text.
pub(crate) fn hearing_schema() -> String {
    section(&HEARING_SCHEMA)
}

/// The schema section of a recipe that emits and has no handler, as text.
pub(crate) fn emitting_schema() -> String {
    section(&EMITTING_SCHEMA)
}

fn section(schema: &[u8]) -> String {
    let bytes: String = schema.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(@custom \"synod_schema\" \"{bytes}\")")
}

/// All host calls, as imports named after themselves.
pub(crate) const IMPORTS: &str = r#"
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
"#;

/// The contract's memory and input buffer, and a reply without payload at 1024.
pub(crate) const MEMORY: &str = r#"
    (memory (export "memory") 1)
    (global (export "synod_input") i32 (i32.const 65536))
    (data (i32.const 1024) "\00")
"#;

/// Compiles text that was written here.
pub(crate) fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the fixture is well-formed")
}

/// A recipe whose operation and query are both `entry`: the body of a function from `$id $len` to
/// i64.
pub(crate) fn recipe(entry: &str, rest: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(module {IMPORTS} {MEMORY} {rest}
            (func $entry (export "synod_operation") (export "synod_query")
                (param $id i32) (param $len i32) (result i64) {entry})
            {})"#,
        schema()
    ))
}

/// A recipe with all hooks, whose operation, query and hook are all `entry`.
pub(crate) fn hooked(entry: &str, rest: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(module {IMPORTS} {MEMORY} {rest}
            (func $entry (export "synod_operation") (export "synod_query") (export "synod_hook")
                (param $id i32) (param $len i32) (result i64) {entry})
            {})"#,
        hooked_schema()
    ))
}

/// One registry for all tests, because engines are costly.
pub(crate) fn modules() -> Arc<Modules> {
    static MODULES: OnceLock<Arc<Modules>> = OnceLock::new();
    MODULES.get_or_init(|| Modules::in_memory().expect("the engines start")).clone()
}

/// A vm with one loaded recipe, in an entry.
pub(crate) struct Bench {
    pub(crate) vm: WasmVm<MapHost>,
    pub(crate) module: ModuleHash,
}

impl Bench {
    pub(crate) fn of(module: &[u8]) -> Self {
        // Its own modules: the pool's slots are for the instances of one apply thread.
        let mut vm =
            WasmVm::new(Modules::in_memory().expect("the engines start")).expect("the host calls link");
        let name = module_hash(module);
        Vm::load(&mut vm, name, module).expect("the fixture is admitted and compiles");
        vm.begin_entry(None).expect("the engine is there");
        Self { vm, module: name }
    }

    pub(crate) fn call_with(
        &mut self,
        space: u32,
        entry_point: EntryPoint,
        args: &[u8],
        host: MapHost,
    ) -> Result<(MapHost, Completion), Fatal> {
        self.call_fuelled(space, entry_point, args, host, limits::CALL_FUEL)
    }

    pub(crate) fn call_fuelled(
        &mut self,
        space: u32,
        entry_point: EntryPoint,
        args: &[u8],
        host: MapHost,
        fuel: u64,
    ) -> Result<(MapHost, Completion), Fatal> {
        let context = Context::default();
        self.vm.invoke(
            Invocation {
                space: SpaceId(space),
                module: self.module,
                entry_point,
                context: &context,
                args,
                fuel,
            },
            host,
        )
    }

    pub(crate) fn call(&mut self, space: u32) -> Completion {
        self.call_with(space, operation(0), &[], MapHost::default()).expect("this host runs recipes").1
    }
}

pub(crate) fn operation(id: u32) -> EntryPoint {
    EntryPoint::Operation(OperationId(id))
}
