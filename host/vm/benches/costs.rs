//! What a unit of cost takes: nanoseconds per unit of fuel, of every host call and of some classes
//! of Wasm, each in a call that does little else, through the real machine and the real engine.
//! Rows are in memory, as in `apply`: what RocksDB takes comes on top, and the prices of rows allow
//! for it.
//!
//! It prints a table, and fails if one takes more than [`MOST`] times the median: then the budget
//! of a call bounds that operation worse than others.
#![allow(clippy::print_stdout, reason = "the table is the answer")]
use std::time::{Duration, Instant};

use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef};
use synod_abi::{OperationId, RequestId, Shape, SpaceId, limits};
use synod_machine::{
    Action, Call, Caller, Command, Draft, MemoryState, OpenSession, Origin, Reply, Request, SessionCall,
    TtlPolicy,
};
use synod_vm::{Modules, WasmVm, spawn};

#[path = "../../machine/benches/member/mod.rs"]
#[allow(dead_code, reason = "the calls of the other benches are there as well")]
mod member;

use member::{Member, encoded, entry};

/// Most times the median that an operation may take per unit.
const MOST: f64 = 5.0;
const ROUNDS: usize = 7;
/// In place of a number of rounds: the call waits.
const WAIT: u32 = u32::MAX;

const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: true };
const DEF: SchemaDef = SchemaDef {
    name: "counter",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[],
    fields: &[],
    hooks: HooksDef { timer: Some(&Shape::U64), ..HooksDef::NONE },
    emits: Some(&Shape::U64),
};
const SCHEMA: [u8; DEF.encoded_len()] = DEF.encode();

/// All that a body may use: the number of its round is in `$i` and, as a key, at 4096; buffers of
/// 256 KiB begin at 1 MiB, 2 MiB and 3 MiB.
const RECIPE: &str = r#"
    (import "synod_1_0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "synod_1_0" "range" (func $range (param i32 i32 i32 i32) (result i64)))
    (import "synod_1_0" "log" (func $log (param i32 i32 i32)))
    (import "synod_1_0" "put" (func $put (param i32 i32 i32 i32)))
    (import "synod_1_0" "delete" (func $delete (param i32 i32)))
    (import "synod_1_0" "next_token" (func $next_token (result i64)))
    (import "synod_1_0" "set_timer" (func $set_timer (param i64 i32 i32) (result i64)))
    (import "synod_1_0" "cancel_timer" (func $cancel_timer (param i64) (result i32)))
    (import "synod_1_0" "complete" (func $complete (param i64 i32 i32) (result i32)))
    (import "synod_1_0" "emit" (func $emit (param i32 i32 i32 i32)))
    (import "synod_1_0" "send" (func $send (param i32 i32 i32 i32 i32)))
    (memory (export "memory") 128)
    (global (export "synod_input") i32 (i32.const 65536))
    (data (i32.const 1024) "\00")
    (data (i32.const 1025) "\03")
    (data (i32.const 2048) "counter")
    (data (i32.const 2064) "topic")
    (table 8 funcref)
    (elem (i32.const 0) $leaf $leaf $leaf $leaf $leaf $leaf $leaf $leaf)
    (type $leaf (func (param i64) (result i64)))
    (func $leaf (param $x i64) (result i64) (i64.add (local.get $x) (i64.const 3)))
    (func (export "synod_hook") (param i32 i32) (result i64) (i64.const 0x40000000001))
    (func (export "synod_query") (param i32 i32) (result i64) (i64.const 0x40000000001))
    (func (export "synod_operation") (param $id i32) (param $len i32) (result i64)
        (local $i i32) (local $n i32) (local $x i64) (local $y i64) (local $f f64)
        (local.set $n (i32.load (i32.const 65600)))
        (local.set $x (i64.load (i32.const 65600)))
        (if (i32.eq (local.get $n) (i32.const -1)) (then (return (i64.const 0x40100000001))))
        (if (i32.eq (local.get $n) (i32.const -2)) (then BEFORE (return (i64.const 0x40000000001))))
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
            (i32.store (i32.const 4096) (local.get $i))
            BODY
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next)))
        (i64.store (i32.const 8192) (i64.add (local.get $x) (i64.trunc_sat_f64_s (local.get $f))))
        RESULT)
