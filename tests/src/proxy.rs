//! The network of a cluster under test: a TCP proxy in front of every port, and for each direction
//! between two ends a [`Flow`] that a test changes while it runs.
//!
//! It is user space only and needs no rights. Who calls a peer port is found by the process that
//! owns the socket, so one address a member is enough, and members may be named by it in
//! `--peers`. It carries bytes and knows nothing of what they mean.
mod carry;
mod flow;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use flow::{Flow, Toll, Tolls};

use crate::dice::Dice;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A member, by its number.
    Member(usize),
    /// Everybody who is no member.
    Clients,
}

/// The flows between all ends, and what they did.
#[derive(Debug)]
pub struct Network {
    members: usize,
    /// Row: from; column: to; the clients are the last.
    flows: watch::Sender<Vec<Flow>>,
    /// Processes of the members that run.
    processes: Mutex<Vec<Option<u32>>>,
    tolls: Tolls,
    seed: u64,
    connections: AtomicU64,
}

impl Network {
    /// A network of so many members, on which everything flows. Chance in it comes from `seed`.
    pub fn new(members: usize, seed: u64) -> Arc<Self> {
        let ends = members + 1;
        Arc::new(Self {
            members,
            flows: watch::Sender::new(vec![Flow::Open; ends * ends]),
            processes: Mutex::new(vec![None; members]),
            tolls: Tolls::default(),
            seed,
            connections: AtomicU64::new(0),
        })
    }

    /// Says which process a member is, or that it does not run.
    pub fn set_process(&self, member: usize, process: Option<u32>) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)[member] = process;
    }

    /// Changes how bytes get from one end to another.
    pub fn set(&self, from: End, to: End, flow: Flow) {
        let at = self.at(from, to);
        self.flows.send_modify(|flows| flows[at] = flow);
    }

    /// The same in both directions.
    pub fn set_both(&self, one: End, other: End, flow: Flow) {
        self.set(one, other, flow);
        self.set(other, one, flow);
    }

    /// Everything flows again.
    pub fn open_all(&self) {
        self.flows.send_modify(|flows| flows.fill(Flow::Open));
    }

    /// Everything between members flows again.
    pub fn open_peers(&self) {
        self.open(|from, to| from < self.members && to < self.members);
    }

    /// Everything between members and clients flows again.
    pub fn open_clients(&self) {
        self.open(|from, to| from == self.members || to == self.members);
    }

    fn open(&self, which: impl Fn(usize, usize) -> bool) {
        let ends = self.members + 1;
        self.flows.send_modify(|flows| {
            let chosen = flows.iter_mut().enumerate().filter(|(at, _)| which(at / ends, at % ends));
            chosen.for_each(|(_, flow)| *flow = Flow::Open);
        });
    }

    /// What the flows did so far.
    pub fn tolls(&self) -> &Tolls {
        &self.tolls
    }

    fn at(&self, from: End, to: End) -> usize {
        let number = |end| match end {
            End::Member(member) => member,
            End::Clients => self.members,
        };
        number(from) * (self.members + 1) + number(to)
    }

    /// The member whose process has a socket at this local address.
    fn caller(&self, address: SocketAddr) -> End {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sockets = sockets_at(address);
        let is_at = |process: &Option<u32>| process.is_some_and(|process| has_one(process, &sockets));
        processes.iter().position(is_at).map_or(End::Clients, End::Member)
    }
}

/// A proxy in front of one port, until it is dropped.
#[derive(Debug)]
pub struct Proxy(JoinHandle<()>);

impl Proxy {
    /// Listens at `address`, and connects to the port of member `to` at `target` for each
    /// connection; those that nobody else made are the clients'.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn start(network: &Arc<Network>, to: usize, address: &str, target: &str) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("the proxy's address is free");
        listener.set_nonblocking(true).expect("a socket need not block");
        let listener = TcpListener::from_std(listener).expect("a runtime runs");
        let target: SocketAddr = target.parse().expect("an address");
        let network = Arc::clone(network);
        Self(tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(connect(Arc::clone(&network), to, caller, target));
            }
        }))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connect(network: Arc<Network>, to: usize, caller: TcpStream, target: SocketAddr) {
    let Ok(address) = caller.peer_addr() else { return };
    let asked = Arc::clone(&network);
    let Ok(from) = tokio::task::spawn_blocking(move || asked.caller(address)).await else { return };
    let Ok(called) = TcpStream::connect(target).await else {
        return network.reset(&caller);
    };
    let _ = (caller.set_nodelay(true), called.set_nodelay(true));
    let number = network.connections.fetch_add(1, Ordering::Relaxed);
    let dice = Dice::new(network.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    carry::both_ways(&network, (from, &caller), (End::Member(to), &called), dice).await;
}

/// Names of the sockets over IPv4 at this local address, as Linux lists them.
fn sockets_at(address: SocketAddr) -> Vec<String> {
    let SocketAddr::V4(address) = address else { return Vec::new() };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(1) == Some(&local.as_str()))
        .filter_map(|fields| fields.get(9).map(|inode| format!("socket:[{inode}]")))
        .collect()
}

fn has_one(process: u32, sockets: &[String]) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}
