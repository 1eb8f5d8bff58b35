//! The settings of a member, from flags and from a config file: one list for both, merged into the
//! server's options.
//!
//! A flag wins over the file, the file over the default. The file is TOML with the flags' names; an
//! unknown name is an error, because a misspelt setting that is silently ignored is found out at
//! the worst time.
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use synod_service::ScrubPace;

use super::address::{HostPort, PeerSpec, check_member_name};
use super::kill::KillPoint;
use super::options::{LogFormat, ServerOptions};

/// A setting that is missing, malformed or contradicts another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) next: Option<String>,
}

impl Invalid {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), next: None }
    }

    fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

/// Which of the two commands runs the member: their defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `synod dev`.
    Dev,
    /// `synod start`.
    Start,
}

const DEFAULT_CLIENT_ADDR: &str = "127.0.0.1:7070";
const DEFAULT_DEV_DATA: &str = "synod-data";
const HEARTBEAT_MS: u64 = 100;
const ELECTION_MIN_MS: u64 = 400;
const ELECTION_MAX_MS: u64 = 600;
const SNAPSHOT_ENTRIES: u64 = 50_000;
const LOG_LIMIT_MIB: u16 = 2_048;
const BLOCK_CACHE_MIB: u16 = 160;
const WRITE_BUFFER_MIB: u16 = 128;
const OPEN_FILES: u16 = 512;
/// With less, every few rows make a table file.
const LEAST_MIB: u16 = 8;
const LEAST_OPEN_FILES: u16 = 64;
const MIB: usize = 1_024 * 1_024;
const SCRUB_HOURS: u16 = 24;
const SCRUB_MIB_PER_SECOND: u16 = 16;
const SECONDS_PER_HOUR: u64 = 3_600;
const CALL_TIMEOUT_MS: u64 = 10_000;
const SHUTDOWN_GRACE_MS: u64 = 500;
/// At `info` the consensus library logs what only its authors need.
const DEFAULT_LOG_LEVEL: &str = "info,openraft=warn";
/// Shortest election timeout, in heartbeats: fewer, and one late packet elects.
const HEARTBEATS_PER_ELECTION: u64 = 2;

/// Every setting of a member. All are optional here; defaults come when they are merged.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Name of this member, one of those in --peers [dev: dev].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Folder of this member's data; created if it is missing [dev: ./synod-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where to listen for clients [default: 127.0.0.1:7070].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) client_addr: Option<String>,
    /// Where clients reach this member, if not at --client-addr.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) client_advertise: Option<String>,
    /// Where to listen for other members [default: this member's address in --peers].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) peer_addr: Option<String>,
    /// Every member of the cluster, this one among them, the same on each: NAME=HOST:PORT or
    /// NAME=HOST:PORT/CLIENT-PORT. Empty folders form the cluster once; later starts find it in the
    /// folder. Without it, a cluster of one.
    #[arg(long, value_delimiter = ',', value_name = "NAME=HOST:PORT,…")]
    pub(crate) peers: Option<Vec<String>>,
    /// Time between a leader's heartbeats, in milliseconds [default: 100].
    #[arg(long, value_name = "MS")]
    pub(crate) heartbeat_ms: Option<u64>,
    /// Shortest time without a leader before an election, in milliseconds [default: 400].
    #[arg(long, value_name = "MS")]
    pub(crate) election_min_ms: Option<u64>,
    /// Longest time without a leader before an election, in milliseconds [default: 600].
    #[arg(long, value_name = "MS")]
    pub(crate) election_max_ms: Option<u64>,
    /// Entries after which a snapshot is made and the log purged [default: 50000].
    #[arg(long, value_name = "N")]
    pub(crate) snapshot_entries: Option<u64>,
    /// Most of the log that is kept for members that are slow or receive a snapshot, in MiB: beyond
    /// it they get a newer snapshot [default: 2048].
    #[arg(long, value_name = "MIB")]
    pub(crate) log_limit_mib: Option<u16>,
    /// Memory for what was read of the disk, in MiB [default: 160].
    #[arg(long, value_name = "MIB")]
    pub(crate) block_cache_mib: Option<u16>,
    /// Memory for what is not in table files yet, in MiB. After a crash, a member runs again what
    /// filled half of it [default: 128].
    #[arg(long, value_name = "MIB")]
    pub(crate) write_buffer_mib: Option<u16>,
    /// Table files that are kept open [default: 512].
    #[arg(long, value_name = "N")]
    pub(crate) open_files: Option<u16>,
    /// Hours from one scrub of this member's state to the next; 0: only when `synod cluster scrub`
    /// asks for it [default: 24].
    #[arg(long, value_name = "HOURS")]
    pub(crate) scrub_hours: Option<u16>,
    /// MiB of rows that a scrub reads a second, at most [default: 16].
    #[arg(long, value_name = "MIB")]
    pub(crate) scrub_mib_per_second: Option<u16>,
    /// How long a call may wait for its outcome before it is unknown, in milliseconds [default:
    /// 10000].
    #[arg(long, value_name = "MS")]
    pub(crate) call_timeout_ms: Option<u64>,
    /// How long a stopping member lets calls in flight finish, in milliseconds [default: 500].
    #[arg(long, value_name = "MS")]
    pub(crate) shutdown_grace_ms: Option<u64>,
    /// Install the bundled recipes where the cluster has none of their names [default: true].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) bundled: Option<bool>,
    /// Let an install replace other bytes under the same name and version [dev: true, start:
    /// false].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) replace: Option<bool>,
    /// How log lines look, on standard error [default: text].
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// Least important level to log, or a filter such as info,synod_consensus=debug [default:
    /// info,openraft=warn].
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// With an empty folder: stand in for the member of this name whose data was lost. It gets
    /// everything from the others, and its vote once it has caught up. Without effect on a folder
    /// that has data.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) replace_lost: Option<bool>,
    /// For tests: the point at which the process kills itself, and at which time.
    #[arg(long, hide = true, value_parser = super::kill::parse, value_name = "NAME[:TIMES]")]
    #[serde(skip)]
    pub(crate) crash_at: Option<KillPoint>,
}

