//! The search for an order against two others: a published one (todc-utils, Wing and Gong's
//! algorithm over plain vectors) and trying every order.
//!
//! Half of the histories are corrupted. What ran is linearizable; of the rest all three must say
//! the same.
use synod_checker::history::Outcome;
use synod_checker::linear::{Steps, Verdict, check};
use synod_checker::models::kv::{self, Kv};

use super::dice::Dice;
use super::held::{LockObject, QueueObject};
use super::objects::{CounterObject, KvObject, Object};
use super::{brute, histories, published};

/// Histories for each object.
const HISTORIES: u64 = 4_000;
/// Most operations for which every order is tried.
const TINY: usize = 6;

fn cross_check<T: Object>() {
    let (mut good, mut bad, mut tiny) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let mut dice = Dice::new(seed);
        let mut ran = histories::run::<T>(&mut dice);
        let corrupted = seed % 2 == 1;
        if corrupted {
            histories::corrupt(&mut ran, &mut dice);
        }
        let history = ran.history();
        let verdict = check(&T::Model::default(), &history, Steps(1_000_000));
        let ours = verdict == Verdict::Linearizable;
        assert_ne!(verdict, Verdict::Undecided, "seed {seed}");
        assert!(ours || corrupted, "seed {seed} really ran: {verdict:?}\n{history:#?}");
        assert_eq!(ours, published::is_linearizable::<T::Model>(&history), "seed {seed}: {history:#?}");
        if history.len() <= TINY {
            tiny += 1;
            let every = brute::is_linearizable(&T::Model::default(), &history);
            assert_eq!(ours, every, "seed {seed}: {verdict:?}\n{history:#?}");
        }
        good += u64::from(ours);
        bad += u64::from(!ours);
    }
    assert!(good > HISTORIES / 2 && bad > HISTORIES / 10, "{good} good, {bad} bad");
    assert!(tiny > HISTORIES / 4, "{tiny} tiny ones");
}

#[test]
fn counters_are_judged_alike() {
    cross_check::<CounterObject>();
}

#[test]
fn keys_are_judged_alike() {
    cross_check::<KvObject>();
}

#[test]
fn locks_are_judged_alike() {
    cross_check::<LockObject>();
}

#[test]
fn queues_are_judged_alike() {
    cross_check::<QueueObject>();
}

/// A history of a few hundred operations with all values different, of some of which nobody knows
/// the outcome, is decided, good or bad: the marks see to it.
#[test]
fn long_histories_with_unknown_outcomes_are_decided() {
    let different = |id: u64, dice: &mut Dice| match KvObject::input(dice) {
        kv::Input::Put(_) => kv::Input::Put(id),
        kv::Input::CompareAndSet { .. } => kv::Input::Put(id),
        other => other,
    };
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let mut ran = histories::run_long::<KvObject>(3, 300, 10, different, &mut dice);
        let good = check(&Kv::default(), &ran.history(), Steps::default());
        assert_eq!(good, Verdict::Linearizable, "seed {seed}");
        let reads =
            ran.operations.iter_mut().skip(200).filter_map(|read| match &mut read.operation.outcome {
                Outcome::Done(kv::Output::Row(Some(row))) => Some(row),
                _ => None,
            });
        let row = reads.last().expect("a read of a value");
        row.value += 1;
        let bad = check(&Kv::default(), &ran.history(), Steps::default());
        assert!(matches!(bad, Verdict::Violation(_)), "seed {seed}: {bad:?}");
    }
}