"#;

/// What a call does `rounds` times.
struct Case {
    name: &'static str,
    body: String,
    rounds: u32,
    /// Run once in a call of its own, before each round, off the clock.
    before: String,
    result: &'static str,
    args: usize,
    parked: u64,
}

fn case(name: &'static str, rounds: u32, body: impl Into<String>) -> Case {
    Case {
        name,
        body: body.into(),
        rounds,
        before: String::new(),
        result: "(i64.const 0x40000000001)",
        args: 0,
        parked: 0,
    }
}

/// Writes `rows` rows with values of `bytes`.
fn rows(rows: u32, bytes: u32) -> String {
    format!(
        "(local.set $i (i32.const 0)) (loop $fill (i32.store (i32.const 4096) (local.get $i))
            (call $put (i32.const 4096) (i32.const 4) (i32.const 1048576) (i32.const {bytes}))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $fill (i32.lt_u (local.get $i) (i32.const {rows}))))"
    )
}

/// Asks for `rows` rows of the space from its first on.
fn range(rows: u32) -> String {
    format!(
        "(i32.store8 (i32.const 5000) (i32.const 0)) (i32.store (i32.const 5001) (i32.const {rows}))
        (i32.store (i32.const 5005) (i32.const 0))
        (drop (call $range (i32.const 5000) (i32.const 9) (i32.const 1048576) (i32.const 300000)))"
    )
}

fn repeated(times: usize, instructions: &str) -> String {
    vec![instructions; times].join(" ")
}

fn wasm() -> Vec<Case> {
    let at = "(i32.and (i32.mul (local.get $i) (i32.const 266305)) (i32.const 0x3ffff8))";
    let at = format!("(i32.add (i32.const 1048576) {at})");
    let multiply = "(local.set $x (i64.mul (i64.xor (local.get $x) (i64.const 77)) (local.get $x)))";
    let divide = "(local.set $x (i64.div_u (i64.const -1) (i64.or (local.get $x) (i64.const 3))))";
    let root = "(local.set $f (f64.sqrt (f64.div (f64.const 3.5) (f64.add (local.get $f) (f64.const 0.3)))))";
    let load = format!("(local.set $x (i64.add (local.get $x) (i64.load {at})))");
    let fill = |bytes: u32| format!("(memory.fill (i32.const 1048576) (i32.const 7) (i32.const {bytes}))");
    let copy = "(memory.copy (i32.const 1048576) (i32.const 3145728) (i32.const 1048576))";
    let call = "(local.set $x (call $leaf (local.get $x)))";
    let index = "(i32.and (local.get $i) (i32.const 7))";
    let indirect = format!("(local.set $x (call_indirect (type $leaf) (local.get $x) {index}))");
    vec![
        case("wasm: a loop", 2_000_000, ""),
        case("wasm: multiply", 200_000, repeated(32, multiply)),
        case("wasm: divide", 200_000, repeated(16, divide)),
        case("wasm: square root", 200_000, repeated(16, root)),
        case("wasm: load, far apart", 1_000_000, load),
        case("wasm: store, far apart", 1_000_000, format!("(i64.store {at} (local.get $x))")),
        case("wasm: memory.fill of 1 KiB", 40_000, fill(1_024)),
        case("wasm: memory.fill of 1 byte", 1_000_000, fill(1)),
        case("wasm: memory.copy of 1 MiB", 40, copy),
        case("wasm: call", 200_000, repeated(8, call)),
        case("wasm: call_indirect", 200_000, repeated(8, &indirect)),
    ]
}

const KEY: &str = "(i32.const 4096) (i32.const 4)";

fn get() -> String {
    format!("(drop (call $get {KEY} (i32.const 2097152) (i32.const 262144)))")
}

fn put(bytes: u32) -> String {
    format!("(call $put {KEY} (i32.const 1048576) (i32.const {bytes}))")
}

