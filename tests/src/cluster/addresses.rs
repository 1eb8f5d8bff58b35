//! Loopback addresses for members, proxies and whatever else a test starts.
//!
//! A port is chosen with a socket that never listens: a process that is just being started holds
//! copies of all sockets of this one until it runs its program, and the copy of one that listens
//! would keep the port from whoever is to have it.
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::TcpSocket;

/// Loopback addresses with ports that are free now, and that nobody else takes before they are
/// used: connections come from 127.0.0.1, and each call has a host of its own.
///
/// # Panics
/// When there are none.
pub fn free_addresses(count: usize) -> Vec<String> {
    let host = own_host();
    let sockets: Vec<_> = (0..count).map(|_| at_a_free_port(host)).collect();
    sockets
        .iter()
        .map(|socket| socket.local_addr().expect("a bound socket has an address").to_string())
        .collect()
}

fn at_a_free_port(host: Ipv4Addr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_reuseaddr(true).expect("an address can be taken over from a socket that does not listen");
    socket.bind((host, 0).into()).expect("a loopback port is free");
    socket
}

/// A loopback host of this call and process: all of 127.0.0.0/8 is this machine.
fn own_host() -> Ipv4Addr {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, call as u8, high, low)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;
    use std::process::Command;
    use std::sync::atomic::AtomicBool;

    use super::*;

    const CALLS: usize = 500;

    #[test]
    fn addresses_of_a_call_differ() {
        let all = free_addresses(200);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn an_address_can_be_had_at_once_while_processes_are_started() {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        Command::new("true").status().expect("it runs");
                    }
                });
            }
            let taken = (0..CALLS)
                .flat_map(|_| free_addresses(4))
                .filter_map(|address| TcpListener::bind(address).err())
                .collect::<Vec<_>>();
            is_over.store(true, Ordering::Relaxed);
            assert!(taken.is_empty(), "{} were taken, the first: {}", taken.len(), taken[0]);
        });
    }
}
