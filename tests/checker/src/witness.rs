//! Answers against the log: every answer tells the revision at which it took effect, so nothing has
//! to be searched.
//!
//! The log is the operations that took effect, in their order: a call that waited stands where
//! another command completed it. Replayed through a model it must give every answer, in an order
//! that agrees with real time, each operation once. It takes linear time but for sorting, and finds
//! what a search for *some* order cannot: answers that only another order than the log's explains.
//! It trusts the revisions that the server tells; [`linear`](crate::linear) does not, so use both.
//!
//! The rules are those of etcd's robustness tests (`tests/robustness/validate`), which replay the
//! persisted write-ahead log, and of openraft's turmoil fuzzer.
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Display, Write};

use serde::{Deserialize, Serialize};

use crate::history::{Keyed, Operation, Outcome};
use crate::model::{Call, Model};
use crate::violation::{Property, Violation};

/// How many effects before a wrong answer an explanation shows.
const SHOWN: usize = 4;

/// At which revision an answer says that it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// It is the command of this revision, or was completed by it.
    Write(u64),
    /// It read the state after this revision, or was rejected by it, and changed nothing.
    Read(u64),
}

impl Place {
    /// The revision.
    pub fn revision(self) -> u64 {
        match self {
            Self::Write(revision) | Self::Read(revision) => revision,
        }
    }
}

/// An operation with the revision that its answer told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed<I, O> {
    /// Tells it from all others; the log knows it by this.
    pub id: u64,
    /// What its client saw.
    pub operation: Operation<I, O>,
    /// `None` if its outcome is unknown.
    pub place: Option<Place>,
}

/// An effect in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged<I> {
    /// The revision of the command that had it.
    pub revision: u64,
    /// Whose operation it was; `None` if no client's, or one whose operations are not recorded.
    pub id: Option<u64>,
    /// What was asked for.
    pub input: I,
}

/// An operation on one of many objects, and an effect on one of them.
pub type KeyedWitnessed<K, M> = Witnessed<Keyed<K, <M as Model>::Input>, <M as Model>::Output>;
/// See [`KeyedWitnessed`].
pub type KeyedLogged<K, M> = Logged<Keyed<K, <M as Model>::Input>>;

/// Checks operations on one object against the log. For operations that name many keys the object
/// is all of them.
///
/// # Errors
///
/// The first violation.
pub fn check<M: Model>(
    model: &M,
    log: &[Logged<M::Input>],
    operations: &[Witnessed<M::Input, M::Output>],
) -> Result<(), Violation> {
    order::check(log, operations)?;
    answers(model, log, operations, |input| ((), input), |()| String::new())
}

/// Checks operations on many objects against the log: their order together, their answers by
/// object.
///
/// # Errors
///
/// The first violation.
pub fn check_by_key<M: Model, K: Ord + Debug>(
    model: &M,
    log: &[KeyedLogged<K, M>],
    operations: &[KeyedWitnessed<K, M>],
) -> Result<(), Violation> {
    order::check(log, operations)?;
    answers(model, log, operations, |keyed| (&keyed.key, &keyed.input), |key| format!("object {key:?}: "))
}

/// An effect or a read, in the order of the replay.
struct Step<'a, I, O> {
    revision: u64,
    is_read: bool,
    input: &'a I,
    output: Option<&'a O>,
    /// Whose it is, if that is recorded.
    operation: Option<&'a dyn Display>,
}

impl<I: Debug, O> Step<'_, I, O> {
    fn shown(&self) -> String {
        let what = if self.is_read { "read" } else { "effect" };
        let whose = match self.operation {
            Some(operation) => operation.to_string(),
            None => format!("{:?}, of no recorded client", self.input),
        };
        format!("{what} at revision {}: {whose}", self.revision)
    }
}

/// Every answer is the model's, where the log says that it was given.
fn answers<'a, M: Model, I: Debug, K: Ord>(
    model: &M,
    log: &'a [Logged<I>],
    operations: &'a [Witnessed<I, M::Output>],
    split: impl Fn(&'a I) -> (K, &'a M::Input),
    name: impl Fn(K) -> String,
) -> Result<(), Violation>
where
    M::Input: 'a,
{
    let by_id: HashMap<u64, &Witnessed<I, M::Output>> = operations.iter().map(|w| (w.id, w)).collect();
    let mut objects = BTreeMap::<K, Vec<Step<'_, M::Input, M::Output>>>::new();
    let mut add = |input, revision, is_read, witnessed: Option<&'a Witnessed<I, M::Output>>| {
        let (key, input) = split(input);
        let output = witnessed.and_then(output);
        let operation = witnessed.map(|witnessed| &witnessed.operation as &dyn Display);
        objects.entry(key).or_default().push(Step { revision, is_read, input, output, operation });
    };
    for Logged { revision, id, input } in log {
        add(input, *revision, false, id.and_then(|id| by_id.get(&id).copied()));
    }
    for witnessed in operations {
        if let Some(Place::Read(revision)) = witnessed.place {
            add(&witnessed.operation.input, revision, true, Some(witnessed));
        }
    }
    for (key, mut steps) in objects {
        steps.sort_by_key(|step| (step.revision, step.is_read));
        replay(model, &steps).map_err(|mut violation| {
            violation.why.insert_str(0, &name(key));
            violation
        })?;
    }
    Ok(())
}

fn output<I, O>(witnessed: &Witnessed<I, O>) -> Option<&O> {
    match &witnessed.operation.outcome {
        Outcome::Done(output) => Some(output),
        Outcome::Unknown => None,
    }
}

fn replay<M: Model>(model: &M, steps: &[Step<'_, M::Input, M::Output>]) -> Result<(), Violation> {
    let mut state = model.initial();
    for (at, step) in steps.iter().enumerate() {
        let revision = (!step.is_read).then_some(step.revision);
        let call = Call { input: step.input, output: step.output, revision };
        let Some(next) = model.step(&state, call) else {
            let why = format!("the log does not give this answer\n    {}", step.shown());
            return Err(Violation::new(Property::Answer, explain(why, &state, &steps[..at])));
        };
        if step.is_read && next != state {
            let why = format!("this changes something, and is not in the log\n    {}", step.shown());
            return Err(Violation::new(Property::Logged, explain(why, &state, &steps[..at])));
        }
        state = next;
    }
    Ok(())
}

fn explain<I: Debug, O>(mut why: String, state: &dyn Debug, before: &[Step<'_, I, O>]) -> String {
    let text = "writing to a string does not fail";
    write!(why, "\nthe state there is {state:?}, after").expect(text);
    let effects = before.iter().filter(|step| !step.is_read);
    let skipped = effects.clone().count().saturating_sub(SHOWN);
    if before.iter().all(|step| step.is_read) {
        write!(why, " no effect").expect(text);
    }
    for step in effects.skip(skipped) {
        write!(why, "\n    {}", step.shown()).expect(text);
    }
    why
}