fn emit(bytes: u32) -> String {
    format!("(call $emit (i32.const 2064) (i32.const 5) (i32.const 1048576) (i32.const {bytes}))")
}

fn reads() -> Vec<Case> {
    let scan = format!("(call $delete {KEY}) {}", range(1));
    vec![
        case("get of an absent row", 20_000, get()),
        Case { before: rows(16_000, 100), ..case("get of 100 bytes", 16_000, get()) },
        Case { before: rows(60, 65_536), ..case("get of 64 KiB", 60, get()) },
        case("get of the same row", 50_000, get().replace("4096", "4200")),
        Case { before: rows(2_000, 100), ..case("range of 1 row", 8_000, range(1)) },
        Case { before: rows(2_000, 20), ..case("range of 1,000 rows", 60, range(1_000)) },
        Case { before: rows(20, 131_072), ..case("range of 128 KiB rows", 60, range(1)) },
        case("range of nothing", 15_000, range(1)),
        Case { before: rows(8_000, 20), ..case("delete, then ask for the first", 8_000, scan) },
    ]
}

fn writes() -> Vec<Case> {
    let delete = format!("(call $delete {KEY})");
    vec![
        case("put of 20 bytes", 12_000, put(20)),
        case("put of the same row", 12_000, put(20).replace("4096", "4200")),
        case("put of 64 KiB", 60, put(65_536)),
        Case { before: rows(15, 262_144), ..case("put over 256 KiB", 15, put(1)) },
        case("put of 256 KiB", 15, put(262_144)),
        Case { before: rows(12_000, 20), ..case("delete of 20 bytes", 12_000, delete.clone()) },
        case("delete of an absent row", 12_000, delete.clone()),
        Case { before: rows(15, 262_144), ..case("delete of 256 KiB", 15, delete) },
    ]
}

fn others() -> Vec<Case> {
    let set = format!("(call $set_timer (i64.const 1000000) {KEY})");
    let log = "(call $log (i32.const 3) (i32.const 1048576) (i32.const 1024))";
    let ticket = "(i64.add (i64.extend_i32_u (local.get $i)) (i64.load (i32.const 65608)))";
    let complete = |ticket: &str| format!("(drop (call $complete {ticket} (i32.const 1024) (i32.const 1)))");
    let send = "(call $send (i32.const 2048) (i32.const 7) (i32.const OPERATION) (i32.const 8192) \
        (i32.const 0))";
    vec![
        case("next_token", 200_000, "(drop (call $next_token))"),
        case("set_timer", 8_000, format!("(drop {set})")),
        case("set_timer and cancel_timer", 6_000, format!("(drop (call $cancel_timer {set}))")),
        case("cancel_timer of none", 8_000, "(drop (call $cancel_timer (i64.const 1)))"),
        case("complete of none", 8_000, complete("(i64.const 1)")),
        Case { parked: 500, ..case("complete", 500, complete(ticket)) },
        case("emit of 20 bytes", 1_000, emit(20)),
        case("emit of 64 KiB", 15, emit(65_536)),
        case("send", 256, send),
        case("log of a line", 64, log),
        case("log of a line that is dropped", 100_000, log),
        Case { args: 500_000, ..case("arguments of 500 KB", 0, "") },
        Case { result: "(i64.const 0x10000000100000)", ..case("a result of 1 MiB", 0, "") },
    ]
}

type Host = Member<WasmVm<Draft<MemoryState>>>;

