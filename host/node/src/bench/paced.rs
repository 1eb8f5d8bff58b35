//! `put` at a fixed rate, independent of how fast calls are answered: the load whose events are
//! watched.
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use synod_client::{Client, RawError};

use super::load::Outcome;
use super::watchers::Board;
use super::workload::Putter;
use crate::cli::values::units::micros;

/// Calls in flight; beyond that it falls behind.
const IN_FLIGHT: usize = 1_024;
/// How finely the calls are spread.
const BEAT: Duration = Duration::from_millis(2);

/// Puts to the board's topics in turn, `rate` a second until `end`.
pub(super) async fn put(
    client: Client,
    board: Arc<Board>,
    putter: Arc<Putter>,
    rate: u64,
    end: Instant,
) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome::default();
    let mut next = 0_u64;
    let mut running = FuturesUnordered::new();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            now = beat.tick() => {
                let now = now.into_std();
                if now >= end {
                    break;
                }
                while running.len() < IN_FLIGHT && due(next, rate, now.saturating_duration_since(began)) {
                    let number = usize::try_from(next).unwrap_or_default();
                    running.push(one(&client, &board, &putter, number));
                    next += 1;
                }
            }
            Some(done) = running.next(), if !running.is_empty() => outcome.add(done),
        }
    }
    while let Some(done) = running.next().await {
        outcome.add(done);
    }
    outcome.elapsed = began.elapsed();
    outcome
}

async fn one(client: &Client, board: &Board, putter: &Putter, number: usize) -> Result<u64, RawError> {
    let sent = Instant::now();
    board.send(number);
    putter.try_put(client, &board.topic(number)).await.map(|()| micros(sent.elapsed()))
}

/// Whether the call with this number is due after so long.
fn due(number: u64, rate: u64, after: Duration) -> bool {
    u128::from(number) * 1_000_000_000 <= after.as_nanos() * u128::from(rate)
}

#[cfg(test)]
mod tests;
