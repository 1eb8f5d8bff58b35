//! The workloads that all drivers know by the same names: `DRIVERS.md` says what each does.
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What one operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// One of many keys is set.
    Write,
    /// One of many keys is read.
    Read,
    /// Nine reads to one write.
    Mixed,
    /// One counter is incremented by all.
    Counter,
    /// One lock is acquired and released by all.
    Lock,
    /// A lock of the client's own is acquired and released.
    Locks,
    /// All campaign, and resign when they are elected.
    Election,
    /// A session is opened and closed.
    Sessions,
    /// A key is set, and every watcher sees it.
    Watch,
    /// Every key is written once.
    Fill,
}

impl Workload {
    /// Those that go on until they are stopped.
    pub const LOADS: [Self; 9] = [
        Self::Write,
        Self::Read,
        Self::Mixed,
        Self::Counter,
        Self::Lock,
        Self::Locks,
        Self::Election,
        Self::Sessions,
        Self::Watch,
    ];

    /// Its name in a driver's arguments.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