impl Settings {
    /// Reads a config file.
    pub(crate) fn read(path: &Path) -> Result<Self, Invalid> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Invalid::new(format!("cannot read {}: {error}", path.display())))?;
        Self::parse(&text).map_err(|error| {
            Invalid::new(format!("{}: {error}", path.display()))
                .next("`synod start --help` lists the settings; the file has the flags' names")
        })
    }

    pub(super) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// These settings, and those of `file` where they say nothing.
    #[must_use]
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            name: self.name.or(file.name),
            data: self.data.or(file.data),
            client_addr: self.client_addr.or(file.client_addr),
            client_advertise: self.client_advertise.or(file.client_advertise),
            peer_addr: self.peer_addr.or(file.peer_addr),
            peers: self.peers.or(file.peers),
            heartbeat_ms: self.heartbeat_ms.or(file.heartbeat_ms),
            election_min_ms: self.election_min_ms.or(file.election_min_ms),
            election_max_ms: self.election_max_ms.or(file.election_max_ms),
            snapshot_entries: self.snapshot_entries.or(file.snapshot_entries),
            log_limit_mib: self.log_limit_mib.or(file.log_limit_mib),
            block_cache_mib: self.block_cache_mib.or(file.block_cache_mib),
            write_buffer_mib: self.write_buffer_mib.or(file.write_buffer_mib),
            open_files: self.open_files.or(file.open_files),
            scrub_hours: self.scrub_hours.or(file.scrub_hours),
            scrub_mib_per_second: self.scrub_mib_per_second.or(file.scrub_mib_per_second),
            call_timeout_ms: self.call_timeout_ms.or(file.call_timeout_ms),
            shutdown_grace_ms: self.shutdown_grace_ms.or(file.shutdown_grace_ms),
            bundled: self.bundled.or(file.bundled),
            replace: self.replace.or(file.replace),
            log_format: self.log_format.or(file.log_format),
            log_level: self.log_level.or(file.log_level),
            replace_lost: self.replace_lost.or(file.replace_lost),
            crash_at: self.crash_at,
        }
    }

    /// The log's format and its level or filter.
    pub(crate) fn log(&self) -> (LogFormat, String) {
        let format = self.log_format.unwrap_or_default();
        let level = self.log_level.clone().unwrap_or_else(|| DEFAULT_LOG_LEVEL.to_owned());
        (format, level)
    }

    /// The server's options, with defaults filled in and checked as far as that needs no network or
    /// disk.
    pub(crate) fn into_options(self, mode: Mode) -> Result<ServerOptions, Invalid> {
        let dev = mode == Mode::Dev;
        let peers = parse_peers(self.peers.unwrap_or_default())?;
        if dev && !peers.is_empty() {
            return Err(Invalid::new("`synod dev` is a cluster of one and takes no --peers")
                .next("use `synod start` for a member of a cluster"));
        }
        let needed =
            |flag: &str| Invalid::new(format!("a member needs --{flag}, as a flag or in the config file"));
        let name = self.name.or_else(|| dev.then(|| "dev".to_owned())).ok_or_else(|| needed("name"))?;
        check_member_name(&name).map_err(|error| Invalid::new(format!("--name: {error}")))?;
        let own = peers.iter().find(|peer| peer.name == name);
        if !peers.is_empty() && own.is_none() {
            let names = peers.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Invalid::new(format!(
                "--name is `{name}`, but --peers has only {names}: every member is in the list, itself too"
            )));
        }
        let listed_client = own.and_then(|peer| peer.client.clone());
        let client_addr = match parse_address("client-addr", self.client_addr)?.or(listed_client.clone()) {
            Some(address) => address,
            None => DEFAULT_CLIENT_ADDR.parse().map_err(Invalid::new)?,
        };
        let peer_addr =
            parse_address("peer-addr", self.peer_addr)?.or_else(|| own.map(|peer| peer.peer.clone()));
        let data_dir = self
            .data
            .or_else(|| dev.then(|| PathBuf::from(DEFAULT_DEV_DATA)))
            .ok_or_else(|| needed("data"))?;
        let options = ServerOptions {
            name,
            data_dir,
            client_addr,
            client_advertise: parse_address("client-advertise", self.client_advertise)?.or(listed_client),
            peer_addr,
            peers,
            heartbeat_ms: self.heartbeat_ms.unwrap_or(HEARTBEAT_MS),
            election_min_ms: self.election_min_ms.unwrap_or(ELECTION_MIN_MS),
            election_max_ms: self.election_max_ms.unwrap_or(ELECTION_MAX_MS),
            snapshot_entries: self.snapshot_entries.unwrap_or(SNAPSHOT_ENTRIES),
            log_limit_bytes: u64::from(at_least(
                "log-limit-mib",
                self.log_limit_mib,
                LOG_LIMIT_MIB,
                LEAST_MIB,
            )?) * MIB as u64,
            block_cache_bytes: at_least("block-cache-mib", self.block_cache_mib, BLOCK_CACHE_MIB, LEAST_MIB)?
                as usize
                * MIB,
            write_buffer_bytes: at_least(
                "write-buffer-mib",
                self.write_buffer_mib,
                WRITE_BUFFER_MIB,
                LEAST_MIB,
            )? as usize
                * MIB,
            open_files: at_least("open-files", self.open_files, OPEN_FILES, LEAST_OPEN_FILES)?.into(),
            scrub: scrub_pace(self.scrub_hours, self.scrub_mib_per_second)?,
            call_timeout_ms: self.call_timeout_ms.unwrap_or(CALL_TIMEOUT_MS),
            shutdown_grace_ms: self.shutdown_grace_ms.unwrap_or(SHUTDOWN_GRACE_MS),
            bundled: self.bundled.unwrap_or(true),
            replace: self.replace.unwrap_or(dev),
            replace_lost: self.replace_lost.unwrap_or(false),
            crash_at: self.crash_at.unwrap_or_default(),
        };
        check_times(&options)?;
        check_advertised(&options)?;
        Ok(options)
    }
}

