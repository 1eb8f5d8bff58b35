//! Clients without a session that read and write a few keys, each for a while: so a write of
//! unknown outcome stays open for few others.
use synod_checker::history::{Keyed, Operation};
use synod_checker::models::kv::{Input, Output, Row};
use synod_client::CallError;
use synod_kv::{Kv, KvError, Written};
use synod_sdk::prelude::*;

use super::{Desk, Effect, KvOperation, PAUSE};

/// Keys that are used at the same time.
const KEYS: u64 = 8;
/// The value of what no client writes but the round itself.
pub(in crate::chaos) const NOBODYS: u64 = 0;
/// How long they are used.
const EPOCH_NS: u64 = 500_000_000;

pub(super) async fn run(desk: Desk) -> Vec<KvOperation> {
    let mut dice = desk.dice();
    let mut operations = Vec::new();
    let mut count = 0;
    let mut last_read: Option<(String, u64)> = None;
    while !desk.stops() {
        let invoked = desk.now();
        let key = format!("{:05}-{}", invoked / EPOCH_NS, dice.below(KEYS));
        count += 1;
        let value = (u64::from(desk.number) << 32) | count;
        let input = match dice.below(16) {
            0..7 => Input::Put(value),
            7 => Input::Delete,
            8 | 9 => {
                let expected = last_read.as_ref().filter(|(read, _)| *read == key).map_or(0, |(_, at)| *at);
                Input::CompareAndSet { expected, value }
            }
            _ => Input::Get,
        };
        let answer = act(&desk, &key, &input).await;
        let returned = desk.now();
        match answer {
            Ok(output) => {
                if let Output::Row(row) = &output {
                    last_read = Some((key.clone(), row.as_ref().map_or(0, |row| row.revision)));
                }
                let input = Keyed { key, input };
                operations.push(Operation::done(desk.number, invoked, returned, input, output));
            }
            Err(effect) => {
                if effect == Effect::Perhaps && !matches!(input, Input::Get) {
                    operations.push(Operation::unknown(desk.number, invoked, Keyed { key, input }));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    operations
}

async fn act(desk: &Desk, key: &str, input: &Input<u64>) -> Result<Output<u64>, Effect> {
    let kv = Kv::client(&desk.client, "kv");
    let bytes = desk.sizes.value_bytes;
    let written = |Written { revision, version }| Output::Written { revision: revision.0, version };
    Ok(match input {
        Input::Get => Output::Row(kv.get(key).await?.map(read)),
        Input::Put(value) => written(kv.put(key, blob(*value, bytes)).await?),
        Input::Delete | Input::CompareAndDelete { .. } => Output::Deleted(kv.delete(key).await?),
        Input::CompareAndSet { expected, value } => {
            match kv.compare_and_set(key, Revision(*expected), blob(*value, bytes)).await {
                Ok(done) => written(done),
                Err(CallError::Rejected(KvError::Conflict { current })) => {
                    Output::Conflict { current: current.0 }
                }
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// A value, written out so often that it fills so many bytes.
pub(in crate::chaos) fn blob(value: u64, bytes: usize) -> Blob {
    let times = (bytes / size_of::<u64>()).max(1);
    Blob::from(value.to_be_bytes().repeat(times))
}

/// The value that fills these bytes.
///
/// # Panics
/// When they are not one value, again and again.
pub(super) fn value_of(bytes: &[u8]) -> u64 {
    let (values, rest) = bytes.as_chunks::<{ size_of::<u64>() }>();
    let first = values.first().copied().unwrap_or_default();
    let is_whole = rest.is_empty() && !values.is_empty() && values.iter().all(|value| *value == first);
    assert!(is_whole, "nobody wrote this value: {bytes:?}");
    u64::from_be_bytes(first)
}

/// A row as the model has it.
pub(in crate::chaos) fn read(row: synod_kv::Row) -> Row<u64> {
    Row {
        value: value_of(&row.value),
        created: row.create_revision.0,
        revision: row.mod_revision.0,
        version: row.version,
    }
}
