//! Runs a workload with many clients for some time and counts outcomes and latencies.
use std::sync::Arc;
use std::time::{Duration, Instant};

use synod_client::RawError;
use tokio::task::JoinSet;

use super::histogram::Histogram;
use super::workload::Caller;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::progress::seconds_bar;
use crate::cli::values::units::micros;

/// Different error messages that are kept for the report.
const KEPT_ERRORS: usize = 5;
/// A run is also counted in parts of this length, which shows whether it gets slower.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// The counts and latencies of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Latencies of what succeeded.
    pub(crate) latencies: Histogram,
    /// How many of them succeeded in each [`WINDOW`] since the run began.
    pub(crate) windows: Vec<u64>,
    /// Requests that were rejected.
    pub(crate) rejected: u64,
    /// Requests that were surely not applied.
    pub(crate) unavailable: u64,
    /// Requests whose outcome is unknown.
    pub(crate) unknown: u64,
    /// Some of the errors.
    pub(crate) errors: Vec<String>,
    /// How long it took.
    pub(crate) elapsed: Duration,
}

impl Outcome {
    pub(crate) fn merge(&mut self, other: Self) {
        self.latencies.merge(&other.latencies);
        if self.windows.len() < other.windows.len() {
            self.windows.resize(other.windows.len(), 0);
        }
        self.windows.iter_mut().zip(&other.windows).for_each(|(mine, theirs)| *mine += theirs);
        self.rejected += other.rejected;
        self.unavailable += other.unavailable;
        self.unknown += other.unknown;
        other.errors.into_iter().for_each(|error| self.keep(error));
    }

    fn keep(&mut self, error: String) {
        if self.errors.len() < KEPT_ERRORS && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Counts a request that was rejected.
    pub(crate) fn rejected(&mut self, why: String) {
        self.rejected += 1;
        self.keep(why);
    }

    /// Counts a request that was surely not applied.
    pub(crate) fn unavailable(&mut self, why: String) {
        self.unavailable += 1;
        self.keep(why);
    }

    fn unknown(&mut self, why: String) {
        self.unknown += 1;
        self.keep(why);
    }

    /// Counts a call: its latency in microseconds, or its error.
    pub(crate) fn add(&mut self, called: Result<u64, RawError>) {
        match called {
            Ok(micros) => self.latencies.add(micros),
            Err(error) => self.count(&error),
        }
    }

    /// Counts a success so long after the run began.
    fn count_at(&mut self, since_begin: Duration) {
        let window = usize::try_from(since_begin.as_secs() / WINDOW.as_secs()).unwrap_or(usize::MAX);
        if self.windows.len() <= window {
            self.windows.resize(window + 1, 0);
        }
        self.windows[window] += 1;
    }

    fn count(&mut self, error: &RawError) {
        match error {
            RawError::Rejected(refusal) => {
                self.rejected(format!("the recipe refused with code {}", refusal.code))
            }
            RawError::Fault { message, .. } => self.rejected(message.clone()),
            RawError::Unreadable { .. } => self.rejected(format!("{error}")),
            RawError::WaitTimeout => self.rejected("a call waited in vain".to_owned()),
            RawError::Unavailable(message) => self.unavailable(message.clone()),
            RawError::OutcomeUnknown(message) | RawError::SessionExpired(message) => {
                self.unknown(message.clone())
            }
        }
    }
}

/// Runs every caller for `length`, each with one request at a time.
pub(crate) async fn run(callers: &[Arc<Caller>], length: Duration) -> Result<Outcome, Failed> {
    let began = Instant::now();
    let end = began + length;
    let mut running = JoinSet::new();
    for caller in callers {
        let caller = Arc::clone(caller);
        running.spawn(async move { call_until(&caller, began, end).await });
    }
    let bar = tokio::spawn(show_time(length));
    let mut outcome = Outcome::default();
    while let Some(done) = running.join_next().await {
        outcome.merge(done.map_err(|error| broken(&error))?);
    }
    outcome.elapsed = began.elapsed();
    bar.abort();
    Ok(outcome)
}

/// The failure of a benchmark whose task panicked.
pub(crate) fn broken(error: &tokio::task::JoinError) -> Failed {
    Failed::new(Exit::Internal, format!("a caller of the benchmark failed: {error}"))
}

async fn call_until(caller: &Caller, began: Instant, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let sent = Instant::now();
        if sent >= end {
            return outcome;
        }
        let called = caller.run().await.map(|()| micros(sent.elapsed()));
        let over = matches!(called, Err(RawError::SessionExpired(_)));
        if called.is_ok() {
            outcome.count_at(began.elapsed());
        }
        outcome.add(called);
        if over {
            return outcome;
        }
    }
}

/// Shows how much of `length` has passed.
pub(crate) async fn show_time(length: Duration) {
    let bar = seconds_bar(length.as_secs());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for second in 0..=length.as_secs() {
        ticks.tick().await;
        bar.set_position(second);
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests;