fn at_least(flag: &str, set: Option<u16>, default: u16, least: u16) -> Result<u16, Invalid> {
    let value = set.unwrap_or(default);
    if value < least {
        return Err(Invalid::new(format!("--{flag} is {value}; it must be at least {least}")));
    }
    Ok(value)
}

fn scrub_pace(hours: Option<u16>, mib_per_second: Option<u16>) -> Result<ScrubPace, Invalid> {
    let hours = hours.unwrap_or(SCRUB_HOURS);
    let mib = at_least("scrub-mib-per-second", mib_per_second, SCRUB_MIB_PER_SECOND, 1)?;
    Ok(ScrubPace {
        every: (hours > 0).then(|| Duration::from_secs(u64::from(hours) * SECONDS_PER_HOUR)),
        bytes_per_second: u64::from(mib) * MIB as u64,
    })
}

fn check_times(options: &ServerOptions) -> Result<(), Invalid> {
    let ServerOptions {
        heartbeat_ms,
        election_min_ms,
        election_max_ms,
        snapshot_entries,
        call_timeout_ms,
        ..
    } = *options;
    for (flag, value) in [
        ("heartbeat-ms", heartbeat_ms),
        ("snapshot-entries", snapshot_entries),
        ("call-timeout-ms", call_timeout_ms),
    ] {
        if value == 0 {
            return Err(Invalid::new(format!("--{flag} is 0; it must be at least 1")));
        }
    }
    let least = heartbeat_ms.saturating_mul(HEARTBEATS_PER_ELECTION);
    if election_min_ms < least {
        let why = format!(
            "--election-min-ms is {election_min_ms}; it must be at least twice the heartbeat, {least}"
        );
        return Err(Invalid::new(why).next("raise it, or lower --heartbeat-ms"));
    }
    if election_max_ms <= election_min_ms {
        return Err(Invalid::new(format!(
            "--election-max-ms is {election_max_ms}; it must be larger than --election-min-ms, \
                {election_min_ms}, so that members do not stand at the same time"
        )));
    }
    Ok(())
}

