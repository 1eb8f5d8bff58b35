//! `synod space create`, `upgrade` and `delete`.
use clap::Args;
use serde_json::json;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::values::json;
use crate::cli::values::names::{RecipeAt, recipe_text};

/// Flags of `synod space create`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CreateArgs {
    /// Its name: segments of a-z, 0-9, -, _ and ., joined by /.
    space: String,
    /// The recipe it runs: NAME, or NAME@VERSION; the largest installed version if there is
    /// none.
    #[arg(long, value_name = "NAME[@VERSION]")]
    recipe: RecipeAt,
}

/// Flags of `synod space upgrade`.
#[derive(Args, Clone, Debug)]
pub(crate) struct UpgradeArgs {
    /// The space.
    space: String,
    /// The version.
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
    to: u32,
}

/// Flags of `synod space delete`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeleteArgs {
    /// The space.
    space: String,
    /// Must be given: what is deleted does not come back.
    #[arg(long)]
    yes: bool,
}

/// Creates a space; one that exists with the same recipe is left as it is.
pub(crate) async fn create(CreateArgs { space, recipe }: &CreateArgs, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    let reply = client.create_space(space, &recipe.name, recipe.version.unwrap_or(0)).await?;
    let info = reply.space.unwrap_or_default();
    let mut json = json::space(&info);
    json["already"] = json!(reply.already);
    output::answer(global.output, &json, || {
        let verb = if reply.already { "was there already" } else { "created" };
        format!("space {} {verb}: runs {}", info.name, recipe_text(info.recipe.as_ref()))
    })
}

/// Moves a space to another version of its recipe.
pub(crate) async fn upgrade(UpgradeArgs { space, to }: &UpgradeArgs, global: &Global) -> Result<(), Failed> {
    let info = global.client().await?.upgrade_space(space, *to).await?;
    output::answer(global.output, &json::space(&info), || {
        format!("space {} runs {} now", info.name, recipe_text(info.recipe.as_ref()))
    })
}

/// Deletes a space, if `--yes` was given.
pub(crate) async fn delete(DeleteArgs { space, yes }: &DeleteArgs, global: &Global) -> Result<(), Failed> {
    if !yes {
        return Err(Failed::usage(format!("deleting `{space}` deletes everything in it"))
            .next(format!("`synod space delete {space} --yes`")));
    }
    global.client().await?.delete_space(space).await?;
    output::answer(global.output, &json!({ "deleted": space }), || format!("space {space} deleted"))
}
