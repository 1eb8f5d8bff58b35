//! `synod recipe logs`: lines that recipes logged on one member, and their panics.
use std::pin::pin;

use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};
use synod_client::api::{LogLine, LogsRequest};

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output::{self, Format};
use crate::cli::io::table::printable;
use crate::cli::values::names::recipe_text;
use crate::cli::values::time::utc;

/// Flags of `synod recipe logs`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogsArgs {
    /// Only this recipe.
    name: Option<String>,
    /// Only this space.
    #[arg(long)]
    space: Option<String>,
    /// How many lines of the past.
    #[arg(long, default_value_t = 100, value_name = "N")]
    lines: u32,
    /// Go on with new lines.
    #[arg(short, long)]
    follow: bool,
    /// Least important level, 1 (error) to 5 (trace).
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=5))]
    level: u32,
}

/// Shows the lines, a line each.
pub(crate) async fn run(args: LogsArgs, global: &Global) -> Result<(), Failed> {
    let request = LogsRequest {
        recipe: args.name.unwrap_or_default(),
        space: args.space.unwrap_or_default(),
        tail_lines: args.lines,
        follow: args.follow,
        max_level: args.level,
    };
    let mut lines = global.client().await?.recipe_logs(request).await?;
    let mut gone = pin!(output::reader_gone());
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = &mut gone => None,
        };
        let Some(line) = line.transpose()? else { return Ok(()) };
        let text = match global.output {
            Format::Json => log_json(&line).to_string(),
            Format::Table => log_text(&line),
        };
        if !output::more(&text)? {
            return Ok(());
        }
    }
}

fn log_json(line: &LogLine) -> Value {
    json!({
        "time_ms": line.time_ms,
        "member_id": line.member_id,
        "recipe": recipe_text(line.recipe.as_ref()),
        "space": line.space,
        "entry_point": line.entry_point,
        "level": line.level,
        "text": line.text,
        "dropped": line.dropped,
    })
}

fn log_text(line: &LogLine) -> String {
    let level = match line.level {
        1 => "ERROR",
        2 => "WARN ",
        3 => "INFO ",
        4 => "DEBUG",
        _ => "TRACE",
    };
    let dropped =
        if line.dropped > 0 { format!("… {} lines dropped …\n", line.dropped) } else { String::new() };
    let point = if line.entry_point.is_empty() { String::new() } else { format!(".{}", line.entry_point) };
    format!(
        "{dropped}{} {level} {}{point} [{}] {}",
        utc(line.time_ms),
        line.space,
        recipe_text(line.recipe.as_ref()),
        line.text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
    )
}

#[cfg(test)]
mod tests;
