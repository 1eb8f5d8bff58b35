//! Clients that hold a lock or lead, one after the other, and note from when to when they believed
//! so, with which token.
use std::time::Duration;

use synod_client::Session;
use synod_election::Election;
use synod_lock::Lock;
use synod_sdk::prelude::*;

use super::{Desk, Effect, PAUSE};

/// Locks and elections of each kind.
const NAMES: u64 = 2;
/// The shortest time to live of their sessions, and how much longer it may be.
const TTL_MS: u64 = 2_000;
const TTL_MORE_MS: u64 = 3_000;
/// Most that one holds.
const HOLDS_MS: u64 = 15;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::chaos) enum Thing {
    /// A lock.
    Lock,
    /// The leadership of an election.
    Election,
}

/// From when to when a client believed that it holds something: what the library told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct Hold {
    pub(in crate::chaos) client: u32,
    pub(in crate::chaos) thing: (Thing, String),
    pub(in crate::chaos) token: u64,
    /// When it was told so.
    pub(in crate::chaos) from: u64,
    /// The last moment in which its session was not lost and it had not released it.
    pub(in crate::chaos) to: u64,
}

pub(super) async fn run(desk: Desk, thing: Thing) -> Vec<Hold> {
    let mut holds = Vec::new();
    let mut dice = desk.dice();
    let ttl = Duration::from_millis(TTL_MS + dice.below(TTL_MORE_MS));
    let mut turn = 0;
    while let Some(session) = desk.session(ttl).await {
        while !desk.stops() && !session.is_lost() {
            let name = format!("{thing:?}-{}", dice.below(NAMES)).to_lowercase();
            let candidate = format!("{}-{turn}", desk.number);
            turn += 1;
            let taken = tokio::select! {
                taken = take(thing, &session, &name, &candidate) => taken,
                () = stopped(&desk) => break,
            };
            let Ok(token) = taken else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let from = desk.now();
            let until = from + dice.below(HOLDS_MS) * 1_000_000;
            if let Some(to) = hold(&desk, &session, until).await {
                holds.push(Hold { client: desk.number, thing: (thing, name.clone()), token, from, to });
            }
            release(thing, &session, &name, token).await;
        }
        let _expires = session.close().await;
    }
    holds
}

/// Holds until then or until the session is lost, and returns the last moment in which it was not;
/// none if there was no such moment.
async fn hold(desk: &Desk, session: &Session, until: u64) -> Option<u64> {
    let mut last = None;
    loop {
        let now = desk.now();
        if session.is_lost() {
            return last;
        }
        last = Some(now);
        if now >= until {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the round ends.
async fn stopped(desk: &Desk) {
    while !desk.stops() {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn take(thing: Thing, session: &Session, name: &str, candidate: &str) -> Result<u64, Effect> {
    Ok(match thing {
        Thing::Lock => Lock::client(session, "lock").acquire(name, None).await?.token.0,
        Thing::Election => {
            let election = Election::client(session, "election");
            election.campaign(name, candidate, Blob::from("here")).await?.token.0
        }
    })
}

/// Lets go of it. In a session this happens, or the session ends, which does the same.
async fn release(thing: Thing, session: &Session, name: &str, token: u64) {
    let released: Result<(), Effect> = match thing {
        Thing::Lock => {
            Lock::client(session, "lock").release(name, None).await.map(drop).map_err(Effect::from)
        }
        Thing::Election => {
            Election::client(session, "election").resign(name, Token(token)).await.map_err(Effect::from)
        }
    };
    if released.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}
