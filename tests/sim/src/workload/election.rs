//! Elections: clients campaign, lead for a while, proclaim, and resign; some die as leaders. Who
//! leads asks now and then whether it does.
use synod_abi::{Blob, CallError};
use synod_election::{Election, ElectionError};

use super::hold::hold;
use super::{Sizes, open, pick, think};
use crate::client::{SimClient, SimSession};
use crate::finding::Check;
use crate::record::Recorder;

/// The space.
const SPACE: &str = "election";

/// Campaigns and leads for ever, in one session after the other.
pub async fn run(client: SimClient, sizes: Sizes, recorder: Recorder) {
    loop {
        let session = open(&client, sizes, &recorder).await;
        campaign_while_open(&session, sizes, &recorder).await;
        client.observer().count("session lost");
    }
}

async fn campaign_while_open(session: &SimSession, sizes: Sizes, recorder: &Recorder) {
    let client = session.client();
    let elections = Election::client(session, SPACE);
    // A name of this session alone: an earlier one of the same client may still be in the line.
    let candidate = format!("c{} {:?}", client.number(), session.id());
    while session.is_held() {
        let election = pick(client, "e", sizes);
        let led = match elections.campaign(&election, &candidate, Blob::from("here")).await {
            Ok(leadership) => leadership.token,
            Err(CallError::Unavailable(_) | CallError::OutcomeUnknown(_)) => continue,
            Err(CallError::SessionExpired(_)) => return,
            Err(error) => {
                client
                    .observer()
                    .found(Check::Witness, format!("nobody is to hear of a campaign: {error:?}"));
                return;
            }
        };
        if !session.is_held() {
            return;
        }
        client.observer().count("election won");
        if client.draw(|dice| dice.happens(300)) {
            let current = elections.is_current(&election, led).await;
            if matches!(current, Ok(false)) && session.is_held() {
                let what = format!("c{} relies on leading {election}, and does not", client.number());
                client.observer().found(Check::Fencing, what);
            }
        }
        if client.draw(|dice| dice.happens(300)) {
            conclude(session, elections.proclaim(&election, led, Blob::from("still here")).await);
        }
        if !hold(session, recorder, &election, led.0).await {
            return;
        }
        conclude(session, elections.resign(&election, led).await);
        think(client, sizes).await;
    }
}

/// What is said to a leader: that it leads, unless its session may have ended.
fn conclude(session: &SimSession, answer: Result<(), CallError<ElectionError>>) {
    let excused = match &answer {
        Ok(()) => true,
        Err(CallError::Unavailable(_) | CallError::OutcomeUnknown(_) | CallError::SessionExpired(_)) => true,
        Err(_) => !session.is_held(),
    };
    if !excused {
        let what = format!("a leader is told that it does not lead: {answer:?}");
        session.client().observer().found(Check::Fencing, what);
    }
}
