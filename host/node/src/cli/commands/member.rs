//! `synod dev` and `synod start`: reads settings from flags and file, starts the log, runs the
//! server.
use std::path::PathBuf;

use clap::Args;

use crate::cli::io::fail::Failed;
use crate::cli::io::logging;
use crate::server;
use crate::settings::{Mode, Settings};

/// Flags of a member.
#[derive(Args, Clone, Debug)]
pub(crate) struct MemberArgs {
    /// TOML file with settings of the same names, such as `heartbeat-ms = 100`; flags win over it.
    #[arg(long, value_name = "FILE", env = "SYNOD_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Runs a member until it is told to stop.
pub(crate) async fn run(args: MemberArgs, mode: Mode) -> Result<(), Failed> {
    let file = args.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    let settings = args.settings.or(file);
    let (format, level) = settings.log();
    let options = settings.into_options(mode)?;
    logging::start(format, &level)?;
    Ok(server::run(options).await?)
}
