//! `synod space`: places where recipes run.
use clap::Subcommand;
use serde_json::{Value, json};
use synod_client::api::{RecipeRef, SpaceInfo};

use super::calling::decode;
use super::fail::Failed;
use super::recipe::RecipeAt;
use super::space_events::{self, BindingArgs, CompactArgs, OnFailure, RetentionArgs};
use super::table::{bytes, table};
use super::{Global, output, schema};

/// What to do with spaces.
#[derive(Subcommand)]
pub(crate) enum SpaceCommand {
    /// Creates a space. The same again is no error.
    Create {
        /// Its name: segments of a-z, 0-9, -, _ and ., joined by /.
        space: String,
        /// The recipe it runs: NAME, or NAME@VERSION; the largest installed version if there is
        /// none.
        #[arg(long, value_name = "NAME[@VERSION]")]
        recipe: RecipeAt,
    },
    /// Lists the spaces.
    List,
    /// Shows the operations and queries of a space, what it keeps of its events, and whom it is
    /// bound to.
    Describe {
        /// The space.
        space: String,
    },
    /// Moves a space to another version of its recipe, which only appends to the present one.
    Upgrade {
        /// The space.
        space: String,
        /// The version.
        #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
        to: u32,
    },
    /// Has a space react to another's events: its handler runs in the very call that emits them.
    ///
    /// Example: synod space bind audit --on kv:config/ --on-failure skip
    Bind {
        #[command(flatten)]
        binding: BindingArgs,
        /// What becomes of a call whose event the handler fails at.
        #[arg(long, value_enum, default_value_t)]
        on_failure: OnFailure,
    },
    /// Takes a binding back: give the same SPACE and --on.
    Unbind(BindingArgs),
    /// Shows how much of its past a space keeps, or sets it; what is left out stays as it is.
    Retention(RetentionArgs),
    /// Forgets events of a space now. Watches that still want them end with COMPACTED.
    Compact(CompactArgs),
    /// Deletes a space and everything in it.
    Delete {
        /// The space.
        space: String,
        /// Must be given: what is deleted does not come back.
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(command: SpaceCommand, global: &Global) -> Result<(), Failed> {
    if let SpaceCommand::Delete { space, yes: false } = &command {
        return Err(Failed::usage(format!("deleting `{space}` deletes everything in it"))
            .next(format!("`synod space delete {space} --yes`")));
    }
    match &command {
        SpaceCommand::Bind { binding, on_failure } => {
            return space_events::bind(binding, *on_failure, global).await;
        }
        SpaceCommand::Unbind(binding) => return space_events::unbind(binding, global).await,
        SpaceCommand::Retention(args) => return space_events::retention(args, global).await,
        SpaceCommand::Compact(args) => return space_events::compact(args, global).await,
        _ => {}
    }
    let client = global.client().await?;
    match command {
        SpaceCommand::Bind { .. }
        | SpaceCommand::Unbind(_)
        | SpaceCommand::Retention(_)
        | SpaceCommand::Compact(_) => Ok(()),
        SpaceCommand::Create { space, recipe } => {
            let reply = client.create_space(&space, &recipe.name, recipe.version.unwrap_or(0)).await?;
            let info = reply.space.unwrap_or_default();
            let mut json = to_json(&info);
            json["already"] = json!(reply.already);
            output::answer(global.output, &json, || {
                let verb = if reply.already { "was there already" } else { "created" };
                format!("space {} {verb}: runs {}", info.name, recipe_text(info.recipe.as_ref()))
            })
        }
        SpaceCommand::List => {
            let spaces = client.list_spaces().await?;
            let json: Value = spaces.iter().map(to_json).collect();
            output::answer(global.output, &json, || {
                let failures = |space: &SpaceInfo| {
                    space.hook_failures.as_ref().map_or(0, |failures| failures.count).to_string()
                };
                let rows = spaces.iter().map(|space| {
                    let events = space.events.unwrap_or_default();
                    let recipe = recipe_text(space.recipe.as_ref());
                    [
                        space.name.clone(),
                        recipe,
                        space.id.to_string(),
                        events.events.to_string(),
                        bytes(events.bytes),
                        failures(space),
                    ]
                });
                table(["SPACE", "RECIPE", "ID>", "EVENTS>", "IN>", "FAILED HOOKS>"], rows)
            })
        }
        SpaceCommand::Describe { space } => {
            let (info, reply) = (client.space_info(&space).await?, client.describe_space(&space).await?);
            let schema = decode(&reply.schema)?;
            let mut json = serde_json::to_value(&schema).unwrap_or_default();
            json["space"] = to_json(&info);
            output::answer(global.output, &json, || {
                let schema = schema::text(&schema);
                format!("space {space} runs {}\n\n{}", schema.trim_end(), space_events::text(&info))
            })
        }
        SpaceCommand::Upgrade { space, to } => {
            let info = client.upgrade_space(&space, to).await?;
            output::answer(global.output, &to_json(&info), || {
                format!("space {} runs {} now", info.name, recipe_text(info.recipe.as_ref()))
            })
        }
        SpaceCommand::Delete { space, .. } => {
            client.delete_space(&space).await?;
            output::answer(global.output, &json!({ "deleted": space }), || format!("space {space} deleted"))
        }
    }
}

/// `name@version`.
pub(crate) fn recipe_text(recipe: Option<&RecipeRef>) -> String {
    recipe.map(|recipe| format!("{}@{}", recipe.name, recipe.version)).unwrap_or_default()
}

pub(crate) fn to_json(space: &SpaceInfo) -> Value {
    let recipe = space.recipe.clone().unwrap_or_default();
    let failures = space
        .hook_failures
        .as_ref()
        .map(|failures| json!({ "count": failures.count, "revision": failures.revision, "fault": failures.fault().as_str_name(), "why": failures.why }));
    let bindings: Value = space.bindings.iter().map(space_events::binding_json).collect();
    json!({
        "name": space.name, "id": space.id, "recipe": recipe.name, "version": recipe.version, "hook_failures": failures,
        "events": space.events.as_ref().map(space_events::log_json), "bindings": bindings,
    })
}

#[cfg(test)]
mod tests;
