//! Keys and values: writes, reads, conditional writes, on a few keys that all clients share.
use std::collections::BTreeMap;

use synod_abi::{Blob, CallError, Revision};
use synod_checker::models::kv::{Input, Output, Row};
use synod_kv::{Kv, KvError, Written};

use super::{Sizes, pick, think};
use crate::client::SimClient;
use crate::events::SPACE;
use crate::finding::Check;
use crate::record::{Recorder, begin, end};

/// Of a thousand operations, before how many a member's own state is read.
const HERE_PER_MILLE: u64 = 150;

/// Writes and reads for ever.
pub async fn run(client: SimClient, sizes: Sizes, recorder: Recorder) {
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let key = pick(&client, "k", sizes);
        if client.draw(|dice| dice.happens(HERE_PER_MILLE)) {
            read_here(&client, &key).await;
        }
        // No other operation has it, of a client that died neither.
        let value = recorder.records().kv.len() as u64 + 1;
        let expected = known.get(&key).copied().unwrap_or(0);
        let input = match client.draw(|dice| dice.below(10)) {
            0..4 => Input::Get,
            4..7 => Input::Put(value),
            7 => Input::Delete,
            _ => Input::CompareAndSet { expected, value },
        };
        let place = {
            let mut records = recorder.records();
            records.kv_revisions.push(None);
            begin(&mut records.kv, (client.number(), client.stamp()), &key, input.clone())
        };
        let answer = ask(&client, &key, &input).await;
        let returned = client.stamp();
        match answer {
            Ok(output) => {
                client.observer().count("kv operation");
                if let Some(revision) = revision_of(&output) {
                    known.insert(key, revision);
                }
                let mut records = recorder.records();
                let conflict = matches!(output, Output::Conflict { .. });
                if !conflict {
                    records.acknowledged = records.acknowledged.max(client.last_revision());
                    records.kv_revisions[place] = Some(client.last_revision());
                }
                end(&mut records.kv[place], returned, output);
            }
            Err(Lost::NotDone) => recorder.records().kv[place] = None,
            Err(Lost::Unknown) => client.observer().count("kv operation of unknown outcome"),
            Err(Lost::Wrong(what)) => client.observer().found(Check::Witness, what),
        }
        think(&client, sizes).await;
    }
}

/// A read of one member, whose state may be old, but not older than what the client has seen.
async fn read_here(client: &SimClient, key: &str) {
    match Kv::client(&client.reading_here(), SPACE).get(key).await {
        Ok(_) => client.observer().count("read of one member"),
        Err(CallError::Unavailable(_) | CallError::OutcomeUnknown(_)) => {}
        Err(error) => {
            client.observer().found(Check::Witness, format!("an answer that kv does not give: {error:?}"))
        }
    }
}

enum Lost {
    NotDone,
    Unknown,
    Wrong(String),
}

fn lost(error: CallError<KvError>) -> Lost {
    match error {
        CallError::Unavailable(_) => Lost::NotDone,
        CallError::OutcomeUnknown(_) => Lost::Unknown,
        error => Lost::Wrong(format!("an answer that kv does not give: {error:?}")),
    }
}

fn revision_of(output: &Output<u64>) -> Option<u64> {
    match output {
        Output::Row(row) => Some(row.as_ref().map_or(0, |row| row.revision)),
        Output::Written { revision, .. } => Some(*revision),
        Output::Deleted(_) | Output::Removed => Some(0),
        Output::Conflict { current } => Some(*current),
    }
}

fn encoded(value: u64) -> Blob {
    Blob::from(value.to_le_bytes().to_vec())
}

/// The number that a value of this workload is.
///
/// # Panics
/// It is another's.
pub fn decoded(value: &Blob) -> u64 {
    u64::from_le_bytes(value.0.as_slice().try_into().expect("a value that this workload wrote"))
}

fn written(answer: Result<Written, CallError<KvError>>) -> Result<Output<u64>, Lost> {
    match answer {
        Ok(Written { revision, version }) => Ok(Output::Written { revision: revision.0, version }),
        Err(CallError::Rejected(KvError::Conflict { current })) => {
            Ok(Output::Conflict { current: current.0 })
        }
        Err(error) => Err(lost(error)),
    }
}

async fn ask(client: &SimClient, key: &str, input: &Input<u64>) -> Result<Output<u64>, Lost> {
    let kv = Kv::client(client, SPACE);
    match *input {
        Input::Get => {
            let row = kv.get(key).await.map_err(|error| match error {
                CallError::Unavailable(_) | CallError::OutcomeUnknown(_) => Lost::NotDone,
                error => Lost::Wrong(format!("an answer that kv does not give: {error:?}")),
            })?;
            let row = row.map(|row| Row {
                value: decoded(&row.value),
                created: row.create_revision.0,
                revision: row.mod_revision.0,
                version: row.version,
            });
            Ok(Output::Row(row))
        }
        Input::Put(value) => written(kv.put(key, encoded(value)).await),
        Input::CompareAndSet { expected, value } => {
            written(kv.compare_and_set(key, Revision(expected), encoded(value)).await)
        }
        Input::Delete => kv.delete(key).await.map(Output::Deleted).map_err(|error| match error {
            CallError::Unavailable(_) => Lost::NotDone,
            CallError::OutcomeUnknown(_) => Lost::Unknown,
            error => Lost::Wrong(format!("an answer that kv does not give: {error:?}")),
        }),
        Input::CompareAndDelete { .. } => unreachable!("this workload does not draw it"),
    }
}
