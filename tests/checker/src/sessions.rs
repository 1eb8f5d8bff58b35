//! Sessions, and what is bound to them: locks, tokens, rows.
//!
//! Each function checks one kind of record. Times are on the clock that the record names; the
//! others go by the order of the log.
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::violation::{Property, Violation};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Nothing was heard of its client for its time to live.
    Expired,
    /// It was closed.
    Closed,
}

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: u64,
    /// Why.
    pub cause: Cause,
}

/// A session's life. All times are of one clock, which in a simulation is the true one; if members'
/// clocks run at other rates, `ttl` is what it is worth on the clock that runs fastest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Which.
    pub session: u64,
    /// How long it lives without a sign of its client.
    pub ttl: u64,
    /// When its client asked for it.
    pub opened: u64,
    /// The touches that were answered "it lives": when each was *sent*.
    pub touches: Vec<u64>,
    /// When it ended, if it did.
    pub end: Option<End>,
}

/// No session expires before its time to live has passed since its client was last heard, and none
/// is told that it lives after it has ended.
///
/// # Errors
///
/// The first violation: [`Property::NotEndedEarly`].
pub fn lives(lives: &[Life]) -> Result<(), Violation> {
    for life in lives {
        let Some(end) = life.end else { continue };
        let fail = |why: String| {
            let life = format!("session {} with a time to live of {}", life.session, life.ttl);
            Err(Violation::new(Property::NotEndedEarly, format!("{life} {why}")))
        };
        if let Some(touch) = life.touches.iter().find(|touch| **touch > end.at) {
            return fail(format!("ended at {}, and a touch sent at {touch} was told that it lives", end.at));
        }
        let last = life.touches.iter().copied().max().unwrap_or(0).max(life.opened);
        if end.cause == Cause::Expired && end.at < last.saturating_add(life.ttl) {
            return fail(format!("was heard at {last}, and expired at {}", end.at));
        }
    }
    Ok(())
}

/// What the log says of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockChange {
    /// It was free, and is held now.
    Granted,
    /// Its holder has it no more.
    Released,
}

/// A change of a lock, by a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockEvent {
    /// The revision that made it.
    pub revision: u64,
    /// Which lock.
    pub lock: String,
    /// Who holds or held it.
    pub session: u64,
    /// With which token.
    pub token: u64,
    /// What happened.
    pub change: LockChange,
}

/// By the order of the log no lock has two holders, its tokens grow, and no session that had ended
/// gets one.
///
/// `events` are in order; `ended` holds for each session that ended the revision that ended it.
///
/// # Errors
///
/// The first violation: [`Property::OneHolder`] or [`Property::TokensGrow`].
pub fn locks(events: &[LockEvent], ended: &BTreeMap<u64, u64>) -> Result<(), Violation> {
    let mut held = BTreeMap::<&str, &LockEvent>::new();
    let mut last = BTreeMap::<&str, &LockEvent>::new();
    for event in events {
        let lock = event.lock.as_str();
        let holder = held.remove(lock);
        match event.change {
            LockChange::Granted => {
                if let Some(holder) = holder {
                    let why = format!("two hold a lock: {holder:?}, then {event:?}");
                    return Err(Violation::new(Property::OneHolder, why));
                }
                if ended.get(&event.session).is_some_and(|end| *end < event.revision) {
                    let why = format!("a session that had ended gets a lock: {event:?}, {ended:?}");
                    return Err(Violation::new(Property::OneHolder, why));
                }
                if let Some(last) = last.insert(lock, event).filter(|last| last.token >= event.token) {
                    let why = format!("a lock's tokens do not grow: {last:?}, then {event:?}");
                    return Err(Violation::new(Property::TokensGrow, why));
                }
                held.insert(lock, event);
            }
            LockChange::Released => {
                let its_own = holder
                    .is_some_and(|holder| (holder.session, holder.token) == (event.session, event.token));
                if !its_own {
                    let why = format!("held was {holder:?}, and was released by another: {event:?}");
                    return Err(Violation::new(Property::OneHolder, why));
                }
            }
        }
    }
    let dead = held.values().find(|holder| ended.contains_key(&holder.session));
    match dead {
        None => Ok(()),
        Some(dead) => Err(Violation::new(
            Property::NothingLeft,
            format!("a session that has ended still holds a lock: {dead:?}"),
        )),
    }
}

/// For how long a client relied on a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reliance {
    /// Which lock.
    pub lock: String,
    /// Who.
    pub session: u64,
    /// From the answer that granted it, on the true clock.
    pub from: u64,
    /// Until it asked to release it, or its own clock said that the session might have ended.
    pub until: u64,
}

/// No two clients relied on a lock at once, in real time. This holds only where clients' clocks run
/// at the rate that sessions allow for and nobody is paused between looking at the clock and
/// acting: so it is for simulations.
///
/// # Errors
///
/// The first violation: [`Property::OneHolder`].
pub fn reliances(reliances: &[Reliance]) -> Result<(), Violation> {
    let mut sorted: Vec<&Reliance> = reliances.iter().collect();
    sorted.sort_by_key(|reliance| (&reliance.lock, reliance.from));
    let mut latest: Option<&Reliance> = None;
    for reliance in sorted {
        let before = latest.filter(|before| before.lock == reliance.lock);
        let other = before.filter(|before| before.session != reliance.session);
        if let Some(other) = other.filter(|other| other.until > reliance.from) {
            let why = format!("two rely on a lock at once: {other:?}, {reliance:?}");
            return Err(Violation::new(Property::OneHolder, why));
        }
        latest = before.filter(|before| before.until > reliance.until).or(Some(reliance));
    }
    Ok(())
}

/// A row, or anything else, that belongs to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The session.
    pub session: u64,
    /// What is owned, for explanations.
    pub what: String,
}

/// Nothing belongs to a session that does not live.
///
/// # Errors
///
/// The violation, with everything that is left: [`Property::NothingLeft`].
pub fn nothing_left(live: &BTreeSet<u64>, owned: &[Owned]) -> Result<(), Violation> {
    let left: Vec<&Owned> = owned.iter().filter(|owned| !live.contains(&owned.session)).collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(Violation::new(Property::NothingLeft, format!("this is left of sessions that ended: {left:?}")))
}

/// A use of a resource that is guarded by tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Which resource.
    pub resource: String,
    /// With which token.
    pub token: u64,
    /// Whether the resource let it in.
    pub accepted: bool,
}

/// A guarded resource lets no token in after a larger one. `accesses` are in the order in which the
/// resource saw them. It may turn away more: a guard of Synod wants the token that is current.
///
/// # Errors
///
/// The first violation: [`Property::Fenced`].
pub fn fenced(accesses: &[Access]) -> Result<(), Violation> {
    let mut newest = BTreeMap::<&str, u64>::new();
    for access in accesses.iter().filter(|access| access.accepted) {
        let before = newest.insert(access.resource.as_str(), access.token);
        if let Some(before) = before.filter(|before| *before > access.token) {
            let why = format!("after token {before} an older one was let in: {access:?}");
            return Err(Violation::new(Property::Fenced, why));
        }
    }
    Ok(())
}
