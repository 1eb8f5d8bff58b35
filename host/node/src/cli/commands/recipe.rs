//! `synod recipe`: makes and checks recipes on this machine, and installs and inspects them in a
//! cluster.

mod against;
mod files;
mod install;
mod installed;
mod logs;
mod module;

use clap::Subcommand;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;

/// What to do with recipes.
#[derive(Subcommand)]
pub(crate) enum RecipeCommand {
    /// Makes the crate of a new recipe.
    New(files::NewArgs),
    /// Builds a recipe's crate to a WebAssembly module, checks it, and says where it is.
    Build(files::BuildArgs),
    /// Checks whether members would admit a module, and whether spaces of another version could be
    /// upgraded to it; explains why not.
    Check(files::CheckArgs),
    /// Runs a recipe's tests.
    Test(files::TestArgs),
    /// Installs a recipe in the cluster and creates a space for it. The same again is no error.
    Install(install::InstallArgs),
    /// Lists the installed recipes.
    List,
    /// Shows a recipe: its operations, queries, arguments, errors and documentation.
    Describe(installed::DescribeArgs),
    /// Shows what recipes logged on the asked member, panics included.
    Logs(logs::LogsArgs),
    /// Removes one version of a recipe; refused while a space runs it.
    Remove(installed::RemoveArgs),
}

/// Runs a command on recipes.
pub(crate) async fn run(command: RecipeCommand, global: &Global) -> Result<(), Failed> {
    match command {
        RecipeCommand::New(args) => files::new(args, global.output),
        RecipeCommand::Build(args) => files::build(&args, global.output),
        RecipeCommand::Check(args) => files::check(&args, global).await,
        RecipeCommand::Test(args) => files::test(&args),
        RecipeCommand::Install(args) => install::run(args, global).await,
        RecipeCommand::List => installed::list(global).await,
        RecipeCommand::Describe(args) => installed::describe(&args, global).await,
        RecipeCommand::Logs(args) => logs::run(args, global).await,
        RecipeCommand::Remove(args) => installed::remove(&args, global).await,
    }
}
