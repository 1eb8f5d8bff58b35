//! `synod space owed`: the hooks of a space that failed, shown, run and dropped.
use clap::Args;
use serde_json::{Value, json};
use synod_client::api::owed_hook::Call;
use synod_client::api::{OwedHook, SettledHook, Settling};

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::io::table::table;
use crate::cli::values::json;
use crate::cli::values::time::utc;
use crate::cli::values::units::hex;

/// Flags of `synod space owed`.
#[derive(Args, Clone, Debug)]
pub(crate) struct OwedArgs {
    /// The space.
    space: String,
    /// Runs the hook of this number now.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["drop", "after"])]
    run: Option<u64>,
    /// Drops the hook of this number: what it was to release stays held.
    #[arg(long, value_name = "NUMBER", conflicts_with = "after")]
    drop: Option<u64>,
    /// Shows the hooks behind this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
}

/// Shows what a space is owed, or settles one of its hooks.
pub(crate) async fn owed(args: &OwedArgs, global: &Global) -> Result<(), Failed> {
    match (args.run, args.drop) {
        (Some(number), _) => settle(&args.space, number, Settling::Run, global).await,
        (_, Some(number)) => settle(&args.space, number, Settling::Drop, global).await,
        (None, None) => show(args, global).await,
    }
}

async fn show(OwedArgs { space, after, .. }: &OwedArgs, global: &Global) -> Result<(), Failed> {
    let reply = global.client().await?.owed_hooks(space, *after, 0).await?;
    let hooks: Value = reply.hooks.iter().map(json::owed_hook).collect();
    output::answer(global.output, &json!({ "hooks": hooks, "more": reply.more }), || {
        let last = reply.hooks.last().map_or(0, |hook| hook.number);
        let more = match reply.more {
            true => format!("\n\nmore follow: `synod space owed {space} --after {last}`"),
            false => String::new(),
        };
        match reply.hooks.is_empty() {
            true => format!("space {space} is owed nothing"),
            false => format!("{}{more}", owed_table(&reply.hooks)),
        }
    })
}

/// A table of hooks.
pub(super) fn owed_table(hooks: &[OwedHook]) -> String {
    table(["NUMBER>", "HOOK", "SINCE>", "TRIES>", "NEXT TRY", "WHY"], hooks.iter().map(row))
}

fn row(hook: &OwedHook) -> [String; 6] {
    [
        hook.number.to_string(),
        call_text(hook.call.as_ref()),
        hook.since_revision.to_string(),
        hook.tries.to_string(),
        utc(hook.next_try_ms),
        if hook.why.is_empty() { "it has more to do".to_owned() } else { hook.why.clone() },
    ]
}

fn call_text(call: Option<&Call>) -> String {
    match call {
        None => String::new(),
        Some(Call::SessionEnd(session)) => format!("on_session_end of {}", hex(session)),
        Some(Call::Timer(timer)) => format!("on_timer of timer {}", timer.id),
        Some(Call::Cancel(cancel)) => format!("on_cancel of ticket {}", cancel.ticket),
    }
}

async fn settle(space: &str, number: u64, how: Settling, global: &Global) -> Result<(), Failed> {
    let reply = global.client().await?.settle_hook(space, number, how).await?;
    let json = json!({
        "space": space,
        "number": number,
        "settled": reply.settled().as_str_name(),
        "why": reply.why,
    });
    output::answer(global.output, &json, || {
        let ended = match reply.settled() {
            SettledHook::Done => "succeeded, and is owed no more".to_owned(),
            SettledHook::More => "ran, and goes on by itself".to_owned(),
            SettledHook::Failed => format!("failed again and stays owed: {}", reply.why),
            SettledHook::Dropped => "is dropped".to_owned(),
            SettledHook::Unspecified => "ended in a way that this version does not know".to_owned(),
        };
        format!("hook {number} of space {space} {ended}")
    })
}

#[cfg(test)]
mod tests;
