//! What a member is started with, after flags, config file and defaults are merged: the contract
//! between the command line, which makes it, and the server, which runs on it.
//!
//! Addresses are only checked for their form here; binding and resolving them is the server's work.
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A host name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostPort {
    /// Name or address; an IPv6 address without its brackets.
    pub(crate) host: String,
    /// The port; 0 when listening means any free one.
    pub(crate) port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not host:port, such as 127.0.0.1:7070, db1.example:7070 or [::1]:7070");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bare {
            Some(bare) => bare,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || host.contains(['/', ' ', ',', '=']) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A member of the cluster to be formed, as written `name=host:port` or
/// `name=host:port/client-port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerSpec {
    /// The member's name; unique in the cluster.
    pub(crate) name: String,
    /// Where other members reach it.
    pub(crate) peer: HostPort,
    /// Where its clients reach it, if it was written; otherwise the member itself says so.
    pub(crate) client: Option<HostPort>,
}

/// Longest name of a member, in bytes.
const MEMBER_NAME_BYTES: usize = 64;

impl FromStr for PeerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("`{text}` is not name=host:port or name=host:port/client-port: {why}");
        let (name, rest) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        check_member_name(name).map_err(|why| wrong(&why))?;
        let (peer, client_port) = match rest.split_once('/') {
            Some((peer, port)) => (
                peer,
                Some(port.parse::<u16>().map_err(|_| wrong("the client port is not a number up to 65535"))?),
            ),
            None => (rest, None),
        };
        let peer: HostPort = peer.parse().map_err(|why: String| wrong(&why))?;
        let client = client_port.map(|port| HostPort { host: peer.host.clone(), port });
        Ok(Self { name: name.to_owned(), peer, client })
    }
}

/// Says what is wrong with a member's name.
pub(crate) fn check_member_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MEMBER_NAME_BYTES || !name.chars().all(good) {
        return Err(format!(
            "a member's name is 1 to {MEMBER_NAME_BYTES} of a-z, 0-9, '-', '_' and '.'; `{name}` is not"
        ));
    }
    Ok(())
}

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

/// What a member runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerOptions {
    /// Name of this member; its id follows from the cluster's list.
    pub(crate) name: String,
    /// Folder of its data; made if it is not there.
    pub(crate) data_dir: PathBuf,
    /// Where it listens for clients.
    pub(crate) client_addr: HostPort,
    /// What it tells others about where its clients connect; the listening address if absent.
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
    /// How long a call may wait for its outcome before the member says that it is unknown.
    pub(crate) call_timeout_ms: u64,
    /// How long a stopping member lets calls in flight finish.
    pub(crate) shutdown_grace_ms: u64,
    /// Whether the bundled recipes are installed when the cluster has none of their name.
    pub(crate) bundled: bool,
    /// Whether an install may replace other bytes under the same name and version.
    pub(crate) replace: bool,
    /// For tests: the named point at which the process kills itself.
    pub(crate) crash_at: Option<String>,
}

/// Why a member does not run, or stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartError {
    /// It was asked for something that cannot be: a wrong address, a folder of another cluster or a
    /// newer format.
    #[error("{0}")]
    Usage(String),
    /// Something that it needs is not there yet: a port in use, no quorum while forming.
    #[error("{0}")]
    Unavailable(String),
    /// A local cause stopped it: a failing disk, corruption, a broken invariant.
    #[error("{0}")]
    Fatal(String),
}

#[cfg(test)]
mod tests;
