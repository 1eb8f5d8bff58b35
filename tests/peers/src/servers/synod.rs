//! Three members of Synod, with the settings that it has by itself.
use std::path::Path;
use std::process::Command;

use synod_tests::cluster::free_addresses;

use super::{MEMBERS, Start};

pub(super) fn starts(binary: &Path, folder: &Path) -> Vec<Start> {
    let addresses = free_addresses(MEMBERS * 2);
    let (clients, peers) = addresses.split_at(MEMBERS);
    let list = peers.iter().enumerate().map(|(n, peer)| format!("{n}={peer}")).collect::<Vec<_>>().join(",");
    let start = |n: usize| {
        let mut command = Command::new(binary);
        command.args(["start", "--name", &n.to_string(), "--client-addr", &clients[n], "--peers", &list]);
        command.arg("--data").arg(folder.join(n.to_string()));
        Start { command, endpoint: clients[n].clone() }
    };
    (0..MEMBERS).map(start).collect()
}
