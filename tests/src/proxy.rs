//! A link to a member that a test can cut or freeze: a proxy in front of its peer port.
//!
//! It sees who is called and not who calls. Cut, a member is reached by nobody and still reaches
//! all others: a partition in one direction.
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1_024;

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It works.
    Open,
    /// It takes nothing in and loses nothing: as if packets were lost for a while.
    Frozen,
    /// Connections are closed, and new ones at once.
    Cut,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    link: watch::Sender<Link>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens at `address`, and connects to `target` for each connection.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn start(address: &str, target: &str) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("the proxy's address is free");
        listener.set_nonblocking(true).expect("a socket need not block");
        let listener = TcpListener::from_std(listener).expect("a runtime runs");
        let target: SocketAddr = target.parse().expect("an address");
        let (link, watched) = watch::channel(Link::Open);
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                if *watched.borrow() != Link::Cut {
                    tokio::spawn(carry(from, target, watched.clone()));
                }
            }
        });
        Self { link, accepting }
    }

    /// Changes how the link is.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(from: TcpStream, target: SocketAddr, link: watch::Receiver<Link>) {
    let Ok(to) = TcpStream::connect(target).await else { return };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    let there = copy(from_read, to_write, link.clone());
    let back = copy(to_read, from_write, link);
    tokio::select! { () = there => {}, () = back => {} }
}

/// Copies until one side ends or the link is cut.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let Ok(present) = link.wait_for(|link| *link != Link::Frozen).await.map(|link| *link) else { return };
        if present == Link::Cut {
            return;
        }
        tokio::select! {
            read = from.read(&mut chunk) => match read {
                Ok(length) if length > 0 => {
                    let Ok(now) = link.wait_for(|link| *link != Link::Frozen).await.map(|link| *link) else {
                        return;
                    };
                    if now == Link::Cut || to.write_all(&chunk[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}
