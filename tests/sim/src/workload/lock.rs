//! Locks that clients wait for, hold for a while, and release; some die with them.
use std::time::Duration;

use synod_abi::CallError;
use synod_lock::{Lock, LockError};

use super::hold::hold;
use super::{Sizes, open, pick, think};
use crate::client::{SimClient, SimSession};
use crate::finding::Check;
use crate::record::Recorder;

/// The space.
const SPACE: &str = "lock";
/// Of a thousand acquisitions, how many wait for a limited time,
const LIMITED_PER_MILLE: u64 = 300;
/// and for how long at most, in milliseconds.
const WAITS_MS: u64 = 500;

/// Acquires and releases for ever, in one session after the other.
pub async fn run(client: SimClient, sizes: Sizes, recorder: Recorder) {
    loop {
        let session = open(&client, sizes, &recorder).await;
        hold_while_open(&session, sizes, &recorder).await;
        client.observer().count("session lost");
    }
}

async fn hold_while_open(session: &SimSession, sizes: Sizes, recorder: &Recorder) {
    let client = session.client();
    let locks = Lock::client(session, SPACE);
    while session.is_held() {
        let name = pick(client, "l", sizes);
        let wait_ms = client.draw(|dice| dice.happens(LIMITED_PER_MILLE).then(|| dice.between(20, WAITS_MS)));
        let asked = client.stamp();
        let acquired = match wait_ms {
            Some(wait_ms) => locks.waiting_ms(wait_ms).acquire(&name, None).await,
            None => locks.acquire(&name, None).await,
        };
        match acquired {
            Ok(held) => {
                if !session.is_held() {
                    return;
                }
                client.observer().count("lock acquired");
                if !hold(session, recorder, &name, held.token.0).await {
                    return;
                }
                match locks.release(&name, None).await {
                    Ok(_) | Err(CallError::Unavailable(_) | CallError::OutcomeUnknown(_)) => {}
                    Err(CallError::SessionExpired(_)) => return,
                    Err(CallError::Rejected(LockError::NotHeld)) if !session.is_held() => return,
                    Err(error) => client
                        .observer()
                        .found(Check::Fencing, format!("a lock that was held is not released: {error:?}")),
                }
            }
            Err(CallError::Unavailable(_) | CallError::OutcomeUnknown(_)) => {}
            Err(CallError::SessionExpired(_)) => return,
            Err(CallError::WaitTimeout) if wait_ms.is_some() => {
                timed_out(client, Duration::from_nanos(client.stamp() - asked), wait_ms.unwrap_or_default());
            }
            Err(error) => client
                .observer()
                .found(Check::Witness, format!("an answer that locks do not give: {error:?}")),
        }
        think(client, sizes).await;
    }
}

/// A wait has ended with its time: not before it, in cluster time, which runs at most twice as fast
/// as it should while no clock jumps.
fn timed_out(client: &SimClient, waited: Duration, wait_ms: u64) {
    client.observer().count("wait timed out");
    let is_early = waited < Duration::from_millis(wait_ms) / 2;
    if is_early && client.observer().jumps().is_empty() {
        let what = format!("a wait of {wait_ms} ms of c{} timed out after {waited:?}", client.number());
        client.observer().found(Check::Time, what);
    }
}
