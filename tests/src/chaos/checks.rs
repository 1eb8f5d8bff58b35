//! What must hold after a round, of what its clients recorded.
//!
//! Linearizability is the checkers' crate's; what is here compares a record with the cluster as it
//! is after the round, or needs no search.
use std::collections::BTreeMap;

use synod_checker::history::{Keyed, Operation, Outcome, write_lines};
use synod_checker::linear::{Steps, Verdict, check_by_key};
use synod_checker::model::Model;
use synod_checker::models;
use synod_client::Client;
use synod_kv::Kv;

use super::load::{Change, Effect, Hold, KvOperation, Meeting, PARTIES, Records, Watched, read};

/// The client that reads everything at the end.
const READER: u32 = u32::MAX;

/// Reads every key that was used, as one more client.
///
/// # Panics
/// When the cluster cannot be read.
pub(super) async fn read_at_the_end(client: &Client, records: &mut Records) {
    let last = records.kv.iter().filter_map(|operation| operation.returned).max().unwrap_or_default();
    let keys: std::collections::BTreeSet<String> =
        records.kv.iter().map(|operation| operation.input.key.clone()).collect();
    let kv = Kv::client(client, "kv");
    for (key, at) in keys.into_iter().zip(1..) {
        let row = kv.get(key.as_str()).await.expect("a whole cluster can be read");
        let input = Keyed { key, input: models::kv::Input::Get };
        let output = models::kv::Output::Row(row.map(read));
        records.kv.push(Operation::done(READER, last + at, last + at, input, output));
    }
}

/// Checks everything, and returns how many operations that were.
///
/// # Errors
/// What does not hold.
pub(super) fn check(records: &Records, changes: &[Change]) -> Result<u64, String> {
    linearizable("kv", &models::kv::Kv::default(), &records.kv)?;
    linearizable("counter", &models::counter::Counter, &records.counters)?;
    holders(&records.holds)?;
    meetings(&records.meetings)?;
    written(&records.kv, changes)?;
    records.watches.iter().try_for_each(|watched| watches(watched, changes))?;
    let watched: usize = records.watches.iter().map(|watched| watched.changes.len()).sum();
    let operations = records.kv.len() + records.counters.len() + records.holds.len() + records.meetings.len();
    Ok((operations + watched) as u64)
}

type Of<M> = Operation<Keyed<String, <M as Model>::Input>, <M as Model>::Output>;

fn linearizable<M: Model>(what: &str, model: &M, operations: &[Of<M>]) -> Result<(), String> {
    match check_by_key(model, operations, Steps::default()) {
        Verdict::Linearizable => Ok(()),
        Verdict::Violation(violation) => Err(format!("{what}: {violation}")),
        Verdict::Undecided => Err(format!("{what}: the search for an order takes too many steps")),
    }
}

/// Nobody holds what another one holds, and a later holder has a larger token.
fn holders(holds: &[Hold]) -> Result<(), String> {
    let mut by_thing = BTreeMap::<_, Vec<&Hold>>::new();
    for hold in holds {
        by_thing.entry(&hold.thing).or_default().push(hold);
    }
    for holds in by_thing.values_mut() {
        holds.sort_by_key(|hold| hold.from);
        for pair in holds.windows(2) {
            let [before, after] = pair else { continue };
            if before.to > after.from {
                return Err(format!("two hold the same at once: {before:?} and {after:?}"));
            }
            if before.token >= after.token {
                return Err(format!("a token does not grow: {before:?}, then {after:?}"));
            }
        }
    }
    Ok(())
}

/// Who met was told of all, once all were there; one that surely never came was not met.
fn meetings(meetings: &[Meeting]) -> Result<(), String> {
    for meeting in meetings {
        let told = [meeting.first, meeting.second];
        let wrong_number = told.iter().flatten().any(|told| *told != PARTIES);
        let too_early = meeting.first.is_ok() && meeting.told < meeting.came;
        let alone = told.contains(&Err(Effect::Never)) && told.iter().any(Result::is_ok);
        if wrong_number || too_early || alone {
            return Err(format!("a meeting that cannot be: {meeting:?}"));
        }
    }
    Ok(())
}

/// Every write that was answered is a change of its revision.
fn written(operations: &[KvOperation], changes: &[Change]) -> Result<(), String> {
    use models::kv::{Input, Output};
    let by_revision: BTreeMap<u64, &Change> =
        changes.iter().map(|change| (change.revision, change)).collect();
    for operation in operations {
        let Outcome::Done(Output::Written { revision, .. }) = &operation.outcome else { continue };
        let (Input::Put(value) | Input::CompareAndSet { value, .. }) = &operation.input.input else {
            continue;
        };
        let expected = Change { revision: *revision, key: operation.input.key.clone(), value: Some(*value) };
        if by_revision.get(revision) != Some(&&expected) {
            return Err(format!("no event tells of {operation}: {:?}", by_revision.get(revision)));
        }
    }
    Ok(())
}

/// A watch delivered every change from its beginning on, once and in order, and its marks tell the
/// truth.
fn watches(watched: &Watched, changes: &[Change]) -> Result<(), String> {
    let expected = &changes[changes.partition_point(|change| change.revision < watched.from)..];
    let client = watched.client;
    if let Some(at) = (0..expected.len().max(watched.changes.len()))
        .find(|at| expected.get(*at) != watched.changes.get(*at))
    {
        return Err(format!(
            "the watch of client {client} from revision {} delivered {:?} and not {:?} as change {at}",
            watched.from,
            watched.changes.get(at),
            expected.get(at)
        ));
    }
    for (revision, before) in &watched.marks {
        let until = expected.partition_point(|change| change.revision <= *revision);
        if until != *before {
            return Err(format!(
                "the watch of client {client} says that it is at revision {revision}, but delivered {before} \
                 and not {until} changes"
            ));
        }
    }
    Ok(())
}

/// Writes what can be checked again to a folder.
pub(super) fn keep(records: &Records, folder: &std::path::Path) {
    let create = |name: &str| std::fs::File::create(folder.join(name));
    let kept = create("kv.jsonl").is_ok_and(|file| write_lines(file, &records.kv).is_ok())
        && create("counter.jsonl").is_ok_and(|file| write_lines(file, &records.counters).is_ok());
    let others = format!("{:#?}\n{:#?}\n{:#?}", records.holds, records.meetings, records.watches);
    let kept = kept && std::fs::write(folder.join("others.txt"), others).is_ok();
    if !kept {
        eprintln!("the records cannot be kept in {}", folder.display());
    }
}

#[cfg(test)]
mod tests;
