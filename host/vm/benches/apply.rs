//! What an applied `counter.add` costs with all that one core does for it: the real machine, the real engine, the bundled
//! recipe. The budget is 10 µs, which is 100,000 calls a second.
//!
//! Rows are in memory: what the log and RocksDB cost comes on top, on other threads but for reads and the commit.
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use synod_abi::{ClusterId, OperationId, RecipeName, SpaceId, SpaceName, Time, encode};
use synod_machine::{Action, Call, Caller, Command, Entry, Environment, Machine, MemoryState, Origin, Workspace};
use synod_vm::{Modules, WasmVm, spawn};

/// Different entries that are applied in turn.
const ENTRIES: u32 = 97;
/// Calls before the clock starts.
const WARM_UP_CALLS: u64 = 4_096;

struct Member {
    machine: Machine,
    state: MemoryState,
    vm: WasmVm<Workspace<MemoryState>>,
    index: u64,
}

impl Member {
    fn new(counters: u32) -> Self {
        let modules = Modules::in_memory().expect("the engines start");
        let environment = Environment { semantics: Environment::SEMANTICS, engine: modules.engine_fingerprint() };
        let state = MemoryState::default();
        let machine = Machine::load(&state, environment).expect("an empty state loads");
        let vm = WasmVm::new(modules).expect("the host calls link");
        let mut member = Self { machine, state, vm, index: 0 };
        let module = synod_bundle::recipe("counter").expect("it is bundled").module;
        let recipe = RecipeName::new("counter").expect("it is a name");
        let name = SpaceName::new("counter").expect("it is a name");
        for action in [
            Action::FormCluster { cluster: ClusterId([1; 16]) },
            Action::SetEnvironment { environment },
            Action::InstallRecipe { module: module.into(), replace: false },
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

    /// Time of `count` of `entries`, in turn.
    fn run(&mut self, entries: &[Vec<u8>], count: u64) -> Duration {
        let started = Instant::now();
        (0..count).zip(entries.iter().cycle()).for_each(|(_, entry)| self.apply(entry));
        started.elapsed()
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

/// Criterion runs on a thread with a small stack; the entries are timed on one of ours, as the apply thread is.
fn timed(counters: u32, calls: u32, count: u64) -> Duration {
    let run = move || {
        let mut member = Member::new(counters);
        let entries: Vec<_> = (0..ENTRIES).map(|n| entry((0..calls).map(|call| add((n * 7_919 + call * 104_729) % counters)))).collect();
        member.run(&entries, WARM_UP_CALLS / u64::from(calls));
        member.run(&entries, count)
    };
    spawn("bench", run).expect("a thread").join().expect("it ends")
}

fn counter_add(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply of counter.add");
    group.sample_size(20);
    for counters in [1, 100_000] {
        for calls in [1, 32, 1_024] {
            group.throughput(Throughput::Elements(u64::from(calls)));
            let id = BenchmarkId::new(format!("{counters} counters"), format!("{calls} an entry"));
            group.bench_function(id, |bencher| bencher.iter_custom(|count| timed(counters, calls, count)));
        }
    }
    group.finish();
}

criterion_group!(benches, counter_add);
criterion_main!(benches);
