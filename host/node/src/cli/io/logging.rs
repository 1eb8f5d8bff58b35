//! The log of a member: structured lines on standard error.
//!
//! The consensus library logs each failed heartbeat and each election that nobody joins, many times
//! a second while a peer is down; the HTTP/2 library logs each connection that resets too much, as
//! fast as a stranger opens them. Of each such line one is let through in ten seconds; what an
//! operator has to know, the member logs itself, by its availability.
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::fail::Failed;
use crate::settings::LogFormat;

/// How often one line of such a library is logged.
const SPARSE_EVERY: Duration = Duration::from_secs(10);
/// Their targets begin so.
const SPARSE: [&str; 4] = ["openraft", "h2", "hyper", "tonic"];

/// Starts logging at `level`: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
/// `info,synod_consensus=debug`.
pub(crate) fn start(format: LogFormat, level: &str) -> Result<(), Failed> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Failed::usage(format!("--log-level `{level}` is not a level or filter: {error}"))
            .next("write error, warn, info, debug or trace")
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_target(true).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = lines.with_filter(Sparsely::default());
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    started.map_err(|error| Failed::usage(format!("logging cannot start: {error}")))
}

/// Lets through what is of no such library, or is for its developers; of the rest, one
/// line of each place in the code in ten seconds.
#[derive(Debug, Default)]
struct Sparsely(Mutex<HashMap<Identifier, Instant>>);

impl Sparsely {
    fn lets_through(&self, line: &Metadata<'_>, now: Instant) -> bool {
        let is_sparse = SPARSE.iter().any(|library| line.target().starts_with(library));
        if !is_sparse || *line.level() > Level::INFO {
            return true;
        }
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due =
            logged.get(&line.callsite()).is_none_or(|at| now.saturating_duration_since(*at) >= SPARSE_EVERY);
        if is_due {
            logged.insert(line.callsite(), now);
        }
        is_due
    }
}

impl<S: Subscriber> Filter<S> for Sparsely {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.lets_through(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests;
