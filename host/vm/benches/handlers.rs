//! What a bound handler costs a call: `kv.put` alone, with bindings whose filters do not match,
//! with a handler that returns at once, and with an `audit` that records each change. The real
//! machine, the real engine, the bundled recipes.
//!
//! Each put emits, bound or not. Rows are in memory, as in `apply`. The trail is full, so that
//! every record takes an old one away, and what was emitted is compacted between the passes,
//! outside of the clock.
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef};
use synod_abi::{Blob, OperationId, RecipeName, Revision, Shape, SpaceId, SpaceName, TopicFilter, encode};
use synod_machine::{Action, Binding, Call, Draft, MemoryState, OnFailure, Reply};
use synod_vm::{Modules, WasmVm, spawn};

#[path = "../../machine/benches/member/mod.rs"]
#[allow(dead_code, reason = "the calls of the other benches are there as well")]
mod member;

use member::{Member, entry};

const KEYS: u32 = 10_000;
const VALUE_BYTES: usize = 128;
/// Records of a full trail.
const TRAIL_EVENTS: u64 = 1_000;
/// Different entries that are applied in turn; what they emitted is compacted behind them.
const PASS: u32 = 97;

/// Ids are given out in order, and the space of the counter has the first.
const KV: SpaceId = SpaceId(2);
const AUDIT: SpaceId = SpaceId(3);

const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: false };
const IDLE: SchemaDef = SchemaDef {
    name: "idle",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[],
    fields: &[],
    hooks: HooksDef { event: true, ..HooksDef::NONE },
    emits: None,
};
const IDLE_SCHEMA: [u8; IDLE.encoded_len()] = IDLE.encode();

/// A recipe whose handler returns at once.
fn idle() -> Vec<u8> {
    let schema: String = IDLE_SCHEMA.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (global (export "synod_input") i32 (i32.const 65536))
            (data (i32.const 1024) "\00")
            (func (export "synod_operation") (export "synod_query") (export "synod_hook")
                (param i32 i32) (result i64) (i64.const 0x40000000001))
            (@custom "synod_schema" "{schema}"))"#
    );
    wat::parse_str(text).expect("it is well-formed")
}

/// What is bound to `kv`.
#[derive(Clone, Copy)]
enum Bound {
    Nothing,
    Others,
    Idle,
    Audit,
}

fn installed(
    vm: WasmVm<Draft<MemoryState>>,
    engine: [u8; 32],
    bound: Bound,
) -> Member<WasmVm<Draft<MemoryState>>> {
    let module = |name| synod_bundle::recipe(name).expect("it is bundled").module;
    let mut member = Member::new(vm, engine, module("counter"), 0);
    for (name, module) in
        [("kv", module("kv").to_vec()), ("audit", module("audit").to_vec()), ("idle", idle())]
    {
        member.apply(&entry([Action::InstallRecipe { module: module.into(), replace: false }]));
        let recipe = RecipeName::new(name).expect("it is a name");
        member.apply(&entry([Action::CreateSpace { name: space(name), recipe, version: None }]));
    }
    let filters = match bound {
        Bound::Nothing => vec![],
        Bound::Others => (0..8).map(|n| TopicFilter::Prefix(format!("other-{n}/"))).collect(),
        Bound::Idle | Bound::Audit => vec![TopicFilter::all()],
    };
    let handler = if matches!(bound, Bound::Idle) { "idle" } else { "audit" };
    for filter in filters {
        let binding = Binding { handler: space(handler), source: space("kv"), filter };
        member.apply(&entry([Action::BindSpace { binding, on_failure: OnFailure::Reject }]));
    }
    let keep = Call {
        space: AUDIT,
        operation: OperationId::of("keep"),
        args: encode(&(TRAIL_EVENTS, 1_u64 << 23)).into(),
    };
    member.apply(&entry([Action::Call(keep)]));
    member
}

fn space(name: &str) -> SpaceName {
    SpaceName::new(name).expect("it is a name")
}

fn entries(calls: u32) -> Vec<Vec<u8>> {
    let put = |n: u32| Call {
        space: KV,
        operation: OperationId::of("put"),
        args: encode(&(format!("config/{:06}", n % KEYS), Blob(vec![7; VALUE_BYTES]))).into(),
    };
    (0..PASS).map(|n| entry((0..calls).map(|call| Action::Call(put(n * 7_919 + call * 104_729))))).collect()
}

/// Time of `count` of `entries`, in turn.
fn run(member: &mut Member<WasmVm<Draft<MemoryState>>>, entries: &[Vec<u8>], mut count: u64) -> Duration {
    let mut taken = Duration::ZERO;
    while count > 0 {
        let pass = &entries[..entries.len().min(count as usize)];
        let started = Instant::now();
        pass.iter().for_each(|entry| drop(member.apply(entry)));
        taken += started.elapsed();
        count -= pass.len() as u64;
        compact(member);
    }
    taken
}

/// Forgets all events of `kv`.
fn compact(member: &mut Member<WasmVm<Draft<MemoryState>>>) {
    let through = Revision(u64::MAX);
    while let Ok(Reply::Compacted { more: true, .. }) =
        member.apply(&entry([Action::CompactEvents { space: KV, through }])).outcomes[0].outcome.result
    {}
}

fn timed(bound: Bound, calls: u32, count: u64) -> Duration {
    let run = move || {
        let modules = Modules::in_memory().expect("the engines start");
        let engine = modules.engine_fingerprint();
        let mut member = installed(WasmVm::new(modules).expect("the host calls link"), engine, bound);
        let entries = entries(calls);
        run(&mut member, &entries, u64::from(PASS));
        run(&mut member, &entries, count)
    };
    spawn("bench", run).expect("a thread").join().expect("it ends")
}

fn bound_handler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply of kv.put");
    group.sample_size(20);
    for calls in [1, 32, 1_024] {
        for (name, bound) in [
            ("alone", Bound::Nothing),
            ("8 bindings that do not match", Bound::Others),
            ("idle handler", Bound::Idle),
            ("audited", Bound::Audit),
        ] {
            group.throughput(Throughput::Elements(u64::from(calls)));
            let id = BenchmarkId::new(name, format!("{calls} an entry"));
            group.bench_function(id, |bencher| bencher.iter_custom(|count| timed(bound, calls, count)));
        }
    }
    group.finish();
}

criterion_group!(benches, bound_handler);
criterion_main!(benches);
