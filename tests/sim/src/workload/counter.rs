//! Counters in sessions: each addition takes effect once, however often it is sent.
use synod_abi::CallError;
use synod_checker::models::counter::{Input, Output};
use synod_counter::Counters;

use super::{Sizes, open, pick, think};
use crate::client::{SimClient, SimSession};
use crate::finding::Check;
use crate::record::{Recorder, begin, end};

/// The space.
const SPACE: &str = "counter";

/// Adds for ever, in one session after the other.
pub async fn run(client: SimClient, sizes: Sizes, recorder: Recorder) {
    loop {
        let session = open(&client, sizes, &recorder).await;
        add_while_open(&session, sizes, &recorder).await;
        client.observer().count("session lost");
    }
}

async fn add_while_open(session: &SimSession, sizes: Sizes, recorder: &Recorder) {
    let client = session.client();
    let counters = Counters::client(session, SPACE);
    while session.is_held() {
        let key = pick(client, "n", sizes);
        let input = if client.draw(|dice| dice.happens(250)) { Input::Get } else { Input::Add(1) };
        let place =
            begin(&mut recorder.records().counter, (client.number(), client.stamp()), &key, input.clone());
        let value = match input {
            Input::Get => counters.get(&key).await.map_err(|error| match error {
                CallError::OutcomeUnknown(why) => CallError::Unavailable(why),
                CallError::Unavailable(why) => CallError::Unavailable(why),
                error => CallError::SessionExpired(format!("{error:?}")),
            }),
            _ => counters.add(&key, 1).await,
        };
        let returned = client.stamp();
        match value {
            Ok(value) => {
                client.observer().count("counter operation");
                end(&mut recorder.records().counter[place], returned, Output::Value(value));
            }
            Err(CallError::Unavailable(_)) => recorder.records().counter[place] = None,
            Err(CallError::OutcomeUnknown(_) | CallError::SessionExpired(_)) => {
                client.observer().count("counter operation of unknown outcome");
            }
            Err(error) => {
                client
                    .observer()
                    .found(Check::Witness, format!("an answer that counters do not give: {error:?}"));
            }
        }
        think(client, sizes).await;
    }
}
