//! `synod recipe install`: brings a module into the cluster and creates a space for it.
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use synod_client::api::{InstallReply, InstallRequest};

use super::module;
use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;
use crate::cli::io::output;
use crate::cli::io::progress::Spinner;
use crate::cli::values::json;
use crate::cli::values::names::recipe_text;

/// Flags of `synod recipe install`.
#[derive(Args, Clone, Debug)]
pub(crate) struct InstallArgs {
    /// A module, or a crate's folder, which is built.
    #[arg(default_value = ".", value_name = "FILE|DIR")]
    path: PathBuf,
    /// The space to create [default: the recipe's name].
    #[arg(long)]
    space: Option<String>,
    /// Create no space.
    #[arg(long, conflicts_with = "space")]
    no_space: bool,
    /// Replace other bytes under the same name and version, and move its spaces to them; for
    /// members started with --replace.
    #[arg(long)]
    replace: bool,
}

/// Installs the module and shows what is new.
pub(crate) async fn run(args: InstallArgs, global: &Global) -> Result<(), Failed> {
    let InstallArgs { path, space, no_space, replace } = args;
    let module = module::read(&path)?;
    let request = InstallRequest { module, replace, no_space, space: space.unwrap_or_default() };
    let client = global.client().await?;
    let reply = {
        let _spinner = Spinner::new("installing: members check and compile the module");
        client.install_recipe(request).await?
    };
    let mut json = json::recipe(&reply.recipe.clone().unwrap_or_default());
    json["already"] = json!(reply.already);
    json["space"] = reply.space.as_ref().map(json::space).unwrap_or_default();
    output::answer(global.output, &json, || text(&reply))
}

fn text(reply: &InstallReply) -> String {
    let installed = reply.recipe.as_ref().and_then(|info| info.recipe.as_ref());
    let name = recipe_text(installed);
    let done = if reply.already { "was installed already" } else { "installed" };
    let Some(space) = &reply.space else { return format!("{name} {done}") };
    if !reply.space_already {
        return format!("{name} {done}; space {} created", space.name);
    }
    let running = space.recipe.as_ref();
    let text = format!("{name} {done}; space {} runs {}", space.name, recipe_text(running));
    match installed.zip(running) {
        Some((new, old)) if new.name == old.name && new.version > old.version => {
            format!("{text}\n  next: synod space upgrade {} --to {}", space.name, new.version)
        }
        _ => text,
    }
}
