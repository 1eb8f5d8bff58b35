//! `synod recipe list`, `describe` and `remove`: the recipes that a cluster has installed.
use clap::Args;
use serde_json::{Value, json};
use synod_client::Client;
use synod_client::api::{RecipeInfo, RecipeRef};

use super::against;
use crate::cli::io::cluster::{Global, decode};
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::io::table::table;
use crate::cli::values::json;
use crate::cli::values::names::{RecipeAt, recipe_text};
use crate::cli::values::schema::{self, summary};
use crate::cli::values::units::{hex, short_hex};

/// Flags of `synod recipe describe`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DescribeArgs {
    /// The recipe; the largest installed version if there is none.
    #[arg(value_name = "NAME[@VERSION]")]
    recipe: RecipeAt,
}

/// Flags of `synod recipe remove`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RemoveArgs {
    /// The recipe, with its version.
    #[arg(value_name = "NAME@VERSION")]
    recipe: RecipeAt,
}

/// Lists the installed recipes.
pub(crate) async fn list(global: &Global) -> Result<(), Failed> {
    let recipes = global.client().await?.list_recipes().await?;
    let json: Value = recipes.iter().map(json::recipe).collect();
    output::answer(global.output, &json, || {
        table(["RECIPE", "MODULE", "BYTES>", "SPACES", "ABOUT"], recipes.iter().map(row))
    })
}

fn row(info: &RecipeInfo) -> [String; 5] {
    [
        recipe_text(info.recipe.as_ref()),
        short_hex(&info.hash),
        info.module_bytes.to_string(),
        info.spaces.join(","),
        summary(&info.docs),
    ]
}

/// Shows a recipe's schema, module and spaces.
pub(crate) async fn describe(DescribeArgs { recipe }: &DescribeArgs, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    let reply = client.describe_recipe(&recipe.name, recipe.version.unwrap_or(0)).await?;
    let schema = decode(&reply.schema)?;
    let info = reply.recipe.unwrap_or_default();
    let mut json = json::recipe(&info);
    json["schema"] = serde_json::to_value(&schema).unwrap_or_default();
    output::answer(global.output, &json, || {
        let spaces = if info.spaces.is_empty() { "none".to_owned() } else { info.spaces.join(", ") };
        format!(
            "{}\nmodule: {} ({} bytes)\nspaces: {spaces}",
            schema::text(&schema),
            hex(&info.hash),
            info.module_bytes
        )
    })
}

/// Removes one version of a recipe.
pub(crate) async fn remove(RemoveArgs { recipe }: &RemoveArgs, global: &Global) -> Result<(), Failed> {
    let RecipeAt { name, version } = recipe;
    let Some(version) = *version else {
        return Err(Failed::usage(format!("which version of `{name}`?"))
            .next(format!("`synod recipe remove {name}@VERSION`")));
    };
    let client = global.client().await?;
    let warning = warning(&client, name, version).await?;
    client.remove_recipe(name, version).await?;
    let mut json = json!({ "removed": { "name": name, "version": version } });
    json["warning"] = json!(warning);
    output::answer(global.output, &json, || {
        let warning = warning.map(|warning| format!("\n  warning: {warning}")).unwrap_or_default();
        format!("{name}@{version} removed{warning}")
    })
}

/// What clients that were compiled with a version cannot call any more once it is removed, in
/// spaces that run a later one.
async fn warning(client: &Client, name: &str, version: u32) -> Result<Option<String>, Failed> {
    let is_other = |recipe: &RecipeRef| recipe.name == name && recipe.version != version;
    let installed = client.list_recipes().await?;
    let others = installed.iter().filter(|info| info.recipe.as_ref().is_some_and(is_other));
    let mut schemas = Vec::new();
    let mut spaces = Vec::new();
    for RecipeInfo { recipe, spaces: of_recipe, .. } in others {
        let other = recipe.as_ref().map_or(0, |recipe| recipe.version);
        schemas.push(decode(&client.describe_recipe(name, other).await?.schema)?);
        if other > version {
            spaces.extend(of_recipe.iter().map(String::as_str));
        }
    }
    if spaces.is_empty() {
        return Ok(None);
    }
    let removed = decode(&client.describe_recipe(name, version).await?.schema)?;
    let calls = against::refused_calls(&removed, &schemas);
    Ok((!calls.is_empty()).then(|| {
        format!(
            "clients that were compiled with {name}@{version} cannot call {} of {} any more; installing it \
                again lets them",
            calls.join(", "),
            spaces.join(", ")
        )
    }))
}
