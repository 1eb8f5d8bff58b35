//! `synod recipe new`, `build`, `check` and `test`: work on files, without a cluster.
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use synod_build::test::Against;
use synod_build::{Options, build as builder, scaffold, test as runner};

use super::{against, module};
use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output::{self, Format};

/// Flags of `synod recipe new`.
#[derive(Args, Clone, Debug)]
pub(crate) struct NewArgs {
    /// Its name.
    name: String,
    /// The folder [default: ./NAME].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Use Synod's sources from here instead of those in this binary.
    #[arg(long, value_name = "DIR")]
    sdk_path: Option<PathBuf>,
}

/// Flags of `synod recipe build`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BuildArgs {
    /// The crate's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Also write the module here.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Flags of `synod recipe check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    /// A module, or a crate's folder, which is built.
    #[arg(default_value = ".", value_name = "FILE|DIR")]
    path: PathBuf,
    /// The version that spaces and clients have now: a module, a crate's folder, or a recipe that
    /// the cluster has installed.
    #[arg(long, value_name = "FILE|DIR|NAME[@VERSION]")]
    against: Option<String>,
}

/// Flags of `synod recipe test`.
#[derive(Args, Clone, Debug)]
pub(crate) struct TestArgs {
    /// The crate's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Run them against the compiled module, on the engine that members use. Compiling that
    /// engine takes minutes, once.
    #[arg(long)]
    wasm: bool,
    /// Further arguments for `cargo test`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    args: Vec<OsString>,
}

/// Makes the crate of a new recipe.
pub(crate) fn new(args: NewArgs, format: Format) -> Result<(), Failed> {
    let NewArgs { name, dir, sdk_path } = args;
    let dir = dir.unwrap_or_else(|| PathBuf::from(&name));
    scaffold::create(&name, &dir, sdk_path.as_deref())?;
    let shown = dir.display();
    output::answer(format, &json!({ "name": name, "dir": dir }), || {
        format!(
            "recipe {name} made in {shown}\n  next: cd {shown} && synod recipe test && synod recipe install"
        )
    })
}

/// Builds a crate to a module, and admits it.
pub(crate) fn build(BuildArgs { dir, out }: &BuildArgs, format: Format) -> Result<(), Failed> {
    let built = builder::recipe(dir, &Options::interactive())?;
    let admitted = synod_vm::admit(&built.wasm).map_err(|_| module::refused(&built.wasm))?;
    let path = match out {
        Some(out) => {
            built.write_to(out)?;
            out
        }
        None => &built.path,
    };
    let json = json!({
        "path": path,
        "bytes": built.wasm.len(),
        "hash": admitted.hash.to_string(),
        "recipe": admitted.schema.recipe.name,
        "version": admitted.schema.recipe.version,
    });
    output::answer(format, &json, || {
        format!("{}: {} bytes in {}", admitted.schema.recipe, built.wasm.len(), path.display())
    })
}

/// Admits a module as a member would, and compares it with a former version.
pub(crate) async fn check(CheckArgs { path, against }: &CheckArgs, global: &Global) -> Result<(), Failed> {
    let module = module::read(path)?;
    let admitted = synod_vm::admit(&module).map_err(|_| module::refused(&module))?;
    let mut json = json!({
        "admitted": true,
        "bytes": module.len(),
        "hash": admitted.hash.to_string(),
        "recipe": admitted.schema.recipe.name,
        "version": admitted.schema.recipe.version,
        "schema": serde_json::to_value(&admitted.schema).unwrap_or_default(),
    });
    let mut text = synod_vm::explain(&module);
    if let Some(former) = against {
        let former = against::former(former, global).await?;
        let notes = against::notes(&former, &admitted.schema)?;
        json["upgrade"] = against::json(&former, &notes);
        text = format!("{text}\n{}", against::text(&former, &notes));
    }
    output::answer(global.output, &json, || text)
}

/// Runs a recipe's tests.
pub(crate) fn test(TestArgs { dir, wasm, args }: &TestArgs) -> Result<(), Failed> {
    let against = if *wasm { Against::Wasm } else { Against::Native };
    let status = runner::run(dir, against, args, &Options::interactive())?;
    if status.success() {
        Ok(())
    } else {
        Err(Failed::new(Exit::Rejected, format!("the recipe's tests failed ({status})")))
    }
}
