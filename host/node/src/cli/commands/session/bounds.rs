//! `synod session bounds`: the shortest and the longest time to live of sessions.
use std::time::Duration;

use clap::Args;
use serde_json::json;
use synod_client::api::SessionBounds;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::values::units::{in_seconds, ms, seconds};

/// Flags of `synod session bounds`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BoundsArgs {
    /// The shortest, in seconds; at least 1.
    #[arg(long, value_name = "S", value_parser = seconds)]
    min_s: Option<Duration>,
    /// The longest, in seconds; at most 86400, a day.
    #[arg(long, value_name = "S", value_parser = seconds)]
    max_s: Option<Duration>,
}

/// Shows the bounds, after setting those that were given.
pub(crate) async fn run(BoundsArgs { min_s, max_s }: &BoundsArgs, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    let mut bounds = client.session_bounds().await?;
    if min_s.is_some() || max_s.is_some() {
        bounds = SessionBounds {
            min_ttl_ms: min_s.map_or(bounds.min_ttl_ms, ms),
            max_ttl_ms: max_s.map_or(bounds.max_ttl_ms, ms),
        };
        client.set_session_bounds(bounds).await?;
    }
    let json = json!({ "min_ttl_ms": bounds.min_ttl_ms, "max_ttl_ms": bounds.max_ttl_ms });
    output::answer(global.output, &json, || {
        format!(
            "sessions live from {} to {} without a sign of their clients",
            in_seconds(bounds.min_ttl_ms),
            in_seconds(bounds.max_ttl_ms)
        )
    })
}
