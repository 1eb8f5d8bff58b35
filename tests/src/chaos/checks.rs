//! What must hold after a round, of what its clients recorded.
//!
//! Linearizability, the log as a witness, and watches are the checkers' crate's: the log is what a
//! watch from the oldest event on tells after the round. Holders and meetings need no search.
use std::collections::BTreeMap;

use synod_checker::history::{Keyed, Operation, Outcome, write_lines};
use synod_checker::linear::{Steps, Verdict, check_by_key};
use synod_checker::model::Model;
use synod_checker::models;
use synod_checker::watch::{self, Claims, Seen, Truth, Watch};
use synod_checker::witness::{self, Logged, Place, Witnessed};
use synod_client::Client;
use synod_kv::Kv;

use super::load::{Change, Changed, Effect, Hold, KvOperation, Meeting, NOBODYS, PARTIES, Records, read};

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
    watches(&records.watches, changes)?;
    let seen = records.watches.iter().flat_map(|watch| &watch.streams).flat_map(|stream| &stream.seen);
    let watched: usize =
        seen.map(|seen| if let Seen::Events { events, .. } = seen { events.len() } else { 0 }).sum();
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

/// The changes are those that clients were told of or know nothing of, each once, at the revision
/// and with the answer that was told, in an order that agrees with time; and no others. Values are
/// written once, so a value tells whose write it was.
fn written(operations: &[KvOperation], changes: &[Change]) -> Result<(), String> {
    use models::kv::{Input, Output};
    let mut inputs = BTreeMap::new();
    let mut sent = Vec::new();
    for operation in operations {
        let (Input::Put(id) | Input::CompareAndSet { value: id, .. }) = operation.input.input else {
            continue;
        };
        let place = match &operation.outcome {
            Outcome::Done(Output::Written { revision, .. }) => Some(Place::Write(*revision)),
            Outcome::Unknown => None,
            Outcome::Done(_) => continue,
        };
        inputs.insert(id, operation.input.input.clone());
        sent.push(Witnessed { id, operation: operation.clone(), place });
    }
    let logged = |Change { revision, topic, payload, .. }: &Change| {
        let (id, input) = match payload.value {
            None => (None, Input::Delete),
            Some(NOBODYS) => (None, Input::Put(NOBODYS)),
            Some(value) => (Some(value), inputs.get(&value).cloned().unwrap_or(Input::Put(value))),
        };
        Logged { revision: *revision, id, input: Keyed { key: topic.clone(), input } }
    };
    let log: Vec<_> = changes.iter().map(logged).collect();
    witness::check_by_key(&models::kv::Kv::default(), &log, &sent).map_err(|why| format!("kv: {why}"))
}

/// Every watch delivered every change from its beginning on, once and in order, and what it said of
/// its progress is true.
fn watches(watches: &[Watch<Changed>], changes: &[Change]) -> Result<(), String> {
    let truth = Truth { events: changes.to_vec(), compacted: BTreeMap::new() };
    let claims = |Changed { value, is_create }: &Changed| Claims {
        value: *value,
        is_create: *is_create,
        previous: None,
    };
    watch::check(&truth, watches, claims).map_err(|why| why.to_string())
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
