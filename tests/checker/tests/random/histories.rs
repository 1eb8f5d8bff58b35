//! Histories of objects that really ran, each operation at a moment within its interval, some with
//! unknown outcomes, and the log of their effects.
use synod_checker::history::{Operation, Outcome};
use synod_checker::witness::{Logged, Place, Witnessed};

use super::dice::Dice;
use super::objects::Object;

/// An operation with the moment at which it ran.
struct Draft<T: Object> {
    id: u64,
    interval: (u64, u64),
    at: u64,
    input: T::Input,
    is_lost: bool,
    /// What it answered and where.
    ran: Option<(T::Output, Place)>,
}

/// What happened.
pub(crate) struct Ran<T: Object> {
    pub(crate) operations: Vec<Witnessed<T::Input, T::Output>>,
    pub(crate) log: Vec<Logged<T::Input>>,
}

impl<T: Object> Ran<T> {
    /// What its clients saw.
    pub(crate) fn history(&self) -> Vec<Operation<T::Input, T::Output>> {
        self.operations.iter().map(|witnessed| witnessed.operation.clone()).collect()
    }
}

/// Up to nine operations of as many clients.
pub(crate) fn run<T: Object>(dice: &mut Dice) -> Ran<T> {
    let (count, lost) = (2 + dice.below(8), [25, 60][dice.below(2) as usize]);
    let drafts = (0..count).map(|id| {
        let mut times = [dice.below(60), dice.below(60), dice.below(60)];
        times.sort_unstable();
        Draft {
            id,
            interval: (times[0], times[2]),
            at: times[1],
            input: T::input(dice),
            ran: None,
            is_lost: false,
        }
    });
    let drafts = drafts.collect();
    run_drafts(drafts, lost, dice)
}

/// Many operations of a few clients, each of which calls one after the other; of `lost` in a
/// hundred the outcome is unknown.
pub(crate) fn run_long<T: Object>(
    clients: u64,
    count: u64,
    lost: u64,
    mut input: impl FnMut(u64, &mut Dice) -> T::Input,
    dice: &mut Dice,
) -> Ran<T> {
    let mut free = vec![0; clients as usize];
    let mut drafts = Vec::new();
    for id in 0..count {
        let free = &mut free[(id % clients) as usize];
        let from = *free + dice.below(50);
        let at = from + dice.below(500);
        *free = at + dice.below(500);
        drafts.push(Draft {
            id,
            interval: (from, *free),
            at,
            input: input(id, dice),
            ran: None,
            is_lost: false,
        });
    }
    run_drafts(drafts, lost, dice)
}

fn run_drafts<T: Object>(mut drafts: Vec<Draft<T>>, lost: u64, dice: &mut Dice) -> Ran<T> {
    drafts.sort_by_key(|draft| draft.at);
    let mut object = T::default();
    let (mut log, mut effects) = (Vec::new(), 0);
    for draft in &mut drafts {
        draft.is_lost = dice.below(100) < lost;
        if draft.is_lost && dice.below(2) == 0 {
            continue;
        }
        let before = object.revision();
        let Some(output) = object.run(&draft.input) else { continue };
        effects += 1;
        let place = match object.revision() {
            None => Place::Write(effects),
            after @ Some(revision) if after != before => Place::Write(revision),
            Some(revision) => Place::Read(revision),
        };
        if let Place::Write(revision) = place {
            log.push(Logged { revision, id: Some(draft.id), input: draft.input.clone() });
        }
        draft.ran = Some((output, place));
    }
    Ran { operations: drafts.into_iter().map(witnessed).collect(), log }
}

fn witnessed<T: Object>(draft: Draft<T>) -> Witnessed<T::Input, T::Output> {
    let Draft { id, interval, input, is_lost, ran, .. } = draft;
    let client = id as u32;
    match ran.filter(|_| !is_lost) {
        Some((output, place)) => {
            let operation = Operation::done(client, interval.0, interval.1, input, output);
            Witnessed { id, operation, place: Some(place) }
        }
        None => Witnessed { id, operation: Operation::unknown(client, interval.0, input), place: None },
    }
}

/// Makes one answer another one, or moves an interval.
pub(crate) fn corrupt<T: Object>(ran: &mut Ran<T>, dice: &mut Dice) {
    let at = dice.below(ran.operations.len() as u64) as usize;
    let operation = &mut ran.operations[at].operation;
    if dice.below(3) == 0 {
        let by = 1 + dice.below(30);
        operation.invoked += by;
        operation.returned = operation.returned.map(|returned| returned + by);
    } else if let Outcome::Done(output) = &mut operation.outcome {
        T::corrupt(output, dice);
    }
}
