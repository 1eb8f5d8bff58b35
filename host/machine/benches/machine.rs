//! What an applied call costs beside the recipe's own work: a native `counter.add` on rows in
//! memory, outside of sessions and with exactly-once effect in them, and as one that emits, to
//! nobody and to handlers.
//!
//! Decoding the entry, the overlay, the digests, and committing to a map are in the measure; Wasm
//! and RocksDB are not.
#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use synod_abi::schema::{EntryPointDef, HooksDef, Schema, SchemaDef};
use synod_abi::{
    AdmissionError, EntryPoint, Event, Fault, HostCalls, ModuleHash, OperationId, RecipeName, RequestId,
    Revision, SessionId, Shape, SpaceId, SpaceName, Time, TopicFilter, decode, encode,
};
use synod_machine::{
    Action, Admitted, Binding, Call, Caller, Command, Completion, Entry, Environment, Fatal, Invocation,
    OnFailure, OpenSession, Origin, Reply, Request, SessionCall, TtlPolicy, Vm,
};

mod member;

use member::{Member, add, entries, entry};

const ADD: EntryPointDef =
    EntryPointDef { name: "add", docs: "", args: &[], result: &Shape::I64, errors: None, waits: false };
/// As `add`, but tells of it in an event.
const EMIT: EntryPointDef = EntryPointDef { name: "emit", ..ADD };
const COUNTER: SchemaDef = SchemaDef {
    name: "counter",
    version: 1,
    docs: "",
    operations: &[ADD, EMIT],
    queries: &[],
    fields: &[],
    hooks: HooksDef { event: true, ..HooksDef::NONE },
    emits: Some(&Shape::I64),
};
const MODULE: [u8; COUNTER.encoded_len()] = COUNTER.encode();

struct Counter {
    loaded: bool,
    out: Vec<u8>,
    fuel_used: u64,
}

impl Counter {
    fn add(&mut self, args: &[u8], emits: bool, host: &mut impl HostCalls) -> Result<Vec<u8>, Fault> {
        let (name, by): (String, i64) = decode(args).map_err(|_| Fault::BadArguments)?;
        let key = [[0, 0, 0, 1].as_slice(), name.as_bytes(), &[0, 0]].concat();
        let current: i64 = match host.get(&key, &mut self.out)? {
            u32::MAX => 0,
            len => decode(&self.out[..len as usize]).map_err(|_| Fault::CorruptState)?,
        };
        host.put(&key, &encode(&(current + by)))?;
        if emits {
            host.emit(name.as_bytes(), &encode(&(current + by)))?;
        }
        Ok(encode(&(current + by)))
    }

    /// Keeps the last payload of each topic.
    fn handle(&mut self, args: &[u8], host: &mut impl HostCalls) -> Result<Vec<u8>, Fault> {
        let Event { topic, payload, .. } = decode(args).map_err(|_| Fault::BadArguments)?;
        host.put(topic.as_bytes(), &payload)?;
        Ok(Vec::new())
    }
}

impl<H: HostCalls> Vm<H> for Counter {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        let schema = Schema::decode(module).map_err(AdmissionError::BadSchema)?;
        Ok(Admitted { hash: ModuleHash([1; 32]), schema, schema_bytes: module.to_vec() })
    }

    fn load(&mut self, _: ModuleHash, _: &[u8]) -> Result<(), Fatal> {
        self.loaded = true;
        Ok(())
    }

    fn is_loaded(&self, _: ModuleHash) -> bool {
        self.loaded
    }

    fn begin_entry(&mut self, _: Option<Environment>) -> Result<(), Fatal> {
        Ok(())
    }

    fn invoke(&mut self, invocation: Invocation<'_>, mut host: H) -> Result<(H, Completion), Fatal> {
        let completion = match invocation.entry_point {
            EntryPoint::Event => self.handle(invocation.args, &mut host),
            entry_point => self.add(
                invocation.args,
                entry_point == EntryPoint::Operation(OperationId::of(EMIT.name)),
                &mut host,
            ),
        };
        let completion = completion.map_or_else(Completion::Faulted, Completion::Done);
        self.fuel_used = invocation.fuel.saturating_sub(*host.fuel());
        Ok((host, completion))
    }

    fn discard(&mut self, _: SpaceId) {}

    fn fuel_used(&self) -> u64 {
        self.fuel_used
    }
}

/// Clients that pipeline: each entry has the next calls of every session, and acknowledges those of
/// the entry before.
struct Clients {
    sessions: Vec<SessionId>,
    calls: u64,
    next: u64,
}

