//! `synod space`: creates, inspects, binds, upgrades and deletes spaces, the places where recipes
//! run.

mod admin;
mod bindings;
mod events;
mod owed;
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
    /// Shows the operations and queries of a space, the events that it keeps, its bindings, and
    /// what hooks it is owed.
    Describe(show::DescribeArgs),
    /// Moves a space to another version of its recipe, which only appends to the present one.
    Upgrade(admin::UpgradeArgs),
    /// Has a space react to another's events: its handler runs in the very call that emits them.
    ///
    /// Example: synod space bind audit --on kv:config/ --on-failure skip
    Bind(bindings::BindArgs),
    /// Removes a binding: give the same SPACE and --on.
    Unbind(bindings::BindingArgs),
    /// Shows how many events a space keeps and for how long, or sets it; a limit that is not given
    /// stays as it is.
    Retention(events::RetentionArgs),
    /// Deletes old events of a space now. Watches that have not received them end with COMPACTED.
    Compact(events::CompactArgs),
    /// Shows the hooks of a space that failed, which are tried again by themselves; or runs or
    /// drops one of them now.
    Owed(owed::OwedArgs),
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
        SpaceCommand::Owed(args) => owed::owed(&args, global).await,
        SpaceCommand::Delete(args) => admin::delete(&args, global).await,
    }
}
