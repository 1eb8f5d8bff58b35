//! What an applied call costs beside the recipe's own work: a native `counter.add` on rows in memory.
//!
//! Decoding the entry, the overlay, the digests, and committing to a map are in the measure; Wasm and RocksDB are not.
#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use synod_abi::schema::{EntryPointDef, Schema, SchemaDef};
use synod_abi::{
    AdmissionError, ClusterId, HostCalls, ModuleHash, OperationId, RecipeName, Shape, SpaceId, SpaceName, Time, decode, encode,
};
use synod_machine::{
    Action, Admitted, Call, Caller, Command, Completion, Entry, Environment, Fatal, Invocation, Machine, MemoryState, Origin, Vm,
};

const ADD: EntryPointDef = EntryPointDef { name: "add", docs: "", args: &[], result: &Shape::I64, errors: None };
const COUNTER: SchemaDef = SchemaDef { name: "counter", version: 1, docs: "", operations: &[ADD], queries: &[], fields: &[] };
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

    fn apply(&mut self, entry: &[u8]) {
        self.index += 1;
        let applied = self.machine.apply(self.state.clone(), &mut self.vm, self.index, entry).expect("the entry is well formed");
        assert!(applied.outcomes.iter().all(|outcome| outcome.outcome.result.is_ok()));
        self.state.commit(&applied.writes);
    }
}

fn entry(actions: impl IntoIterator<Item = Action>) -> Vec<u8> {
    let command = |action| Command { origin: Origin::default(), caller: Caller::default(), action };
    encode(&Entry { stamp: Time(1), commands: actions.into_iter().map(command).collect() })
}

fn add(counter: u32) -> Action {
    Action::Call(Call {
        space: SpaceId(1),
        operation: OperationId::of("add"),
        args: encode(&(format!("counter-{counter:06}"), 1_i64)).into(),
    })
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
                bencher.iter(|| next.next().into_iter().for_each(|entry| member.apply(entry)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, counter_add);
criterion_main!(benches);
