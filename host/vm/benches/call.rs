//! What a call costs: two reads and two writes, through `WasmVm` with a host on a map, at 32 calls
//! an entry; and what a fresh instance adds. The budget is 2 µs a call at 32 calls an entry.
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef};
use synod_abi::testing::MapHost;
use synod_abi::{Context, EntryPoint, ModuleHash, OperationId, Shape, SpaceId, limits};
use synod_machine::{Completion, Invocation, Vm, module_hash};
use synod_vm::{Modules, WasmVm, spawn};

const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: false };
const DEF: SchemaDef = SchemaDef {
    name: "bench",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[],
    fields: &[],
    hooks: HooksDef::NONE,
    emits: None,
};
const SCHEMA: [u8; DEF.encoded_len()] = DEF.encode();

/// Reads two rows whose keys come with the arguments, adds one to each value, and writes both.
const RECIPE: &str = r#"
    (import "synod_1_0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "synod_1_0" "put" (func $put (param i32 i32 i32 i32)))
    (memory (export "memory") 1)
    (global (export "synod_input") i32 (i32.const 65536))
    (data (i32.const 1024) "\00")
    (func $bump (param $key i32) (param $value i32)
        (if (i32.ne (i32.const 8)
                (call $get (local.get $key) (i32.const 8) (local.get $value) (i32.const 64)))
            (then (i64.store (local.get $value) (i64.const 0))))
        (i64.store (local.get $value) (i64.add (i64.load (local.get $value)) (i64.const 1)))
        (call $put (local.get $key) (i32.const 8) (local.get $value) (i32.const 8)))
    (func (export "synod_operation") (export "synod_query") (param i32 i32) (result i64)
        (call $bump (i32.const 65600) (i32.const 2048))
        (call $bump (i32.const 65608) (i32.const 2112))
        (i64.const 0x40000000001))
"#;

struct Bench {
    vm: WasmVm<MapHost>,
    module: ModuleHash,
    host: Option<MapHost>,
}

impl Bench {
    fn new() -> Self {
        let schema: String = SCHEMA.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let module = wat::parse_str(format!("(module {RECIPE} (@custom \"synod_schema\" \"{schema}\"))"))
            .expect("it is well-formed");
        let mut vm =
            WasmVm::new(Modules::in_memory().expect("the engines start")).expect("the host calls link");
        vm.load(module_hash(&module), &module).expect("it compiles");
        Self { vm, module: module_hash(&module), host: Some(MapHost::default()) }
    }

    fn call(&mut self, n: u64) {
        let mut args = [0; 16];
        args[..8].copy_from_slice(&(n % 1_000).to_be_bytes());
        args[8..].copy_from_slice(&(n % 1_000 + 1_000).to_be_bytes());
        let context = Context::default();
        let invocation = Invocation {
            space: SpaceId(1),
            module: self.module,
            entry_point: EntryPoint::Operation(OperationId(1)),
            context: &context,
            args: &args,
            fuel: limits::CALL_FUEL,
        };
        let host = self.host.take().expect("the host is here between calls");
        let (host, completion) = self.vm.invoke(invocation, host).expect("this host runs recipes");
        assert!(matches!(black_box(completion), Completion::Done(_)));
        self.host = Some(host);
    }

    /// Time of `calls` calls, `per_entry` of them an entry.
    fn run(&mut self, calls: u64, per_entry: u64) -> Duration {
        let started = Instant::now();
        for n in 0..calls {
            if n % per_entry == 0 {
                self.vm.begin_entry(None).expect("the engine is there");
            }
            self.call(n);
        }
        started.elapsed()
    }
}

fn calls(criterion: &mut Criterion) {
    // Criterion runs on a thread with a small stack; the calls are timed on one of ours.
    for per_entry in [1, 32, 1_024] {
        criterion.bench_function(
            &format!("call with 2 reads and 2 writes, {per_entry} an entry"),
            |bencher| {
                bencher.iter_custom(|iterations| {
                    let run = move || {
                        let mut bench = Bench::new();
                        bench.run(1_024, per_entry);
                        bench.run(iterations, per_entry)
                    };
                    spawn("bench", run).expect("a thread").join().expect("it ends")
                });
            },
        );
    }
}

criterion_group!(benches, calls);
criterion_main!(benches);
