//! Random changes of the log, with stops in between: RocksDB and memory must hold the same.
use proptest::prelude::*;
use synod_storage::{LogRecord, LogStore, MemoryStore, StateStore};

use crate::support::{flush, id, mark, open, payload};

#[derive(Clone, Debug)]
enum Step {
    Append { count: u64, length: usize },
    Truncate { back: u64 },
    Purge { back: u64 },
    Vote(u8),
    Committed(Option<u8>),
    Commit { back: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u64..8, 0usize..200).prop_map(|(count, length)| Step::Append { count, length }),
        2 => (0u64..12).prop_map(|back| Step::Truncate { back }),
        2 => (0u64..12).prop_map(|back| Step::Purge { back }),
        1 => any::<u8>().prop_map(Step::Vote),
        1 => any::<Option<u8>>().prop_map(Step::Committed),
        2 => (0u64..12).prop_map(|back| Step::Commit { back }),
        1 => Just(Step::Reopen),
    ]
}

fn next_index<S: LogStore>(store: &S) -> u64 {
    let bounds = store.bounds().expect("bounds");
    let purged = bounds.purged.map(|id| {
        String::from_utf8_lossy(&id[..id.len() - 1]).parse::<u64>().expect("an id names its index")
    });
    bounds.last.map(|last| last.index).or(purged).map_or(0, |index| index + 1)
}

fn take<S: LogStore + StateStore>(store: &S, nth: u64, step: &Step) {
    let next = next_index(store);
    let wait = nth.is_multiple_of(3);
    let run = |change: &dyn Fn(synod_storage::Flushed)| {
        if wait {
            flush(change).expect("flushed")
        } else {
            change(Box::new(|result| result.expect("flushed")))
        }
    };
    match step {
        Step::Append { count, length } => run(&|flushed| {
            let records =
                (next..next + count).map(|index| LogRecord { index, bytes: payload(index, nth, *length) });
            store.append(records.collect(), flushed);
        }),
        Step::Truncate { back } => {
            let applied = store.applied().expect("applied").index.map_or(0, |index| index + 1);
            let from = next.saturating_sub(*back).max(applied);
            run(&|flushed| store.truncate_from(from, flushed));
        }
        Step::Purge { back } => {
            if let Some(index) = next.checked_sub(1 + back) {
                run(&|flushed| store.purge(index, id(index), flushed));
            }
        }
        Step::Vote(vote) => run(&|flushed| store.save_vote([*vote].into(), flushed)),
        Step::Committed(committed) => store.save_committed(committed.map(|committed| [committed].into())),
        Step::Commit { back } => {
            let applied = store.applied().expect("applied").index;
            if let Some(index) =
                next.checked_sub(1 + back).filter(|index| applied.is_none_or(|applied| *index > applied))
            {
                store.commit(&[], &mark(index)).expect("commit");
            }
        }
        Step::Reopen => {}
    }
}

fn seen<S: LogStore + StateStore>(store: &S) -> impl std::fmt::Debug + use<S> {
    let log = (store.bounds().expect("bounds"), store.read(0..u64::MAX, usize::MAX).expect("read"));
    let parts = (store.read(3..9, 150).expect("read"), store.read(6..30, 400).expect("read"));
    (
        log,
        parts,
        store.vote().expect("vote"),
        store.committed().expect("committed"),
        store.applied().expect("applied"),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_hold_the_same_log(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().expect("folder");
        let mut rocks = open(folder.path());
        let mut memory = MemoryStore::new();
        for (nth, step) in steps.iter().enumerate() {
            take(&rocks, nth as u64, step);
            take(&memory, nth as u64, step);
            if matches!(step, Step::Reopen) {
                drop(rocks);
                rocks = open(folder.path());
                memory = memory.reopen();
            }
            let (rocks, memory) = (seen(&rocks), seen(&memory));
            prop_assert!(format!("{rocks:?}") == format!("{memory:?}"), "after step {nth} \
                {step:?}:\n{rocks:?}\n{memory:?}");
        }
    }
}
