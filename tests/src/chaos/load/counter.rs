//! Clients that count in sessions, which have each call take effect once, whatever fails; and read
//! without one.
use std::time::Duration;

use synod_checker::history::{Keyed, Operation};
use synod_checker::models::counter::{Input, Output};
use synod_counter::Counters;

use super::{CounterOperation, Desk, Effect, PAUSE};

/// Counters.
const COUNTERS: u64 = 3;
/// Longer than any disturbance, so that few outcomes are lost with their session.
const TTL: Duration = Duration::from_secs(20);

pub(super) async fn run(desk: Desk) -> Vec<CounterOperation> {
    let mut operations = Vec::new();
    let mut dice = desk.dice();
    while let Some(session) = desk.session(TTL).await {
        let in_session = Counters::client(&session, "counter");
        let without = Counters::client(&desk.client, "counter");
        while !desk.stops() && !session.is_lost() {
            let key = format!("counter-{}", dice.below(COUNTERS));
            let invoked = desk.now();
            let reads = dice.one_in(4);
            let input = if reads { Input::Get } else { Input::Add(1) };
            let answer = if reads {
                without.get(key.as_str()).await.map_err(Effect::from)
            } else {
                in_session.add(key.as_str(), 1).await.map_err(Effect::from)
            };
            let returned = desk.now();
            let input = Keyed { key, input };
            match answer {
                Ok(value) => {
                    let output = Output::Value(value);
                    operations.push(Operation::done(desk.number, invoked, returned, input, output));
                }
                Err(effect) => {
                    if effect == Effect::Perhaps && !reads {
                        operations.push(Operation::unknown(desk.number, invoked, input));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let _expires = session.close().await;
    }
    operations
}
