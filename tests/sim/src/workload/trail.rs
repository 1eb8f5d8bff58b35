//! The trail that the recipe `audit` keeps of the events of `kv`, read to its end again and again:
//! what its handler did.
use std::time::Duration;

use synod_abi::CallError;
use synod_audit::Audit;
use synod_checker::watch::Event;

use crate::client::SimClient;
use crate::events;
use crate::finding::Check;
use crate::record::Recorder;

/// The space.
const SPACE: &str = "audit";
/// How often it is read.
const EVERY: Duration = Duration::from_millis(200);

/// Binds the trail and reads it for ever. What a client that died had read, its successor knows.
pub async fn run(client: SimClient, recorder: Recorder) {
    while client.bind(SPACE, events::SPACE).await.is_err() {
        client.pause().await;
    }
    let trail = Audit::client(&client, SPACE);
    loop {
        let after = recorder.records().trail.last().map(|(number, _)| *number);
        match trail.trail(after, None).await {
            Ok(page) => {
                let mut records = recorder.records();
                for record in page {
                    client.observer().count("event handled");
                    let event = Event {
                        revision: record.revision.0,
                        number: 0,
                        space: events::SPACE.to_owned(),
                        topic: record.topic,
                        payload: record.payload.0,
                    };
                    records.trail.push((record.number, event));
                }
            }
            Err(CallError::Unavailable(_) | CallError::OutcomeUnknown(_)) => {}
            Err(error) => {
                let what = format!("an answer that a trail does not give: {error:?}");
                client.observer().found(Check::Witness, what);
            }
        }
        client.process().sleep(EVERY).await;
    }
}