impl Case {
    fn module(&self) -> Vec<u8> {
        let schema: String = SCHEMA.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let recipe = RECIPE
            .replace("BODY", &self.body)
            .replace("BEFORE", &self.before)
            .replace("RESULT", self.result)
            .replace("OPERATION", &(OperationId::of("run").0 as i32).to_string());
        wat::parse_str(format!("(module {recipe} (@custom \"synod_schema\" \"{schema}\"))"))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn call(&self, rounds: u32, first_ticket: u64) -> Call {
        let mut args = vec![0; 16.max(self.args)];
        args[..4].copy_from_slice(&rounds.to_le_bytes());
        args[8..16].copy_from_slice(&first_ticket.to_le_bytes());
        Call { space: SpaceId(1), operation: OperationId::of("run"), args: args.into() }
    }

    /// Time and fuel of one call, the fastest of some.
    fn measure(&self) -> (Duration, u64) {
        let modules = Modules::in_memory().expect("the engines start");
        let engine = modules.engine_fingerprint();
        let mut member: Host =
            Member::new(WasmVm::new(modules).expect("the host calls link"), engine, &self.module(), 0);
        let mut best = (Duration::MAX, 0);
        for round in 0..ROUNDS as u64 {
            if !self.before.is_empty() {
                member.apply(&entry([Action::Call(self.call(u32::MAX - 1, 0))]));
            }
            let first_ticket = if self.parked > 0 { self.park(&mut member, round) } else { 0 };
            let entry = entry([Action::Call(self.call(self.rounds, first_ticket))]);
            let started = Instant::now();
            let applied = member.apply(&entry);
            let taken = started.elapsed();
            assert_eq!(applied.completions.len() as u64, self.parked, "{}", self.name);
            best = best.min((taken, applied.outcomes[0].fuel));
        }
        best
    }

    /// Lets calls of a session wait, and returns the first ticket.
    fn park(&self, member: &mut Host, round: u64) -> u64 {
        let opening = OpenSession {
            nonce: [round as u8; 16],
            secret_hash: [0; 32],
            ttl_ms: 0,
            ttl_policy: TtlPolicy::Nearest,
            label: String::new(),
        };
        let opened = member.apply(&entry([Action::OpenSession(opening)]));
        let Ok(Reply::Session { session, .. }) = opened.outcomes[0].outcome.result else {
            panic!("no session was opened")
        };
        let caller = Caller { session: Some(session), ..Caller::default() };
        let commands = (1..=self.parked).map(|id| {
            let request = Request { id: RequestId(id), ..Request::default() };
            let call = self.call(WAIT, 0);
            Command {
                origin: Origin::default(),
                caller,
                action: Action::SessionCall(SessionCall { call, request }),
            }
        });
        let applied = member.apply(&encoded(commands.collect()));
        match applied.outcomes[0].outcome.result {
            Ok(Reply::Parked { ticket }) => ticket.0,
            ref other => panic!("a call did not wait: {other:?}"),
        }
    }
}

fn table() {
    let empty = case("", 0, "").measure();
    let mut rows: Vec<(&str, u64, f64, f64)> = vec![{
        let (taken, fuel) = empty;
        ("entering a recipe, alone in its entry", fuel, taken.as_nanos() as f64, 0.0)
    }];
    for case in [wasm(), reads(), writes(), others()].iter().flatten() {
        let (taken, fuel) = case.measure();
        let taken = taken.saturating_sub(empty.0).as_nanos() as f64;
        rows.push((case.name, fuel.saturating_sub(empty.1), taken, 0.0));
    }
    rows.iter_mut().for_each(|(_, fuel, taken, per_unit)| *per_unit = *taken / *fuel as f64);
    let mut sorted: Vec<f64> = rows.iter().map(|(.., per_unit)| *per_unit).collect();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    println!("{:<40} {:>12} {:>12} {:>9} {:>9}", "operation", "fuel", "µs", "ns/unit", "x median");
    for (name, fuel, taken, per_unit) in &rows {
        let of_median = per_unit / median;
        println!("{name:<40} {fuel:>12} {:>12.1} {per_unit:>9.3} {of_median:>9.2}", taken / 1e3);
    }
    println!("median {median:.3} ns; a call's fuel is at most {} units", limits::CALL_FUEL);
    let worst = sorted.last().copied().unwrap_or_default();
    println!("the slowest call takes {:.0} ms", worst * limits::CALL_FUEL as f64 / 1e6);
    assert!(worst <= MOST * median, "an operation takes {:.1} times the median per unit", worst / median);
}

fn main() {
    spawn("bench", table).expect("a thread").join().expect("no operation is too cheap");
}
