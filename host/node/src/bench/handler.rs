//! `handler`: the cost of a bound handler per call. One run puts to a space of its own without a
//! handler, with `audit` bound to it, and without again.
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use synod_client::Client;
use synod_client::api::{Binding, OnFailure};

use super::load::{self, Outcome};
use super::measured::{Measured, milliseconds, rate};
use super::workload::Caller;
use crate::cli::io::fail::Failed;
use crate::cli::io::table::table;

/// The space that is written to.
pub(super) const SOURCE: &str = "synod-bench/kv";
/// The space whose handler runs.
pub(super) const HANDLER: &str = "synod-bench/audit";

/// The binding that is measured: every event, as strict as can be.
pub(super) fn binding() -> Binding {
    Binding {
        space: HANDLER.to_owned(),
        source: SOURCE.to_owned(),
        prefix: true,
        on_failure: OnFailure::Reject.into(),
        ..Binding::default()
    }
}

/// Measures `callers`, which put to [`SOURCE`].
pub(super) async fn run(
    client: &Client,
    callers: &[Arc<Caller>],
    warmup: Duration,
    length: Duration,
) -> Result<Measured, Failed> {
    if !warmup.is_zero() {
        load::run(callers, warmup).await?;
    }
    let before = load::run(callers, length).await?;
    client.bind_space(binding()).await?;
    let bound = load::run(callers, length).await?;
    client.unbind_space(binding()).await?;
    let after = load::run(callers, length).await?;
    Ok(report(callers.len(), &[(false, before), (true, bound), (false, after)]))
}

fn calls_per_second(outcome: &Outcome) -> f64 {
    rate(outcome.latencies.total(), outcome.elapsed.as_secs_f64())
}

fn report(clients: usize, phases: &[(bool, Outcome)]) -> Measured {
    let mean_us = |bound: bool| {
        let phases: Vec<_> = phases
            .iter()
            .filter(|phase| phase.0 == bound)
            .map(|(_, outcome)| calls_per_second(outcome))
            .collect();
        let calls_per_second = phases.iter().sum::<f64>() / rate(phases.len() as u64, 1.0);
        if calls_per_second > 0.0 { 1e6 / calls_per_second } else { 0.0 }
    };
    let cost_us = mean_us(true) - mean_us(false);
    let rows = phases.iter().map(|(bound, outcome)| {
        let [p50, p99] = [500, 990].map(|per_mille| milliseconds(outcome.latencies.quantile(per_mille)));
        [
            if *bound { "audit" } else { "none" }.to_owned(),
            format!("{:.0}", calls_per_second(outcome)),
            p50,
            p99,
        ]
    });
    let text = format!(
        "handler: put of kv, {clients} clients\n\n{}\n\na bound audit costs {cost_us:.1} us a call of the \
            cluster's time",
        table(["HANDLER", "CALLS/S>", "P50>", "P99>"], rows)
    );
    let mut all = Outcome::default();
    phases.iter().for_each(|(_, outcome)| all.merge(outcome.clone()));
    let phases = phases.iter().map(|(bound, outcome)| {
        json!({
            "bound": bound,
            "calls_per_second": calls_per_second(outcome),
            "calls": outcome.latencies.total(),
            "p50_us": outcome.latencies.quantile(500),
            "p99_us": outcome.latencies.quantile(990),
        })
    });
    let json = json!({
        "workload": "handler",
        "clients": clients,
        "cost_us_per_call": cost_us,
        "phases": phases.collect::<Vec<_>>(),
        "rejected": all.rejected,
        "unavailable": all.unavailable,
        "outcome_unknown": all.unknown,
        "errors": all.errors,
    });
    Measured { json, text, calls: all.latencies.total(), errors: all.errors }
}

#[cfg(test)]
mod tests;
