//! The session that a command opens for itself: its flags, its label, and how it is opened.
use std::time::{Duration, Instant};

use clap::Args;
use synod_client::{Client, Session};

use super::cluster::Global;
use super::fail::Failed;
use crate::cli::values::units::seconds;

/// Flags of commands that open a session.
#[derive(Args, Clone, Debug)]
pub(crate) struct SessionFlags {
    /// Time to live, in seconds: how long the session outlives the last sign of its client
    /// [default: the cluster's, 10].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) ttl: Option<Duration>,
    /// What others see in `synod session list` [default: synod, host and process].
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// If the time to live is out of the cluster's bounds, take the nearest that is allowed.
    #[arg(long)]
    pub(crate) nearest: bool,
}

/// The label of this process's sessions: host and process id, for operators.
pub(crate) fn default_label() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => format!("synod, process {}", std::process::id()),
        host => format!("synod on {host}, process {}", std::process::id()),
    }
}

impl SessionFlags {
    /// Connects, and opens a session as the flags describe it, in the time that a request may take.
    pub(crate) async fn open(&self, global: &Global) -> Result<(Client, Session), Failed> {
        let began = Instant::now();
        let client = global.learning_client().await?;
        let within = Duration::from_millis(global.timeout_ms).saturating_sub(began.elapsed());
        let label = self.label.clone().unwrap_or_else(default_label);
        let mut wanted = client.session().label(label).within(within);
        if let Some(ttl) = self.ttl {
            wanted = wanted.ttl(ttl);
        }
        if self.nearest {
            wanted = wanted.nearest_ttl();
        }
        let session = wanted.open().await?;
        Ok((client, session))
    }
}
