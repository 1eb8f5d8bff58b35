//! Having what only one client has at a time, and noting from when until when it was relied on.
use std::time::Duration;

use crate::client::SimSession;
use crate::record::{Holding, Recorder};

/// How long it is held at most.
const HOLD: Duration = Duration::from_millis(300);
/// How often the holder looks whether it may go on.
const STEP: Duration = Duration::from_millis(20);
/// Of a thousand holders, how many stop giving signs of life.
const FORGET_PER_MILLE: u64 = 50;

/// Relies for a while on what the session has of this name, but not beyond its deadline; whether
/// the client still wants it then, or has forgotten its session.
pub(super) async fn hold(session: &SimSession, recorder: &Recorder, name: &str, token: u64) -> bool {
    let client = session.client();
    let now = client.stamp();
    let holding = Holding { client: client.number(), name: name.to_owned(), token, from: now, until: now };
    let place = {
        let mut records = recorder.records();
        records.holdings.push(holding);
        records.holdings.len() - 1
    };
    let end = client.process().now() + client.draw(|dice| dice.duration(Duration::ZERO, HOLD));
    while session.is_held() && client.process().now() < end {
        let (left, relied_on) = (end - client.process().now(), session.relied_on());
        let until = client.stamp() + relied_on.as_nanos() as u64;
        recorder.records().holdings[place].until = until;
        client.process().sleep(left.min(relied_on).clamp(STEP / 20, STEP)).await;
    }
    // A client that stood still meanwhile did nothing with it after its deadline.
    recorder.end_holding(place, client.stamp());
    if client.draw(|dice| dice.happens(FORGET_PER_MILLE)) {
        session.forget();
        client.observer().count("client forgot its session");
        return false;
    }
    true
}
