//! Three members of ZooKeeper, with the settings of its sample configuration and the heap of its
//! start script, as users of its package have them.
use std::path::Path;
use std::process::Command;

use synod_tests::cluster::free_addresses;

use super::{MEMBERS, Start};

/// The heap that `zkEnv.sh` gives a server.
const HEAP: &str = "-Xmx1000m";

pub(super) fn starts(jars: &Path, folder: &Path) -> std::io::Result<Vec<Start>> {
    let addresses = free_addresses(MEMBERS * 3);
    let (clients, others) = addresses.split_at(MEMBERS);
    let (followers, elections) = others.split_at(MEMBERS);
    let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    let list: String = (0..MEMBERS)
        .map(|n| format!("server.{}={}:{}\n", n + 1, followers[n], port(&elections[n])))
        .collect();
    let start = |n: usize| {
        let data = folder.join(n.to_string());
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("myid"), format!("{}\n", n + 1))?;
        let (host, client_port) = clients[n].rsplit_once(':').unwrap_or_default();
        let settings = format!(
            "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={client_port}\n\
                clientPortAddress={host}\nmaxClientCnxns=0\nadmin.enableServer=false\n\
                4lw.commands.whitelist=srvr\n{list}",
            data.display()
        );
        let file = folder.join(format!("{n}.cfg"));
        std::fs::write(&file, settings)?;
        let mut command = Command::new("java");
        command.arg(HEAP).arg("-cp").arg(jars.join("*"));
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(file);
        Ok(Start { command, endpoint: clients[n].clone() })
    };
    (0..MEMBERS).map(start).collect()
}
