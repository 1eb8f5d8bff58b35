//! What can be set, with the reasons for the defaults. They suit members in one data centre with
//! ordinary disks.
use std::io;
use std::sync::Arc;

use openraft::type_config::TypeConfigExt;

use crate::runtime::AsyncRuntime;
use crate::types::Types;

/// Entries that wait for openraft's core. The proposer has a few in flight, each peer's stream up
/// to 64.
const CORE_QUEUE_ENTRIES: u64 = 4_096;
/// Entries that the log writer gets in one call.
const APPEND_BATCH_ENTRIES: u64 = 4_096;
/// Delays between attempts to reach a peer that cannot be reached: short, because a restarted peer
/// should catch up soon.
const BACKOFF: &str = "50ms 100ms 200ms ..500ms";

/// Where blocking work goes: writing and installing snapshots, reading of the log what is not in
/// memory, and waiting for room in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocking {
    /// On the runtime's threads for blocking work.
    #[default]
    Threads,
    /// Right where it is: in a simulation, which has no threads.
    Inline,
}

impl Blocking {
    pub(crate) async fn run<RT: AsyncRuntime, T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Self::Threads => Types::<RT>::spawn_blocking(work).await,
            Self::Inline => Ok(work()),
        }
    }
}

/// Settings of a member's consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often a leader assures its followers that it is there. It also bounds how long the
    /// answer may take, and that waits for the follower's fsync: with disks that stall, raise it
    /// together with the election time-outs.
    pub heartbeat_interval_ms: u64,
    /// A follower that hears nothing for [`election_timeout_max_ms`](Self::election_timeout_max_ms)
    /// and then for a random time from this one to that one stands for election.
    pub election_timeout_min_ms: u64,
    /// See [`election_timeout_min_ms`](Self::election_timeout_min_ms). It is also the leader's
    /// lease: a leader that no majority has answered for so long takes nothing in.
    pub election_timeout_max_ms: u64,
    /// A leader without a majority is quiet for so long, then tries for so long, in turns: without
    /// the quiet, members that see only some others may never elect one. At least twice the largest
    /// election time-out.
    pub quorum_loss_probe_interval_ms: u64,
    /// How long a stream of entries to a peer may owe an answer before it is given up and begun
    /// anew.
    pub replication_idle_timeout_ms: u64,
    /// How long a member may take to verify and install a snapshot that it has received; then it is
    /// offered anew.
    pub snapshot_timeout_ms: u64,
    /// Entries in one message to a peer. A message also ends at 1 MiB.
    pub replication_batch_entries: u64,
    /// Entries after which the log is compacted; a member that misses more than
    /// [`log_entries_to_keep`](Self::log_entries_to_keep) then catches up by snapshot. A compaction
    /// itself writes no file.
    pub compaction_entries: u64,
    /// Bytes after which the log is compacted whatever the number of its entries is; so many of the
    /// newest stay. The log thus takes two to three times as many on disk, if no peer is slow.
    pub compaction_bytes: u64,
    /// Most bytes that the log keeps for peers that are slow and for who receives a snapshot;
    /// beyond them such a peer gets a newer snapshot.
    pub log_limit_bytes: u64,
    /// Entries that stay in the log behind a compaction, for members that were away for a while.
    pub log_entries_to_keep: u64,
    /// Fewest entries removed from the log at once, because each removal leaves a mark in RocksDB.
    pub purge_batch_entries: u64,
    /// Where blocking work goes.
    pub blocking: Blocking,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 100,
            election_timeout_min_ms: 400,
            election_timeout_max_ms: 600,
            quorum_loss_probe_interval_ms: 1_500,
            replication_idle_timeout_ms: 2_000,
            snapshot_timeout_ms: 600_000,
            replication_batch_entries: 2_048,
            compaction_entries: 500_000,
            compaction_bytes: 512 * 1_024 * 1_024,
            log_limit_bytes: 2 * 1_024 * 1_024 * 1_024,
            log_entries_to_keep: 200_000,
            purge_batch_entries: 20_000,
            blocking: Blocking::Threads,
        }
    }
}

/// A setting that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {actual}, it must be {expected}")]
pub struct BadSettings {
    /// Which.
    pub setting: &'static str,
    /// Its value.
    pub actual: u64,
    /// What it may be.
    pub expected: String,
}

impl Settings {
    /// Whether the settings agree with each other.
    ///
    /// # Errors
    /// Which one does not, and what it may be.
    pub fn validate(&self) -> Result<(), BadSettings> {
        let least = |setting, actual: u64, least: u64| {
            let expected = format!("at least {least}");
            if actual < least { Err(BadSettings { setting, actual, expected }) } else { Ok(()) }
        };
        least("heartbeat_interval_ms", self.heartbeat_interval_ms, 5)?;
        least(
            "election_timeout_min_ms",
            self.election_timeout_min_ms,
            self.heartbeat_interval_ms.saturating_mul(3),
        )?;
        least(
            "election_timeout_max_ms",
            self.election_timeout_max_ms,
            self.election_timeout_min_ms.saturating_add(10),
        )?;
        least(
            "quorum_loss_probe_interval_ms",
            self.quorum_loss_probe_interval_ms,
            self.election_timeout_max_ms.saturating_mul(2),
        )?;
        least("replication_idle_timeout_ms", self.replication_idle_timeout_ms, self.election_timeout_max_ms)?;
        least("snapshot_timeout_ms", self.snapshot_timeout_ms, 1_000)?;
        least("replication_batch_entries", self.replication_batch_entries, 1)?;
        least("compaction_entries", self.compaction_entries, 1)?;
        least("compaction_bytes", self.compaction_bytes, 64 * 1_024)?;
        least("log_limit_bytes", self.log_limit_bytes, self.compaction_bytes)?;
        least("purge_batch_entries", self.purge_batch_entries, 1)
    }

    pub(crate) fn to_openraft(&self) -> Result<Arc<openraft::Config>, BadSettings> {
        self.validate()?;
        // What the log keeps is `retention`'s: openraft purges nothing by itself.
        let config = openraft::Config {
            cluster_name: "synod".to_owned(),
            election_timeout_min: self.election_timeout_min_ms,
            election_timeout_max: self.election_timeout_max_ms,
            heartbeat_interval: self.heartbeat_interval_ms,
            install_snapshot_timeout: self.snapshot_timeout_ms,
            max_payload_entries: self.replication_batch_entries,
            max_append_entries: Some(APPEND_BATCH_ENTRIES),
            replication_lag_threshold: u64::MAX,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.compaction_entries),
            max_in_snapshot_log_to_keep: u64::MAX,
            api_channel_size: Some(CORE_QUEUE_ENTRIES),
            broadcast_submitted_on_append: Some(true),
            quorum_loss_probe_interval: Some(self.quorum_loss_probe_interval_ms),
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            allow_log_reversion: Some(false),
            backoff: BACKOFF.to_owned(),
            ..openraft::Config::default()
        };
        let config = config.validate().map_err(|error| BadSettings {
            setting: "a setting of the consensus",
            actual: 0,
            expected: error.to_string(),
        })?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests;
