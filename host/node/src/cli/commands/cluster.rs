//! `synod cluster`: what concerns all members at once.

mod scrub;

use clap::Subcommand;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::Failed;

/// What to do with the cluster.
#[derive(Subcommand)]
pub(crate) enum ClusterCommand {
    /// Has the members read their states and compare them with their digests and with one
    /// another's, and waits until they have.
    ///
    /// Each reads at the rate that it was started with (--scrub-mib-per-second) and goes on
    /// serving. One that finds itself damaged serves nobody, and stops for good if a majority goes
    /// on without it; the exit code is then 5. Ctrl-C ends the waiting, not the scrubs.
    Scrub(scrub::ScrubArgs),
}

/// Runs a command on the cluster.
pub(crate) async fn run(command: ClusterCommand, global: &Global) -> Result<(), Failed> {
    match command {
        ClusterCommand::Scrub(args) => scrub::run(args, global).await,
    }
}
