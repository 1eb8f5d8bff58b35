//! The options of a server, complete and checked, and why a server does not start or stops.
use std::path::PathBuf;

use synod_service::ScrubPace;

use super::address::{HostPort, PeerSpec};
use super::kill::KillPoint;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What a server runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerOptions {
    /// Name of this member.
    pub(crate) name: String,
    /// Folder of its data; created if it is missing.
    pub(crate) data_dir: PathBuf,
    /// Where it listens for clients.
    pub(crate) client_addr: HostPort,
    /// The client address that it advertises; the listening address if absent.
    pub(crate) client_advertise: Option<HostPort>,
    /// Where it listens for members; absent for a cluster of one that nobody joins.
    pub(crate) peer_addr: Option<HostPort>,
    /// Every member of the cluster to be formed, this one among them, by name; empty for a cluster
    /// of one.
    pub(crate) peers: Vec<PeerSpec>,
    /// Time between heartbeats of a leader.
    pub(crate) heartbeat_ms: u64,
    /// Shortest time without a leader before an election.
    pub(crate) election_min_ms: u64,
    /// Longest time without a leader before an election.
    pub(crate) election_max_ms: u64,
    /// Entries after which a snapshot is made and the log purged.
    pub(crate) snapshot_entries: u64,
    /// Most of the log that is kept for members that are behind, in bytes.
    pub(crate) log_limit_bytes: u64,
    /// Memory for blocks of table files, in bytes.
    pub(crate) block_cache_bytes: usize,
    /// Memory for what is not in table files yet, in bytes.
    pub(crate) write_buffer_bytes: usize,
    /// Table files that are open.
    pub(crate) open_files: i32,
    /// How often its state is scrubbed, and how fast.
    pub(crate) scrub: ScrubPace,
    /// How long a call may wait for its outcome before the member reports it as unknown.
    pub(crate) call_timeout_ms: u64,
    /// How long a stopping member lets calls in flight finish.
    pub(crate) shutdown_grace_ms: u64,
    /// Whether the bundled recipes are installed when the cluster has none of their name.
    pub(crate) bundled: bool,
    /// Whether an install may replace other bytes under the same name and version.
    pub(crate) replace: bool,
    /// Whether a member with an empty folder stands in for the lost one of its name.
    pub(crate) replace_lost: bool,
    /// For tests: the named point at which the process kills itself.
    pub(crate) crash_at: KillPoint,
}

/// Why a member does not run, or stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartError {
    /// The options cannot work: a wrong address, a data folder of another cluster or of a newer
    /// format.
    #[error("{0}")]
    Usage(String),
    /// Something that it needs is not available yet: a port in use, no quorum while forming.
    #[error("{0}")]
    Unavailable(String),
    /// A local failure stopped it: a failing disk, corruption, a broken invariant.
    #[error("{0}")]
    Fatal(String),
}

impl StartError {
    /// A local failure, as its own words tell it.
    pub(crate) fn fatal(error: impl std::fmt::Display) -> Self {
        Self::Fatal(error.to_string())
    }
}
