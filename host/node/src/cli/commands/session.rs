//! `synod session`: sessions from a shell, and the operator's view of everybody's.

mod bounds;
mod open;
mod show;

use clap::Subcommand;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;

/// What to do with sessions.
#[derive(Subcommand)]
pub(crate) enum SessionCommand {
    /// Opens a session, prints its token, and keeps it alive until Ctrl-C or SIGTERM; then closes
    /// it.
    ///
    /// The token, ID:SECRET, is for `synod call --session TOKEN`. Whoever has it is the session's
    /// client; the secret is shown nowhere else. When the session is lost although it was kept
    /// alive, the exit code is 7.
    Open(open::OpenArgs),
    /// Lists the open sessions, oldest first.
    List,
    /// Shows one session.
    Describe(show::NameArgs),
    /// Ends a session: what it holds is released, and its calls stop waiting. Needs no secret.
    Close(show::NameArgs),
    /// Shows between which times to live sessions are opened, or sets them for sessions that are
    /// opened from now on.
    Bounds(bounds::BoundsArgs),
}

/// Runs a command on sessions.
pub(crate) async fn run(command: SessionCommand, global: &Global) -> Result<(), Failed> {
    match command {
        SessionCommand::Open(args) => open::run(&args, global).await,
        SessionCommand::List => show::list(global).await,
        SessionCommand::Describe(args) => show::describe(&args, global).await,
        SessionCommand::Close(args) => show::close(&args, global).await,
        SessionCommand::Bounds(args) => bounds::run(&args, global).await,
    }
}
