//! `synod space retention` and `compact`: how much of its events a space keeps.
use std::time::Duration;

use clap::Args;
use serde_json::json;
use synod_client::api::{EventLog, Retention};

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::values::json;
use crate::cli::values::time::utc;
use crate::cli::values::units::{age, bytes, in_seconds, ms, size};

/// Flags of `synod space retention`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RetentionArgs {
    /// The space.
    space: String,
    /// Most events that it keeps.
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Most bytes of them, such as 64MiB.
    #[arg(long, value_name = "N", value_parser = size)]
    bytes: Option<u64>,
    /// How long it keeps them, such as 24h.
    #[arg(long, value_name = "AGE", value_parser = age)]
    age: Option<Duration>,
}

/// Flags of `synod space compact`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompactArgs {
    /// The space.
    space: String,
    /// The last revision whose events are deleted [default: the current one].
    #[arg(long, value_name = "REV", value_parser = clap::value_parser!(u64).range(1..))]
    through: Option<u64>,
}

/// Shows what a space keeps of its events, or sets it.
pub(crate) async fn retention(args: &RetentionArgs, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    let retention = Retention { events: args.events, bytes: args.bytes, age_ms: args.age.map(ms) };
    let log = if retention == Retention::default() {
        client.space_info(&args.space).await?.events.unwrap_or_default()
    } else {
        client.set_retention(&args.space, retention).await?
    };
    output::answer(global.output, &json::event_log(&log), || log_text(&args.space, &log))
}

/// Deletes events up to a revision.
pub(crate) async fn compact(args: &CompactArgs, global: &Global) -> Result<(), Failed> {
    let reply = global.client().await?.compact(&args.space, args.through.unwrap_or(0)).await?;
    let json = json!({
        "space": args.space,
        "compacted_revision": reply.compacted_revision,
        "events": reply.events,
    });
    output::answer(global.output, &json, || {
        format!(
            "space {} deleted {} events, and keeps none up to revision {}",
            args.space, reply.events, reply.compacted_revision
        )
    })
}

/// The events that a space keeps, and how long it keeps them.
pub(crate) fn log_text(space: &str, log: &EventLog) -> String {
    let Retention { events, bytes: most_bytes, age_ms } = log.retention.unwrap_or_default();
    let since = match log.oldest_at_ms {
        0 => String::new(),
        oldest => format!(", since {}", utc(oldest)),
    };
    let compacted = match log.compacted_revision {
        0 => String::new(),
        revision => format!("; compacted up to revision {revision}"),
    };
    let last = match log.last_revision {
        0 => String::new(),
        revision => format!("; the last at revision {revision}"),
    };
    format!(
        "events of {space}: {} in {}{since}{last}{compacted}\n  keeps at most {} of them, {}, for {}",
        log.events,
        bytes(log.bytes),
        events.unwrap_or_default(),
        bytes(most_bytes.unwrap_or_default()),
        age_text(age_ms.unwrap_or_default()),
    )
}

fn age_text(ms: u64) -> String {
    match ms {
        ms if ms > 0 && ms % 86_400_000 == 0 => format!("{} d", ms / 86_400_000),
        ms if ms > 0 && ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms => in_seconds(ms),
    }
}

#[cfg(test)]
mod tests;
