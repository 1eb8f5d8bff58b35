//! Answers of the recipe `kv` against the log: each must be the one that the log gives at the
//! revision that it was told.
use std::collections::HashMap;

use synod_abi::{Blob, OperationId, Revision, SpaceId};
use synod_checker::history::{Keyed, Outcome};
use synod_checker::models::kv::{Input, Kv, Output};
use synod_checker::witness::{self, KeyedLogged, KeyedWitnessed, Logged, Place, Witnessed};
use synod_machine::{Action, Call, CommandOutcome, Entry};

use crate::finding::Check;
use crate::observe::Observer;
use crate::record::{KvOperation, Records};
use crate::workload::kv::decoded;

/// A call of `kv` that changed something, or might have.
pub(super) type Effect = KeyedLogged<String, Kv<u64>>;

/// The calls of the space `kv` in an entry that were not rejected.
pub(super) fn effects(kv: SpaceId, entry: &Entry, outcomes: &[CommandOutcome]) -> Vec<Effect> {
    let effect = |(command, done): (&synod_machine::Command, &CommandOutcome)| {
        let Action::Call(Call { space, operation, args }) = &command.action else { return None };
        if *space != kv || done.outcome.result.is_err() {
            return None;
        }
        let (key, input) = input(*operation, &args.0)?;
        Some(Logged { revision: done.outcome.revision.0, id: None, input: Keyed { key, input } })
    };
    entry.commands.iter().zip(outcomes).filter_map(effect).collect()
}

/// What was asked for; none: it is no operation of this workload.
fn input(operation: OperationId, args: &[u8]) -> Option<(String, Input<u64>)> {
    let is = |name| operation == OperationId::of(name);
    if is("put") {
        let (key, value) = synod_abi::decode::<(String, Blob)>(args).ok()?;
        Some((key, Input::Put(decoded(&value))))
    } else if is("compare_and_set") {
        let (key, expected, value) = synod_abi::decode::<(String, Revision, Blob)>(args).ok()?;
        Some((key, Input::CompareAndSet { expected: expected.0, value: decoded(&value) }))
    } else if is("delete") {
        Some((synod_abi::decode::<(String,)>(args).ok()?.0, Input::Delete))
    } else {
        None
    }
}

/// Values are written once, so a value tells whose write it was; a removal is known by its
/// revision, if its client knows that.
pub(super) fn judge(observer: &Observer, records: &Records, mut log: Vec<Effect>) {
    let mut operations = Vec::new();
    let (mut by_value, mut by_revision) = (HashMap::new(), HashMap::new());
    for (id, (operation, revision)) in (0..).zip(records.kv.iter().zip(&records.kv_revisions)) {
        let Some(operation) = operation.clone() else { continue };
        match operation.input.input {
            Input::Put(value) | Input::CompareAndSet { value, .. } => by_value.insert(value, id),
            Input::Delete => revision.and_then(|revision| by_revision.insert(revision, id)),
            Input::Get | Input::CompareAndDelete { .. } => None,
        };
        operations.push(witnessed(id, operation, *revision));
    }
    for effect in &mut log {
        effect.id = match effect.input.input {
            Input::Put(value) | Input::CompareAndSet { value, .. } => by_value.get(&value).copied(),
            _ => by_revision.get(&effect.revision).copied(),
        };
    }
    if let Err(violation) = witness::check_by_key(&Kv::default(), &log, &operations) {
        observer.found(Check::Witness, violation.to_string());
    }
}

/// An operation at its place. A conflict tells no revision, so it counts as one without an answer.
fn witnessed(id: u64, mut operation: KvOperation, revision: Option<u64>) -> KeyedWitnessed<String, Kv<u64>> {
    let place = match (&operation.outcome, revision) {
        (Outcome::Done(Output::Row(_)), Some(revision)) => Some(Place::Read(revision)),
        (Outcome::Done(Output::Conflict { .. }), _) | (Outcome::Unknown, _) | (_, None) => None,
        (Outcome::Done(_), Some(revision)) => Some(Place::Write(revision)),
    };
    if place.is_none() {
        (operation.outcome, operation.returned) = (Outcome::Unknown, None);
    }
    Witnessed { id, operation, place }
}
