//! What an applied call costs beside the recipe's own work: a native `counter.add` on rows in memory, outside of sessions and
//! with exactly-once effect in them.
//!
//! Decoding the entry, the overlay, the digests, and committing to a map are in the measure; Wasm and RocksDB are not.
#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use synod_abi::schema::{EntryPointDef, HooksDef, Schema, SchemaDef};
use synod_abi::{
    AdmissionError, ClusterId, HostCalls, ModuleHash, OperationId, RecipeName, RequestId, SessionId, Shape, SpaceId, SpaceName, Time,
    decode, encode,
};
use synod_machine::{
    Action, Admitted, Applied, Call, Caller, Command, Completion, Entry, Environment, Fatal, Invocation, Machine, MemoryState, OpenSession,
    Origin, Reply, Request, SessionCall, TtlPolicy, Vm,
};

const ADD: EntryPointDef = EntryPointDef { name: "add", docs: "", args: &[], result: &Shape::I64, errors: None, waits: false };
const COUNTER: SchemaDef =
    SchemaDef { name: "counter", version: 1, docs: "", operations: &[ADD], queries: &[], fields: &[], hooks: HooksDef::NONE };
const MODULE: [u8; COUNTER.encoded_len()] = COUNTER.encode();

struct Counter {
    loaded: bool,
    out: Vec<u8>,
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

    fn begin_entry(&mut self) {}

    fn invoke(&mut self, invocation: Invocation<'_>, mut host: H) -> Result<(H, Completion), Fatal> {
        let mut add = || {
            let (name, by): (String, i64) = decode(invocation.args).map_err(|_| synod_abi::Fault::BadArguments)?;
            let key = [[0, 0, 0, 1].as_slice(), name.as_bytes(), &[0, 0]].concat();
            let current: i64 = match host.get(&key, &mut self.out)? {
                u32::MAX => 0,
                len => decode(&self.out[..len as usize]).map_err(|_| synod_abi::Fault::CorruptState)?,
            };
            host.put(&key, &encode(&(current + by)))?;
            Ok(encode(&(current + by)))
        };
        let completion = add().map_or_else(Completion::Faulted, Completion::Done);
        Ok((host, completion))
    }

    fn discard(&mut self, _: SpaceId) {}

    fn fuel_used(&self) -> u64 {
        0
    }
}

struct Member {
    machine: Machine,
    state: MemoryState,
    vm: Counter,
    index: u64,
}

impl Member {
    fn new(counters: u32) -> Self {
        let environment = Environment { semantics: Environment::SEMANTICS, engine: [0; 32] };
        let state = MemoryState::default();
        let machine = Machine::load(&state, environment).expect("an empty state loads");
        let mut member = Self { machine, state, vm: Counter { loaded: false, out: vec![0; 1_024] }, index: 0 };
        let recipe = RecipeName::new("counter").expect("it is a name");
        let name = SpaceName::new("counter").expect("it is a name");
        for action in [
            Action::FormCluster { cluster: ClusterId([1; 16]) },
            Action::SetEnvironment { environment },
            Action::InstallRecipe { module: MODULE.as_slice().into(), replace: false },
            Action::CreateSpace { name, recipe, version: None },
        ] {
            member.apply(&entry([action]));
        }
        for first in (0..counters).step_by(1_024) {
            member.apply(&entry((first..counters.min(first + 1_024)).map(add)));
        }
        member
    }

    fn open(&mut self, nonce: u8) -> SessionId {
        let open =
            OpenSession { nonce: [nonce; 16], secret_hash: [nonce; 32], ttl_ms: 0, ttl_policy: TtlPolicy::Exact, label: String::new() };
        match self.apply(&entry([Action::OpenSession(open)])).outcomes.remove(0).outcome.result {
            Ok(Reply::Session { session, .. }) => session,
            other => unreachable!("a session opens: {other:?}"),
        }
    }

    fn apply(&mut self, entry: &[u8]) -> Applied {
        self.index += 1;
        let applied = self.machine.apply(self.state.clone(), &mut self.vm, self.index, entry).expect("the entry is well formed");
        assert!(applied.outcomes.iter().all(|outcome| outcome.outcome.result.is_ok()));
        self.state.commit(&applied.writes);
        applied
    }
}

fn entry(actions: impl IntoIterator<Item = Action>) -> Vec<u8> {
    let command = |action| Command { origin: Origin::default(), caller: Caller::default(), action };
    entry_of(actions.into_iter().map(command).collect())
}

fn entry_of(commands: Vec<Command>) -> Vec<u8> {
    encode(&Entry { stamp: Time(1), commands })
}

fn add(counter: u32) -> Action {
    Action::Call(add_call(counter))
}

fn add_call(counter: u32) -> Call {
    let args = encode(&(format!("counter-{counter:06}"), 1_i64)).into();
    Call { space: SpaceId(1), operation: OperationId::of("add"), args }
}

/// Clients that pipeline: each entry has the next calls of every session, and acknowledges those of the entry before.
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
                let request = Request { id: RequestId(id), acknowledged_below: RequestId(first), after, ..Request::default() };
                let caller = Caller { session: Some(*session), ..Caller::default() };
                let call = add_call((id * 7_919) as u32 % 100_000);
                Command { origin: Origin::default(), caller, action: Action::SessionCall(SessionCall { call, request }) }
            })
        });
        entry_of(calls.collect())
    }
}

fn counter_add(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counter_add");
    for counters in [1, 100_000] {
        for calls in [1, 32, 1_024] {
            let mut member = Member::new(counters);
            let entries: Vec<Vec<u8>> =
                (0..97).map(|n| entry((0..calls).map(|call| add((n * 7_919 + call * 104_729) % counters)))).collect();
            let mut next = entries.iter().cycle();
            group.throughput(Throughput::Elements(u64::from(calls)));
            group.bench_function(BenchmarkId::new(format!("{counters} counters"), format!("{calls} an entry")), |bencher| {
                bencher.iter(|| next.next().map(|entry| member.apply(entry)));
            });
        }
    }
    group.finish();
}

fn counter_exactly_once(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counter_exactly_once");
    group.throughput(Throughput::Elements(32));
    for (sessions, calls) in [(1, 32), (32, 1)] {
        let mut member = Member::new(100_000);
        let sessions: Vec<SessionId> = (0..sessions).map(|nonce| member.open(nonce)).collect();
        let name = BenchmarkId::new(format!("{} sessions", sessions.len()), "32 an entry");
        let mut clients = Clients { sessions, calls, next: 1 };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| clients.entry(), |entry| member.apply(&entry), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, counter_add, counter_exactly_once);
criterion_main!(benches);
