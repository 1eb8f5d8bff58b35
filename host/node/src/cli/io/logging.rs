//! The log of a member: structured lines on standard error.
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::fail::Failed;
use crate::settings::LogFormat;

/// Starts logging at `level`: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
/// `info,synod_consensus=debug`.
pub(crate) fn start(format: LogFormat, level: &str) -> Result<(), Failed> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Failed::usage(format!("--log-level `{level}` is not a level or filter: {error}"))
            .next("write error, warn, info, debug or trace")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_target(true).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(|error| Failed::usage(format!("logging cannot start: {error}")))
}
