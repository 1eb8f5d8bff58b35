//! Flags of `synod bench`.
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::workload::Kind;
use crate::cli::values::units::{count, seconds};

/// Most callers: each holds one request in flight.
const CLIENTS: u64 = 10_000;
/// Most watches.
const WATCHERS: u64 = 100_000;

/// Flags of `synod bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// What is measured.
    #[arg(value_enum, default_value = "kv-put")]
    pub(super) workload: Kind,
    /// Callers, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=CLIENTS))]
    pub(super) clients: u64,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(super) seconds: u64,
    /// How long to run before measuring, in seconds.
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(super) warmup_seconds: u64,
    /// Size of the values that are put, in bytes.
    #[arg(long, default_value_t = 100, value_name = "BYTES")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=255 * 1_024))]
    pub(super) value_bytes: u64,
    /// How many keys are used.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) keys: u64,
    /// The space [default: the recipe's name: counter, kv or lock].
    #[arg(long)]
    pub(super) space: Option<String>,
    /// Time to live of sessions, in seconds [default: the cluster's, 10].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(super) ttl: Option<Duration>,
    /// Which members are called.
    #[arg(long, value_enum, default_value_t)]
    pub(super) via: Via,
    /// Watches, all at one member [default: 1000 for watch-fanout, 10000 for watch-load].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=WATCHERS))]
    pub(super) watchers: Option<u64>,
    /// Connections that the watches are spread over, each with one stream.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) connections: u64,
    /// The member that is watched, host:port [default: the leader].
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) watch_at: Option<String>,
    /// Events a second of watch-load.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) events_per_second: u64,
    /// Watches that each event of watch-load matches.
    #[arg(long, default_value_t = 10, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=WATCHERS))]
    pub(super) matching: u64,
    /// How often watch-load has watches come and go.
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(super) rounds: u64,
}

/// Which members the callers talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Via {
    /// The leader, as the client library does by itself.
    #[default]
    Leader,
    /// All members, the callers spread evenly: followers forward.
    All,
}

impl BenchArgs {
    /// How many callers there are.
    pub(super) fn clients(&self) -> usize {
        count(self.clients)
    }

    /// How long to measure.
    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// How long to run before measuring.
    pub(super) fn warmup(&self) -> Duration {
        Duration::from_secs(self.warmup_seconds)
    }

    /// Size of the values that are put.
    pub(super) fn value_bytes(&self) -> usize {
        count(self.value_bytes)
    }

    /// The space to work in, for a workload of `recipe`.
    pub(super) fn space(&self, recipe: &str) -> String {
        self.space.clone().unwrap_or_else(|| recipe.to_owned())
    }
}