impl Clients {
    fn entry(&mut self) -> Vec<u8> {
        let (first, sessions) = (self.next, &self.sessions);
        self.next += self.calls;
        let calls = (first..self.next).flat_map(|id| {
            sessions.iter().map(move |session| {
                let after = (id > 1).then_some(RequestId(id - 1));
                let request = Request {
                    id: RequestId(id),
                    acknowledged_below: RequestId(first),
                    after,
                    ..Request::default()
                };
                let caller = Caller { session: Some(*session), ..Caller::default() };
                let call = add((id * 7_919) as u32 % 100_000);
                Command {
                    origin: Origin::default(),
                    caller,
                    action: Action::SessionCall(SessionCall { call, request }),
                }
            })
        });
        encode(&Entry { stamp: Time(1), commands: calls.collect() })
    }
}

fn member(counters: u32) -> Member<Counter> {
    Member::new(Counter { loaded: false, out: vec![0; 1_024], fuel_used: 0 }, [0; 32], &MODULE, counters)
}

fn open(member: &mut Member<Counter>, nonce: u8) -> SessionId {
    let open = OpenSession {
        nonce: [nonce; 16],
        secret_hash: [nonce; 32],
        ttl_ms: 0,
        ttl_policy: TtlPolicy::Exact,
        label: String::new(),
    };
    match member.apply(&entry([Action::OpenSession(open)])).outcomes.remove(0).outcome.result {
        Ok(Reply::Session { session, .. }) => session,
        other => unreachable!("a session opens: {other:?}"),
    }
}

fn counter_add(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counter_add");
    for counters in [1, 100_000] {
        for calls in [1, 32, 1_024] {
            let mut member = member(counters);
            let entries = entries(counters, calls);
            let mut next = entries.iter().cycle();
            group.throughput(Throughput::Elements(u64::from(calls)));
            group.bench_function(
                BenchmarkId::new(format!("{counters} counters"), format!("{calls} an entry")),
                |bencher| {
                    bencher.iter(|| next.next().map(|entry| member.apply(entry)));
                },
            );
        }
    }
    group.finish();
}

fn counter_exactly_once(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counter_exactly_once");
    group.throughput(Throughput::Elements(32));
    for (sessions, calls) in [(1, 32), (32, 1)] {
        let mut member = member(100_000);
        let sessions: Vec<SessionId> = (0..sessions).map(|nonce| open(&mut member, nonce)).collect();
        let name = BenchmarkId::new(format!("{} sessions", sessions.len()), "32 an entry");
        let mut clients = Clients { sessions, calls, next: 1 };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| clients.entry(), |entry| member.apply(&entry), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn counter_emits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counter_emits");
    for calls in [1, 32] {
        group.throughput(Throughput::Elements(u64::from(calls)));
        for handlers in [0, 1, 8] {
            let mut member = member(100_000);
            (0..handlers).for_each(|n| bind(&mut member, n));
            let entries: Vec<Vec<u8>> = (0..97_u32)
                .map(|n| entry((0..calls).map(|call| emit((n * 7_919 + call * 104_729) % 100_000))))
                .collect();
            let (mut next, mut applied) = (entries.iter().cycle(), 0_u64);
            group.bench_function(
                BenchmarkId::new(format!("{handlers} handlers"), format!("{calls} an entry")),
                |bencher| {
                    bencher.iter(|| {
                        applied += 1;
                        if applied.is_multiple_of(1_024) {
                            member.apply(&entry([Action::CompactEvents {
                                space: SpaceId(1),
                                through: Revision(u64::MAX),
                            }]));
                        }
                        next.next().map(|entry| member.apply(entry))
                    });
                },
            );
        }
    }
    group.finish();
}

/// A call that adds one to a counter, and tells of it.
fn emit(counter: u32) -> Action {
    Action::Call(Call { operation: OperationId::of(EMIT.name), ..add(counter) })
}

/// Another space, bound to the counters.
fn bind(member: &mut Member<Counter>, n: u32) {
    let (source, recipe) =
        (SpaceName::new("counter").expect("it is a name"), RecipeName::new("counter").expect("it is a name"));
    let handler = SpaceName::new(&format!("handler-{n}")).expect("it is a name");
    let binding = Binding { handler: handler.clone(), source, filter: TopicFilter::all() };
    let create = Action::CreateSpace { name: handler, recipe, version: None };
    member.apply(&entry([create, Action::BindSpace { binding, on_failure: OnFailure::Reject }]));
}

criterion_group!(benches, counter_add, counter_exactly_once, counter_emits);
criterion_main!(benches);
