//! How many operations a second the search decides: a thousand keys with a thousand operations
//! each, of three clients at a time.
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synod_checker::history::{Keyed, Operation};
use synod_checker::linear::{KeyedOperation, Steps, Verdict, check_by_key};
use synod_checker::models::kv::{Input, Kv, Output, Row};

const KEYS: u64 = 1_000;
const OPERATIONS: u64 = 1_000;

/// Writes and reads by turns; each is concurrent with the two before and the two after.
fn history() -> Vec<KeyedOperation<u64, Kv<u64>>> {
    let mut history = Vec::new();
    for key in 0..KEYS {
        for turn in 0..OPERATIONS {
            let version = turn / 2 + 1;
            let (input, output) = if turn % 2 == 0 {
                (Input::Put(turn), Output::Written { revision: turn + 1, version })
            } else {
                let row = Row { value: turn - 1, created: 1, revision: turn, version };
                (Input::Get, Output::Row(Some(row)))
            };
            let client = (turn % 3) as u32;
            let (invoked, returned) = (10 * turn, 10 * turn + 25);
            history.push(Operation::done(client, invoked, returned, Keyed { key, input }, output));
        }
    }
    history
}

fn linear(criterion: &mut Criterion) {
    let history = history();
    let mut group = criterion.benchmark_group("linear");
    group.sample_size(10).throughput(Throughput::Elements(history.len() as u64));
    group.bench_function("kv", |bencher| {
        bencher.iter(|| {
            let verdict = check_by_key(&Kv::default(), black_box(&history), Steps(u64::MAX));
            assert_eq!(verdict, Verdict::Linearizable);
        });
    });
    group.finish();
}

criterion_group!(benches, linear);
criterion_main!(benches);
