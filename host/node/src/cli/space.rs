//! `synod space`: places where recipes run.
use clap::Subcommand;
use serde_json::{Value, json};
use synod_client::api::{RecipeRef, SpaceInfo};

use super::calling::decode;
use super::fail::Failed;
use super::recipe::RecipeAt;
use super::table::table;
use super::{Global, output, schema};

/// What to do with spaces.
#[derive(Subcommand)]
pub(crate) enum SpaceCommand {
    /// Creates a space. The same again is no error.
    Create {
        /// Its name: segments of a-z, 0-9, -, _ and ., joined by /.
        space: String,
        /// The recipe it runs: NAME, or NAME@VERSION; the largest installed version if there is none.
        #[arg(long, value_name = "NAME[@VERSION]")]
        recipe: RecipeAt,
    },
    /// Lists the spaces.
    List,
    /// Shows the operations and queries of a space, with their arguments and documentation.
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
        return Err(
            Failed::usage(format!("deleting `{space}` deletes everything in it")).next(format!("`synod space delete {space} --yes`"))
        );
    }
    let client = global.client().await?;
    match command {
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
                let failures = |space: &SpaceInfo| space.hook_failures.as_ref().map_or(0, |failures| failures.count).to_string();
                let rows = spaces
                    .iter()
                    .map(|space| [space.name.clone(), recipe_text(space.recipe.as_ref()), space.id.to_string(), failures(space)]);
                table(["SPACE", "RECIPE", "ID>", "FAILED HOOKS>"], rows)
            })
        }
        SpaceCommand::Describe { space } => {
            let reply = client.describe_space(&space).await?;
            let schema = decode(&reply.schema)?;
            let json = serde_json::to_value(&schema).unwrap_or_default();
            output::answer(global.output, &json, || format!("space {space} runs {}", schema::text(&schema)))
        }
        SpaceCommand::Upgrade { space, to } => {
            let info = client.upgrade_space(&space, to).await?;
            output::answer(global.output, &to_json(&info), || format!("space {} runs {} now", info.name, recipe_text(info.recipe.as_ref())))
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
        .map(|failures| json!({ "count": failures.count, "revision": failures.revision, "fault": failures.fault().as_str_name() }));
    json!({ "name": space.name, "id": space.id, "recipe": recipe.name, "version": recipe.version, "hook_failures": failures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_client::api::{Fault, HookFailures};

    #[test]
    fn a_space_is_shown_with_its_recipe() {
        let recipe = RecipeRef { name: "kv".into(), version: 2 };
        let failed = HookFailures { count: 3, revision: 9, fault: Fault::Panic.into() };
        let space = SpaceInfo { name: "team/kv".into(), id: 7, recipe: Some(recipe.clone()), hook_failures: Some(failed) };
        let failures = json!({"count": 3, "revision": 9, "fault": "FAULT_PANIC"});
        assert_eq!(to_json(&space), json!({"name": "team/kv", "id": 7, "recipe": "kv", "version": 2, "hook_failures": failures}));
        assert_eq!(recipe_text(Some(&recipe)), "kv@2");
        assert_eq!(recipe_text(None), "");
    }
}
