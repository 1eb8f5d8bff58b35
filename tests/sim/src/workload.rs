//! What clients do all the time. Each is an endless task of one client, which records what it asks
//! for and what it is told; a checker judges it when the run has ended.
pub mod counter;
pub mod election;
mod hold;
pub mod kv;
pub mod lock;
pub mod operator;
pub mod trail;
pub mod watch;

use std::time::Duration;

use crate::client::{SimClient, SimSession};
use crate::record::Recorder;

/// How many objects of a kind there are, and how fast clients are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Keys, counters, locks.
    pub objects: u64,
    /// Longest pause between two operations.
    pub think: Duration,
    /// A session's time to live, in milliseconds.
    pub ttl_ms: u64,
}

/// Clients that half of the runs have.
#[derive(Clone, Copy, Debug)]
pub struct Extra {
    /// One that binds a handler and reads what it keeps.
    pub handler: bool,
    /// One that installs, upgrades, forgets and misbehaves.
    pub operator: bool,
}

/// Opens a session, however long that takes.
async fn open(client: &SimClient, sizes: Sizes, recorder: &Recorder) -> SimSession {
    loop {
        if let Ok(session) = SimSession::open(client, sizes.ttl_ms, recorder).await {
            client.observer().count("session opened");
            return session;
        }
        client.pause().await;
    }
}

async fn think(client: &SimClient, sizes: Sizes) {
    let pause = client.draw(|dice| dice.duration(Duration::ZERO, sizes.think));
    client.process().sleep(pause).await;
}

fn pick(client: &SimClient, kind: &str, sizes: Sizes) -> String {
    format!("{kind}{}", client.draw(|dice| dice.below(sizes.objects)))
}
