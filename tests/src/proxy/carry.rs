//! Carrying one connection, in both directions at once, as the flows between its ends are.
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{End, Flow, Network, Toll};
use crate::dice::Dice;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1_024;
/// Chunks that may be on their way in one direction: what the wire holds.
const CHUNKS: usize = 64;

type Side<'a> = (End, &'a TcpStream);

/// Carries what two ends say to each other until both have ended, or the connection is reset.
pub(super) async fn both_ways(network: &Network, one: Side<'_>, other: Side<'_>, mut dice: Dice) {
    let there = Way::new(network, one, other, dice.fork());
    let back = Way::new(network, other, one, dice.fork());
    let ended = tokio::select! {
        ended = async { tokio::try_join!(there.carry(), back.carry()) } => ended.map(drop),
        () = severed(network, one.0, other.0, dice) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    if ended.is_err() {
        network.reset(one.1);
        network.reset(other.1);
    }
}

impl Network {
    /// Has a connection end with a reset when it is dropped.
    pub(super) fn reset(&self, stream: &TcpStream) {
        if stream.set_zero_linger().is_ok() {
            self.tolls.add(Toll::Reset, 1);
        }
    }
}

/// Waits until a connection that `one` made to `other` is to be reset.
async fn severed(network: &Network, one: End, other: End, mut dice: Dice) {
    let mut flows = network.flows.subscribe();
    loop {
        let both = {
            let flows = flows.borrow_and_update();
            [flows[network.at(one, other)], flows[network.at(other, one)]]
        };
        if both[0] == Flow::Cut {
            return;
        }
        let lives_ms = both.iter().filter_map(|flow| match flow {
            Flow::Flaky { lives_ms } => Some(*lives_ms),
            _ => None,
        });
        let Some(lives_ms) = lives_ms.min() else {
            if flows.changed().await.is_err() {
                return;
            }
            continue;
        };
        let life = Duration::from_millis(dice.below(lives_ms.max(1)));
        if tokio::time::timeout(life, flows.changed()).await.is_err() {
            return;
        }
    }
}

/// One direction of a connection.
struct Way<'a> {
    network: &'a Network,
    from: &'a TcpStream,
    to: &'a TcpStream,
    /// Of this direction among all flows.
    at: usize,
    flows: watch::Receiver<Vec<Flow>>,
    dice: Dice,
    /// When what was read last arrives.
    due: Instant,
    /// Bytes until the next flipped bit.
    until_flip: u64,
    /// Some of this direction's bytes never arrive.
    is_torn: bool,
}

impl<'a> Way<'a> {
    fn new(network: &'a Network, from: Side<'a>, to: Side<'a>, dice: Dice) -> Self {
        let at = network.at(from.0, to.0);
        let flows = network.flows.subscribe();
        let (from, to) = (from.1, to.1);
        Self { network, from, to, at, flows, dice, due: Instant::now(), until_flip: 0, is_torn: false }
    }

    fn flow(&mut self) -> Flow {
        self.flows.borrow_and_update()[self.at]
    }

    /// Carries until the sender ends, which the receiver then sees.
    async fn carry(mut self) -> io::Result<()> {
        let (chunks, arriving) = mpsc::channel(CHUNKS);
        let to = self.to;
        tokio::try_join!(self.take_in(chunks), deliver(to, arriving)).map(drop)
    }

    async fn take_in(&mut self, chunks: mpsc::Sender<(Instant, Vec<u8>)>) -> io::Result<()> {
        loop {
            let flow = self.flow();
            if self.is_torn && flow != Flow::Swallowed {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if flow == Flow::HalfClosed {
                self.network.tolls.add(Toll::HalfClosed, 1);
                drop(chunks);
                return self.discard().await;
            }
            if flow == Flow::Held {
                self.network.tolls.add(Toll::Held, 1);
            }
            let readable = async {
                if flow == Flow::Held { std::future::pending().await } else { self.from.readable().await }
            };
            tokio::select! {
                readable = readable => readable?,
                changed = self.flows.changed() => {
                    if changed.is_err() { return Err(io::ErrorKind::ConnectionReset.into()) }
                    continue;
                }
            }
            let Some(chunk) = read(self.from)? else { continue };
            if chunk.is_empty() {
                return Ok(());
            }
            if let Some(chunk) = self.treat(flow, chunk)
                && chunks.send((self.due, chunk)).await.is_err()
            {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    }

    /// Reads to the end, and tells nobody.
    async fn discard(&self) -> io::Result<()> {
        loop {
            self.from.readable().await?;
            if read(self.from)?.is_some_and(|chunk| chunk.is_empty()) {
                return Ok(());
            }
        }
    }

    /// What becomes of a chunk that was read, and when it arrives.
    fn treat(&mut self, flow: Flow, mut chunk: Vec<u8>) -> Option<Vec<u8>> {
        let length = chunk.len() as u64;
        let tolls = &self.network.tolls;
        let now = Instant::now();
        match flow {
            Flow::Late { delay_ms, jitter_ms } => {
                let delay = Duration::from_millis(delay_ms + self.dice.below(jitter_ms + 1));
                self.due = self.due.max(now + delay);
                tolls.add(Toll::Delayed, length);
            }
            Flow::Narrow { bytes_per_second } => {
                let took = Duration::from_micros(length * 1_000_000 / bytes_per_second.max(1));
                self.due = self.due.max(now) + took;
                tolls.add(Toll::Delayed, length);
            }
            Flow::Swallowed => {
                self.is_torn = true;
                tolls.add(Toll::Swallowed, length);
                return None;
            }
            Flow::Garbled { one_in_bytes } => self.garble(&mut chunk, one_in_bytes.max(1)),
            Flow::Open | Flow::Held | Flow::Flaky { .. } | Flow::HalfClosed | Flow::Cut => {}
        }
        Some(chunk)
    }

    fn garble(&mut self, chunk: &mut [u8], one_in_bytes: u64) {
        if self.until_flip == 0 {
            self.until_flip = 1 + self.dice.below(2 * one_in_bytes);
        }
        let mut rest = chunk;
        while let Some(at) = (self.until_flip as usize).checked_sub(1).filter(|at| *at < rest.len()) {
            rest[at] ^= 1 << self.dice.below(8);
            self.network.tolls.add(Toll::Flipped, 1);
            rest = &mut rest[at + 1..];
            self.until_flip = 1 + self.dice.below(2 * one_in_bytes);
        }
        self.until_flip = self.until_flip.saturating_sub(rest.len() as u64).max(1);
    }
}

/// A chunk, none if there is nothing yet; an empty one is the end.
fn read(from: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    match from.try_read(&mut chunk) {
        Ok(length) => {
            chunk.truncate(length);
            Ok(Some(chunk))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Hands over what arrives when it is due, and then says that nothing more comes.
async fn deliver(to: &TcpStream, mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>) -> io::Result<()> {
    while let Some((due, chunk)) = arriving.recv().await {
        tokio::time::sleep_until(due).await;
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            to.writable().await?;
            match to.try_write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    shut(to)
}

/// Closes the direction towards `to`; the other one stays.
fn shut(to: &TcpStream) -> io::Result<()> {
    // SAFETY: the descriptor belongs to `to`, which lives during the call.
    let done = unsafe { libc::shutdown(to.as_raw_fd(), libc::SHUT_WR) };
    let error = io::Error::last_os_error();
    if done == 0 || error.kind() == io::ErrorKind::NotConnected { Ok(()) } else { Err(error) }
}
