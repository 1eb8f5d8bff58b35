//! What an applied call costs beside the recipe's own work: a native `counter.add` on rows in memory.
//!
//! Decoding the entry, the overlay, the digests, and committing to a map are in the measure; Wasm and RocksDB are not.
#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use synod_abi::schema::{EntryPointDef, Schema, SchemaDef};
use synod_abi::{AdmissionError, HostCalls, ModuleHash, Shape, SpaceId, decode, encode};
use synod_machine::{Admitted, Completion, Fatal, Invocation, Vm};

mod member;

use member::{Member, entries};

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

fn counter_add(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counter_add");
    for counters in [1, 100_000] {
        for calls in [1, 32, 1_024] {
            let vm = Counter { loaded: false, out: vec![0; 1_024] };
            let mut member = Member::new(vm, [0; 32], &MODULE, counters);
            let entries = entries(counters, calls);
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
