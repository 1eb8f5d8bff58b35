//! `synod space list` and `describe`.
use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;
use synod_client::Client;
use synod_client::api::{HookFailures, SpaceInfo};

use super::bindings::binding_text;
use super::events::log_text;
use super::owed::owed_table;
use crate::cli::io::cluster::{Global, decode, freshest};
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::io::table::table;
use crate::cli::values::names::recipe_text;
use crate::cli::values::units::bytes;
use crate::cli::values::{json, schema};

/// Flags of `synod space describe`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DescribeArgs {
    /// The space.
    space: String,
}

/// Lists the spaces.
pub(crate) async fn list(global: &Global) -> Result<(), Failed> {
    let list = async |client: Client, consistency| client.list_spaces_from(consistency).await;
    let spaces = freshest(global, list).await?;
    let json: Value = spaces.iter().map(json::space).collect();
    output::answer(global.output, &json, || {
        table(["SPACE", "RECIPE", "ID>", "EVENTS>", "IN>", "FAILED HOOKS>", "OWED>"], spaces.iter().map(row))
    })
}

fn row(space: &SpaceInfo) -> [String; 7] {
    let events = space.events.unwrap_or_default();
    let failures = space.hook_failures.as_ref().map_or(0, |failures| failures.count);
    [
        space.name.clone(),
        recipe_text(space.recipe.as_ref()),
        space.id.to_string(),
        events.events.to_string(),
        bytes(events.bytes),
        failures.to_string(),
        space.owed.to_string(),
    ]
}

/// Shows a space's recipe, and its events, bindings, failures and what it is owed.
pub(crate) async fn describe(DescribeArgs { space }: &DescribeArgs, global: &Global) -> Result<(), Failed> {
    let describe = async |client: Client, consistency| {
        let info = client.space_info_from(space, consistency).await?;
        Ok((info, client.describe_space_from(space, consistency).await?.schema))
    };
    let (info, schema) = freshest(global, describe).await?;
    let schema = decode(&schema)?;
    let mut json = serde_json::to_value(&schema).unwrap_or_default();
    json["space"] = json::space(&info);
    output::answer(global.output, &json, || {
        let schema = schema::text(&schema);
        format!("space {space} runs {}\n\n{}", schema.trim_end(), text(&info))
    })
}

/// What `describe` shows beside the recipe.
fn text(space: &SpaceInfo) -> String {
    let mut text = log_text(&space.name, &space.events.unwrap_or_default());
    for binding in &space.bindings {
        let _infallible = write!(text, "\n{}", binding_text(&space.name, binding));
    }
    if let Some(HookFailures { count, revision, why, .. }) = &space.hook_failures {
        let _infallible = write!(
            text,
            "\n{count} of its hooks and handlers failed, the last at revision {revision}: {why}"
        );
    }
    if space.owed > 0 {
        let _infallible = write!(
            text,
            "\n{} hooks are owed and tried again by themselves; `synod space owed {}` runs or drops them\n{}",
            space.owed,
            space.name,
            owed_table(&space.owed_hooks)
        );
    }
    text
}

#[cfg(test)]
mod tests;
