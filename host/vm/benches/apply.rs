//! What an applied `counter.add` costs with all that one core does for it: the real machine, the
//! real engine, the bundled recipe. The budget is 10 µs, which is 100,000 calls a second.
//!
//! Rows are in memory: what the log and RocksDB cost comes on top, on other threads but for reads
//! and the commit.
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use synod_machine::{Draft, MemoryState};
use synod_vm::{Modules, WasmVm, spawn};

#[path = "../../machine/benches/member/mod.rs"]
mod member;

use member::{Member, entries};

/// Calls before the clock starts.
const WARM_UP_CALLS: u64 = 4_096;

/// Time of `count` of `entries`, in turn.
fn run(member: &mut Member<WasmVm<Draft<MemoryState>>>, entries: &[Vec<u8>], count: u64) -> Duration {
    let started = Instant::now();
    (0..count).zip(entries.iter().cycle()).for_each(|(_, entry)| drop(member.apply(entry)));
    started.elapsed()
}

/// Criterion runs on a thread with a small stack; the entries are timed on one of ours, as the
/// apply thread is.
fn timed(counters: u32, calls: u32, count: u64) -> Duration {
    let run = move || {
        let modules = Modules::in_memory().expect("the engines start");
        let engine = modules.engine_fingerprint();
        let module = synod_bundle::recipe("counter").expect("it is bundled").module;
        let mut member =
            Member::new(WasmVm::new(modules).expect("the host calls link"), engine, module, counters);
        let entries = entries(counters, calls);
        run(&mut member, &entries, WARM_UP_CALLS / u64::from(calls));
        run(&mut member, &entries, count)
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
