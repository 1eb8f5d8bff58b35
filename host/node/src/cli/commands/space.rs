//! `synod space`: creates, inspects, binds, upgrades and deletes spaces, the places where recipes
//! run.

mod admin;
mod bindings;
mod events;
mod show;

use clap::Subcommand;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;

/// What to do with spaces.
#[derive(Subcommand)]
pub(crate) enum SpaceCommand {
    /// Creates a space. The same again is no error.
    Create(admin::CreateArgs),
    /// Lists the spaces.
    List,
    /// Shows the operations and queries of a space, what it keeps of its events, and whom it is
    /// bound to.
    Describe(show::DescribeArgs),
    /// Moves a space to another version of its recipe, which only appends to the present one.
    Upgrade(admin::UpgradeArgs),
    /// Has a space react to another's events: its handler runs in the very call that emits them.
    ///
    /// Example: synod space bind audit --on kv:config/ --on-failure skip
    Bind(bindings::BindArgs),
    /// Takes a binding back: give the same SPACE and --on.
    Unbind(bindings::BindingArgs),
    /// Shows how much of its past a space keeps, or sets it; what is left out stays as it is.
    Retention(events::RetentionArgs),
    /// Forgets events of a space now. Watches that still want them end with COMPACTED.
    Compact(events::CompactArgs),
    /// Deletes a space and everything in it.
    Delete(admin::DeleteArgs),
}

/// Runs a command on spaces.
pub(crate) async fn run(command: SpaceCommand, global: &Global) -> Result<(), Failed> {
    match command {
        SpaceCommand::Create(args) => admin::create(&args, global).await,
        SpaceCommand::List => show::list(global).await,
        SpaceCommand::Describe(args) => show::describe(&args, global).await,
        SpaceCommand::Upgrade(args) => admin::upgrade(&args, global).await,
        SpaceCommand::Bind(args) => bindings::bind(&args, global).await,
        SpaceCommand::Unbind(args) => bindings::unbind(&args, global).await,
        SpaceCommand::Retention(args) => events::retention(&args, global).await,
        SpaceCommand::Compact(args) => events::compact(&args, global).await,
        SpaceCommand::Delete(args) => admin::delete(&args, global).await,
    }
}
