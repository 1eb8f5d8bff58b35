//! The services that are compared.
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Kind {
    /// This project's, of the same checkout.
    Synod,
    /// Apache ZooKeeper, through Curator.
    ZooKeeper,
    /// etcd, through its own client.
    Etcd,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Synod, Self::ZooKeeper, Self::Etcd];

    /// As its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synod => "Synod",
            Self::ZooKeeper => "ZooKeeper",
            Self::Etcd => "etcd",
        }
    }
}