fn parse_address(flag: &str, text: Option<String>) -> Result<Option<HostPort>, Invalid> {
    text.map(|text| text.parse().map_err(|error| Invalid::new(format!("--{flag}: {error}")))).transpose()
}

fn parse_peers(texts: Vec<String>) -> Result<Vec<PeerSpec>, Invalid> {
    let mut peers: Vec<PeerSpec> = Vec::with_capacity(texts.len());
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let peer: PeerSpec = text.parse().map_err(|error| Invalid::new(format!("--peers: {error}")))?;
        if let Some(other) = peers.iter().find(|other| other.name == peer.name) {
            return Err(Invalid::new(format!("--peers: two members are called `{}`", other.name)));
        }
        if let Some((address, other)) = shared_address(&peers, &peer) {
            return Err(Invalid::new(format!(
                "--peers: `{other}` and `{}` both have the address {address}",
                peer.name
            )));
        }
        if let Some(address) = addresses(&peer).find(|address| address.is_unspecified() || address.port == 0)
        {
            return Err(Invalid::new(format!(
                "--peers: nobody can connect to {address}, the address of `{}`",
                peer.name
            ))
            .next("write the address by which the others reach it; --peer-addr says where it listens"));
        }
        peers.push(peer);
    }
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(peers)
}

fn addresses(peer: &PeerSpec) -> impl Iterator<Item = &HostPort> {
    std::iter::once(&peer.peer).chain(&peer.client)
}

/// An address that `peer` has twice, or has with one of `peers`, whose name is returned.
fn shared_address<'a>(peers: &'a [PeerSpec], peer: &'a PeerSpec) -> Option<(&'a HostPort, &'a str)> {
    if peer.client.as_ref() == Some(&peer.peer) {
        return Some((&peer.peer, &peer.name));
    }
    let others = peers.iter().flat_map(|other| addresses(other).map(move |address| (address, other)));
    others
        .filter(|(address, _)| addresses(peer).any(|own| own == *address))
        .map(|(address, other)| (address, other.name.as_str()))
        .next()
}

/// Checks that clients are told an address that they can connect to.
fn check_advertised(options: &ServerOptions) -> Result<(), Invalid> {
    let ServerOptions { client_addr, client_advertise, .. } = options;
    let advertised = client_advertise.as_ref().unwrap_or(client_addr);
    if !advertised.is_unspecified() {
        return Ok(());
    }
    Err(Invalid::new(format!("clients would be told to connect to {advertised}, where nobody can"))
        .next("say by which address they reach this member: --client-advertise HOST:PORT"))
}

#[cfg(test)]
mod tests;
