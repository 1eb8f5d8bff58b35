//! Three members of etcd, with the settings that it has by itself.
use std::path::Path;
use std::process::Command;

use synod_tests::cluster::free_addresses;

use super::{MEMBERS, Start};

pub(super) fn starts(programs: &Path, folder: &Path) -> Vec<Start> {
    let addresses = free_addresses(MEMBERS * 2);
    let (clients, peers) = addresses.split_at(MEMBERS);
    let list: Vec<_> = peers.iter().enumerate().map(|(n, peer)| format!("{n}=http://{peer}")).collect();
    let start = |n: usize| {
        let (client, peer) = (format!("http://{}", clients[n]), format!("http://{}", peers[n]));
        let mut command = Command::new(programs.join("etcd"));
        command.args(["--name", &n.to_string(), "--log-level", "error"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &list.join(","), "--initial-cluster-state", "new"]);
        command.arg("--data-dir").arg(folder.join(n.to_string()));
        Start { command, endpoint: clients[n].clone() }
    };
    (0..MEMBERS).map(start).collect()
}
