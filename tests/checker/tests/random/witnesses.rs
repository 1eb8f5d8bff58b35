//! The check against the log, with logs of objects that really ran.
use synod_checker::linear::{self, Steps, Verdict};
use synod_checker::models::kv::Kv;
use synod_checker::witness::{Logged, Place, Witnessed, check};

use super::dice::Dice;
use super::held::{LockObject, QueueObject};
use super::histories::{self, Ran};
use super::objects::{CounterObject, KvObject, Object};

/// Histories for each object.
const HISTORIES: u64 = 4_000;

/// Whatever the log explains is linearizable, and what really ran is explained.
fn agrees_with_the_search<T: Object>() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..HISTORIES {
        let mut dice = Dice::new(seed);
        let mut ran = histories::run::<T>(&mut dice);
        let corrupted = seed % 2 == 1;
        if corrupted {
            histories::corrupt(&mut ran, &mut dice);
        }
        let verdict = check(&T::Model::default(), &ran.log, &ran.operations);
        assert!(verdict.is_ok() || corrupted, "seed {seed} really ran: {verdict:?}");
        if verdict.is_ok() {
            let found = linear::check(&T::Model::default(), &ran.history(), Steps(1_000_000));
            assert_eq!(found, Verdict::Linearizable, "seed {seed}");
        }
        good += u64::from(verdict.is_ok());
        bad += u64::from(verdict.is_err());
    }
    assert!(good > HISTORIES / 2 && bad > HISTORIES / 8, "{good} good, {bad} bad");
}

#[test]
fn what_the_log_of_a_counter_explains_is_linearizable() {
    agrees_with_the_search::<CounterObject>();
}

#[test]
fn what_the_log_of_a_key_explains_is_linearizable() {
    agrees_with_the_search::<KvObject>();
}

#[test]
fn what_the_log_of_a_lock_explains_is_linearizable() {
    agrees_with_the_search::<LockObject>();
}

#[test]
fn what_the_log_of_a_queue_explains_is_linearizable() {
    agrees_with_the_search::<QueueObject>();
}

/// A log that lacks an acknowledged effect, has one twice, or has another input.
fn damage<T: Object>(ran: &mut Ran<T>, dice: &mut Dice) -> bool {
    let acknowledged: Vec<usize> = (0..ran.log.len())
        .filter(|at| ran.operations.iter().any(|w| Some(w.id) == ran.log[*at].id && w.place.is_some()))
        .collect();
    let Some(at) = acknowledged.get(dice.below(9) as usize).copied() else { return false };
    match dice.below(3) {
        0 => drop(ran.log.remove(at)),
        1 => {
            let last = ran.log.last().map_or(0, |logged| logged.revision);
            ran.log.push(Logged { revision: last + 1, ..ran.log[at].clone() });
        }
        _ => {
            let other = T::input(dice);
            if other == ran.log[at].input {
                return false;
            }
            ran.log[at].input = other;
        }
    }
    true
}

#[test]
fn a_damaged_log_is_always_found() {
    let mut damaged = 0;
    for seed in 0..HISTORIES {
        let mut dice = Dice::new(seed);
        let mut ran = histories::run::<KvObject>(&mut dice);
        if damage(&mut ran, &mut dice) {
            damaged += 1;
            let verdict = check(&Kv::default(), &ran.log, &ran.operations);
            assert!(verdict.is_err(), "seed {seed}: {:?}", ran.log);
        }
    }
    assert!(damaged > HISTORIES / 8, "{damaged} damaged");
}

/// A member that lags answers from a state that was overtaken before it was asked.
#[test]
fn a_stale_read_is_always_found() {
    let mut stale = 0;
    for seed in 0..HISTORIES {
        let mut dice = Dice::new(seed);
        let mut ran = histories::run::<KvObject>(&mut dice);
        let returned = |w: &Witnessed<_, _>, before: u64| {
            w.operation.returned.filter(|returned| *returned < before).and(w.place).map(Place::revision)
        };
        let overtaken = ran.operations.iter().enumerate().find_map(|(at, read)| {
            let Some(Place::Read(_)) = read.place else { return None };
            let known = ran.operations.iter().filter_map(|w| returned(w, read.operation.invoked)).max()?;
            Some((at, known.checked_sub(1)?))
        });
        if let Some((at, revision)) = overtaken {
            stale += 1;
            ran.operations[at].place = Some(Place::Read(revision));
            let verdict = check(&Kv::default(), &ran.log, &ran.operations);
            assert!(verdict.is_err(), "seed {seed}");
        }
    }
    assert!(stale > HISTORIES / 16, "{stale} stale");
}
