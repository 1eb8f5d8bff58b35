//! The report of a run, as text and as JSON: outcomes and latencies of calls, and what they cost
//! each member.
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use synod_client::api::StatusReply;

use super::args::BenchArgs;
use super::load::{Outcome, WINDOW};
use super::measured::{Measured, milliseconds, rate, ratio};
use super::workload::Kind;
use crate::cli::io::table::table;
use crate::cli::values::units::{in_seconds, ms};

/// What one member did during the run.
#[derive(Clone, Debug, PartialEq)]
struct MemberCost {
    name: String,
    fsyncs_per_second: f64,
    entries: u64,
    commands: u64,
}

impl MemberCost {
    /// Commands per entry: how well batching works.
    fn commands_per_entry(&self) -> f64 {
        ratio(self.commands, self.entries)
    }
}

/// The numbers of a run.
pub(super) struct Report {
    workload: String,
    unit: &'static str,
    /// Of idle sessions.
    pub(super) ttl: Option<Duration>,
    space: String,
    clients: u64,
    seconds: f64,
    value_bytes: Option<u64>,
    calls: u64,
    /// Calls a second in each whole window of the run.
    windows: Vec<f64>,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
    rejected: u64,
    unavailable: u64,
    unknown: u64,
    errors: Vec<String>,
    members: Vec<MemberCost>,
}

impl Report {
    pub(super) fn measured(self) -> Measured {
        Measured { json: self.json(), text: self.text(), calls: self.calls, errors: self.errors }
    }

    pub(super) fn new(
        args: &BenchArgs,
        space: &str,
        outcome: &Outcome,
        before: &StatusReply,
        after: &StatusReply,
    ) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let members = after.members.iter().filter(|member| member.reachable).filter_map(|member| {
            let earlier =
                before.members.iter().find(|earlier| earlier.id == member.id && earlier.reachable)?;
            Some(MemberCost {
                name: member.name.clone(),
                fsyncs_per_second: rate(member.fsyncs.saturating_sub(earlier.fsyncs), seconds),
                entries: member.entries_applied.saturating_sub(earlier.entries_applied),
                commands: member.commands_applied.saturating_sub(earlier.commands_applied),
            })
        });
        Self {
            workload: args
                .workload
                .to_possible_value()
                .map(|value| value.get_name().to_owned())
                .unwrap_or_default(),
            unit: args.workload.unit(),
            ttl: None,
            space: space.to_owned(),
            clients: args.clients,
            seconds,
            value_bytes: (args.workload == Kind::KvPut).then_some(args.value_bytes),
            calls: outcome.latencies.total(),
            windows: windows(outcome),
            p50_us: outcome.latencies.quantile(500),
            p99_us: outcome.latencies.quantile(990),
            max_us: outcome.latencies.max(),
            rejected: outcome.rejected,
            unavailable: outcome.unavailable,
            unknown: outcome.unknown,
            errors: outcome.errors.clone(),
            members: members.collect(),
        }
    }

    fn text(&self) -> String {
        let value = self.value_bytes.map(|bytes| format!(" of {bytes} bytes")).unwrap_or_default();
        let of = match self.ttl {
            Some(ttl) => format!("{} sessions, time to live {}", self.clients, in_seconds(ms(ttl))),
            None => format!("on space {}, {} clients", self.space, self.clients),
        };
        let unit = self.unit;
        let mut text = format!(
            "{}{value} {of}, {:.1} s\n\n{:.0} {unit}/s   p50 {}   p99 {}   max {}\n{} {unit}, {} rejected, \
                {} unavailable, {} with unknown outcome\n",
            self.workload,
            self.seconds,
            rate(self.calls, self.seconds),
            milliseconds(self.p50_us),
            milliseconds(self.p99_us),
            milliseconds(self.max_us),
            self.calls,
            self.rejected,
            self.unavailable,
            self.unknown,
        );
        if self.ttl.is_some() {
            text.push_str(&format!(
                "{:.3} messages/s for each session, and as many answers\n",
                self.per_session()
            ));
        }
        if self.windows.len() > 1 {
            let windows: Vec<_> = self.windows.iter().map(|rate| format!("{rate:.0}")).collect();
            let (seconds, windows) = (WINDOW.as_secs(), windows.join("  "));
            text.push_str(&format!("{unit}/s in each {seconds} s: {windows}\n"));
        }
        for error in &self.errors {
            text.push_str(&format!("  error: {error}\n"));
        }
        let rows = self.members.iter().map(|member| {
            let per_entry = format!("{:.1}", member.commands_per_entry());
            [
                member.name.clone(),
                format!("{:.0}", member.fsyncs_per_second),
                member.entries.to_string(),
                member.commands.to_string(),
                per_entry,
            ]
        });
        format!("{text}\n{}", table(["MEMBER", "FSYNCS/S>", "ENTRIES>", "COMMANDS>", "CALLS/ENTRY>"], rows))
    }

    fn per_session(&self) -> f64 {
        rate(self.calls, self.seconds * rate(self.clients, 1.0))
    }

    fn json(&self) -> Value {
        let members = self.members.iter().map(|member| {
            json!({
                "name": member.name,
                "fsyncs_per_second": member.fsyncs_per_second,
                "entries": member.entries,
                "commands": member.commands,
                "calls_per_entry": member.commands_per_entry(),
            })
        });
        json!({
            "workload": self.workload,
            "space": self.space,
            "clients": self.clients,
            "seconds": self.seconds,
            "value_bytes": self.value_bytes,
            "unit": self.unit,
            "ttl_ms": self.ttl.map(ms),
            "messages_per_second_per_session": self.ttl.map(|_| self.per_session()),
            "calls": self.calls,
            "calls_per_second": rate(self.calls, self.seconds),
            "window_seconds": WINDOW.as_secs(),
            "calls_per_second_in_windows": self.windows,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "max_us": self.max_us,
            "rejected": self.rejected,
            "unavailable": self.unavailable,
            "outcome_unknown": self.unknown,
            "errors": self.errors,
            "members": members.collect::<Vec<_>>(),
        })
    }
}

/// Calls a second in each window that the run had time for.
fn windows(outcome: &Outcome) -> Vec<f64> {
    let whole = outcome.elapsed.as_secs() / WINDOW.as_secs();
    let counts = outcome.windows.iter().copied().chain(std::iter::repeat(0));
    counts.zip(0..whole).map(|(calls, _)| rate(calls, WINDOW.as_secs_f64())).collect()
}

#[cfg(test)]
mod tests;
