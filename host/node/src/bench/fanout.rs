//! `watch-fanout`: one event to many watches, one event at a time. Measures the time from sending
//! the call that emits the event to each receipt, and reports the call's own latency beside it.
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use synod_client::Client;

use super::histogram::Histogram;
use super::measured::{Measured, milliseconds};
use super::watchers::{Board, Watchers};
use super::workload::Putter;
use crate::cli::io::fail::Failed;
use crate::cli::io::progress::Spinner;
use crate::cli::values::units::micros;

/// Prefix of the topics.
const PREFIX: &str = "bench-fanout-";

/// The parameters of the measurement.
pub(super) struct Fanout {
    /// How many watches.
    pub(super) watchers: usize,
    /// Over how many connections.
    pub(super) connections: usize,
    /// Before measuring.
    pub(super) warmup: Duration,
    /// How long.
    pub(super) length: Duration,
}

/// Times of one phase.
#[derive(Default)]
struct Times {
    calls: Histogram,
    receipts: Histogram,
    /// Until the last watcher of an event had it.
    last: Histogram,
}

impl Fanout {
    /// Measures, with the watches at the member at `address`.
    pub(super) async fn run(
        &self,
        client: &Client,
        address: &str,
        putter: &Putter,
    ) -> Result<Measured, Failed> {
        let board = Board::new(PREFIX, 1);
        let watchers = {
            let _spinner = Spinner::new(format!("opening {} watches", self.watchers));
            Watchers::open(address, putter.space(), &board, self.watchers, self.connections).await?
        };
        let times = async {
            let _spinner = Spinner::new("measuring");
            self.rounds(client, &board, putter, self.warmup).await?;
            self.rounds(client, &board, putter, self.length).await
        };
        let times = times.await;
        watchers.close().await;
        Ok(self.report(&times?))
    }

    async fn rounds(
        &self,
        client: &Client,
        board: &Arc<Board>,
        putter: &Putter,
        length: Duration,
    ) -> Result<Times, Failed> {
        let mut times = Times::default();
        let end = Instant::now() + length;
        let mut expected = board.received();
        drop(board.take_latencies());
        while Instant::now() < end {
            expected += self.watchers as u64;
            let sent = Instant::now();
            board.send(0);
            putter.put(client, &board.topic(0)).await?;
            times.calls.add(micros(sent.elapsed()));
            board.reach(expected).await?;
            times.last.add(micros(sent.elapsed()));
        }
        times.receipts = board.take_latencies();
        Ok(times)
    }

    fn report(&self, Times { calls, receipts, last }: &Times) -> Measured {
        let line = |name: &str, histogram: &Histogram| {
            let [p50, p99, max] =
                [histogram.quantile(500), histogram.quantile(990), histogram.max()].map(milliseconds);
            format!("{name:<28} p50 {p50}   p99 {p99}   max {max}\n")
        };
        let json = |histogram: &Histogram| -> Value {
            json!({
                "p50_us": histogram.quantile(500),
                "p99_us": histogram.quantile(990),
                "max_us": histogram.max(),
            })
        };
        let Self { watchers, connections, .. } = self;
        let events = calls.total();
        let text = format!(
            "watch-fanout of one event to {watchers} watchers over {connections} connections, {events} \
                events, {} receipts\n\n{}{}{}",
            receipts.total(),
            line("from call to each receipt", receipts),
            line("from call to the last one", last),
            line("the call itself", calls),
        );
        let json = json!({
            "workload": "watch-fanout",
            "watchers": watchers,
            "connections": connections,
            "events": events,
            "receipts": receipts.total(),
            "each": json(receipts),
            "last": json(last),
            "call": json(calls),
        });
        Measured { json, text, calls: events, errors: Vec::new() }
    }
}
