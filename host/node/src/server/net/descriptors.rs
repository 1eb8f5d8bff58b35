//! The file descriptors of this process: the limit is raised at the start, and divided.
//!
//! The store, the runtime and the way to the other members come first, because a member that cannot
//! open a table file stops. What is left over is for connections, with a fixed part for the peer
//! port, so that clients can use up neither.
use std::io;

use libc::rlimit;

/// Most connections of clients. An idle one takes about 20 KiB of memory.
const CLIENT_CONNECTIONS: usize = 16_384;
/// Most connections to the peer port, where each member has one or two.
const PEER_CONNECTIONS: usize = 256;
/// Descriptors beside table files and incoming connections: locks and logs of two databases, the
/// log's table files, the files of a snapshot, the pipes of a compiler, connections to the members.
const OWN: u64 = 256;
/// Generations of the state that are open at the same time: the current one, and one that is
/// received.
const GENERATIONS: u64 = 2;
/// Fewer table files than this make RocksDB open one for every read.
const LEAST_TABLE_FILES: u64 = 20;
/// Where the limit is too small for all, one part in so many is for table files, and one for
/// connections.
const SCARCE_PARTS: u64 = 4;
/// Of the connections that a small limit allows, one in so many is for the peer port.
const PEER_PARTS: usize = 3;

/// Who may have how many descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// The limit of this process.
    pub(crate) limit: u64,
    /// Table files that the store keeps open.
    pub(crate) table_files: i32,
    /// Connections of clients.
    pub(crate) clients: usize,
    /// Connections to the peer port.
    pub(crate) peers: usize,
}

impl Descriptors {
    /// Raises the limit of this process as far as it is needed and allowed, and divides it.
    /// `table_files` is how many the store would like to keep open.
    pub(crate) fn raise(table_files: i32) -> Self {
        let wanted = wanted(table_files);
        let limit = raise_to(wanted).unwrap_or_else(|error| {
            tracing::warn!(%error, "the limit of file descriptors cannot be read: the usual one is assumed");
            wanted
        });
        let divided = Self::divide(limit, table_files);
        if divided.clients < CLIENT_CONNECTIONS {
            tracing::warn!(
                limit,
                wanted,
                clients = divided.clients,
                peers = divided.peers,
                table_files = divided.table_files,
                "the limit of file descriptors is low, so that few clients can connect; raise it with \
                    `ulimit -n` or LimitNOFILE"
            );
        }
        divided
    }

    /// Divides `limit`.
    fn divide(limit: u64, table_files: i32) -> Self {
        let files = u64::try_from(table_files).unwrap_or_default();
        let part = limit / SCARCE_PARTS;
        let left_over = limit.saturating_sub(OWN + GENERATIONS * files);
        let connections = usize::try_from(left_over.max(part)).unwrap_or(usize::MAX);
        let peers = PEER_CONNECTIONS.min(connections / PEER_PARTS).max(1);
        let clients = CLIENT_CONNECTIONS.min(connections.saturating_sub(peers)).max(1);
        let table_files = if left_over >= part { files } else { files.min(part.max(LEAST_TABLE_FILES)) };
        let table_files = i32::try_from(table_files).unwrap_or(i32::MAX);
        Self { limit, table_files, clients, peers }
    }
}

/// The limit with which nothing is scarce.
fn wanted(table_files: i32) -> u64 {
    let files = u64::try_from(table_files).unwrap_or_default();
    OWN + GENERATIONS * files + (CLIENT_CONNECTIONS + PEER_CONNECTIONS) as u64
}

/// Raises the soft limit to `wanted`, or to the hard one if that is lower; the limit that is in
/// force then.
fn raise_to(wanted: u64) -> io::Result<u64> {
    let mut limits = rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` lives during the call, which only writes it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let before = limits.rlim_cur;
    if before >= wanted {
        return Ok(before);
    }
    limits.rlim_cur = wanted.min(limits.rlim_max);
    // SAFETY: `limits` lives during the call, which only reads it.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) } {
        0 => Ok(limits.rlim_cur),
        _ => Ok(before),
    }
}

#[cfg(test)]
mod tests;
