//! `watch-load`: what watches cost writers. The same writes run without watches, with them, and
//! without again, within one run, because machines and disks vary between runs.
//!
//! There are two kinds of writes: `put` of kv at a fixed rate, whose events the watches share; and
//! `add` of counter by clients in a closed loop, which emit nothing and use the rest of the
//! machine. The throughput of the latter is compared.
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use synod_client::Client;

use super::histogram::Histogram;
use super::load::{self, Outcome};
use super::measured::{Measured, milliseconds, rate};
use super::paced;
use super::watchers::{Board, Watchers};
use super::workload::{Caller, Putter};
use crate::cli::io::fail::Failed;
use crate::cli::io::progress::Spinner;
use crate::cli::io::table::table;

/// Prefix of the topics.
const PREFIX: &str = "bench-load-";

/// The parameters of the measurement.
pub(super) struct WatchLoad {
    /// How many watches.
    pub(super) watchers: usize,
    /// How many of them each event matches.
    pub(super) matching: usize,
    /// Over how many connections.
    pub(super) connections: usize,
    /// Events a second.
    pub(super) events_per_second: u64,
    /// Before the first phase.
    pub(super) warmup: Duration,
    /// Of each phase.
    pub(super) length: Duration,
    /// How often watches come and go.
    pub(super) rounds: u64,
}

/// One phase.
struct Phase {
    watched: bool,
    writes: Outcome,
    puts: Outcome,
    receipts: Histogram,
}

impl Phase {
    fn writes_per_second(&self) -> f64 {
        rate(self.writes.latencies.total(), self.writes.elapsed.as_secs_f64())
    }
}

impl WatchLoad {
    /// Measures, with the watches at the member at `address`.
    pub(super) async fn run(
        &self,
        client: &Client,
        address: &str,
        putter: &Arc<Putter>,
        callers: &[Arc<Caller>],
    ) -> Result<Measured, Failed> {
        let board = Board::new(PREFIX, (self.watchers / self.matching.max(1)).max(1));
        self.phase(client, &board, putter, callers, self.warmup, false).await?;
        let mut phases = vec![self.phase(client, &board, putter, callers, self.length, false).await?];
        for _ in 0..self.rounds {
            let watchers = {
                let _spinner = Spinner::new(format!("opening {} watches", self.watchers));
                Watchers::open(address, putter.space(), &board, self.watchers, self.connections).await?
            };
            let watched = self.phase(client, &board, putter, callers, self.length, true).await;
            watchers.close().await;
            phases.push(watched?);
            phases.push(self.phase(client, &board, putter, callers, self.length, false).await?);
        }
        Ok(self.report(&phases))
    }

    async fn phase(
        &self,
        client: &Client,
        board: &Arc<Board>,
        putter: &Arc<Putter>,
        callers: &[Arc<Caller>],
        length: Duration,
        watched: bool,
    ) -> Result<Phase, Failed> {
        let before = board.received();
        drop(board.take_latencies());
        let putting = paced::put(
            client.clone(),
            Arc::clone(board),
            Arc::clone(putter),
            self.events_per_second,
            Instant::now() + length,
        );
        let putting = tokio::spawn(putting);
        let writes = load::run(callers, length).await?;
        let puts = putting.await.map_err(|error| load::broken(&error))?;
        if watched {
            board.reach(before + puts.latencies.total() * self.matching as u64).await?;
        }
        Ok(Phase { watched, writes, puts, receipts: board.take_latencies() })
    }

    fn report(&self, phases: &[Phase]) -> Measured {
        let without = mean_writes(phases, false);
        let with = mean_writes(phases, true);
        let slowdown = if without > 0.0 { 100.0 * (1.0 - with / without) } else { 0.0 };
        let rows = phases.iter().map(|phase| self.row(phase));
        let columns =
            ["WATCHERS>", "WRITES/S>", "P50 / P99>", "EVENTS/S>", "P50 / P99>", "RECEIPTS>", "P50 / P99>"];
        let text = format!(
            "watch-load: {} events a second to {} of {} watchers each, over {} connections\n\n{}\n\nwrites \
                slow by {slowdown:.1} %",
            self.events_per_second,
            self.matching,
            self.watchers,
            self.connections,
            table(columns, rows)
        );
        let mut all = Outcome::default();
        for phase in phases {
            all.merge(phase.writes.clone());
            all.merge(phase.puts.clone());
        }
        let json = json!({
            "workload": "watch-load",
            "watchers": self.watchers,
            "matching": self.matching,
            "connections": self.connections,
            "wanted_events_per_second": self.events_per_second,
            "slowdown_percent": slowdown,
            "phases": phases.iter().map(phase_json).collect::<Vec<_>>(),
            "rejected": all.rejected,
            "unavailable": all.unavailable,
            "outcome_unknown": all.unknown,
            "errors": all.errors,
        });
        Measured { json, text, calls: all.latencies.total(), errors: all.errors }
    }

    fn row(&self, phase: &Phase) -> [String; 7] {
        let puts = &phase.puts.latencies;
        let watchers = if phase.watched { self.watchers } else { 0 };
        [
            watchers.to_string(),
            format!("{:.0}", phase.writes_per_second()),
            times_text(&phase.writes.latencies),
            format!("{:.0}", rate(puts.total(), phase.puts.elapsed.as_secs_f64())),
            times_text(puts),
            phase.receipts.total().to_string(),
            times_text(&phase.receipts),
        ]
    }
}

/// Mean of the writes a second in the phases with or without watches.
fn mean_writes(phases: &[Phase], watched: bool) -> f64 {
    let rates: Vec<_> =
        phases.iter().filter(|phase| phase.watched == watched).map(Phase::writes_per_second).collect();
    rates.iter().sum::<f64>() / rate(rates.len() as u64, 1.0)
}

/// Median and 99th percentile; empty without any.
fn times_text(histogram: &Histogram) -> String {
    if histogram.total() == 0 {
        return String::new();
    }
    let [p50, p99] = [500, 990].map(|per_mille| milliseconds(histogram.quantile(per_mille)));
    format!("{p50} / {p99}")
}

fn phase_json(phase: &Phase) -> Value {
    json!({
        "watched": phase.watched,
        "writes_per_second": phase.writes_per_second(),
        "events_per_second": rate(phase.puts.latencies.total(), phase.puts.elapsed.as_secs_f64()),
        "writes": times_json(&phase.writes.latencies),
        "puts": times_json(&phase.puts.latencies),
        "receipts": times_json(&phase.receipts),
    })
}

fn times_json(histogram: &Histogram) -> Value {
    json!({
        "count": histogram.total(),
        "p50_us": histogram.quantile(500),
        "p99_us": histogram.quantile(990),
    })
}

#[cfg(test)]
mod tests;
