//! Hooks that are owed, as rows: those that failed, with what they are run with, until one succeeds
//! or an operator drops them.
//!
//! They lie in the table of timers, in a lane of their own: see `rows::timers`. A
//! hook keeps its number from one try to the next.
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Blob, Direction, Fault, Revision, SessionId, SpaceId, TicketId, Time, TimerId, limits};

use crate::ports::{Fatal, StateView, Table};
use crate::rows::codec::{damaged, decode};
use crate::rows::scan::{Page, behind, page_of, successor};
use crate::rows::timers::{Lane, Line, number_of_index, time_in};

/// What a hook that is owed is run for, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwedCall {
    /// A session ended.
    SessionEnd {
        /// Which.
        session: SessionId,
    },
    /// A timer was due.
    Timer {
        /// Which.
        timer: TimerId,
        /// What it was set with.
        payload: Blob,
    },
    /// A parked call was given up, or its result was.
    Cancel {
        /// Whose it was.
        session: SessionId,
        /// Its ticket.
        ticket: TicketId,
        /// Whether it had its result.
        granted: bool,
    },
}

/// A hook that is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedHook {
    /// What it is run with.
    pub call: OwedCall,
    /// Revision of the command that it was first to run in.
    pub since: Revision,
    /// Why it failed the last time; `None`: it has not, and more of it is to be done.
    pub fault: Option<Fault>,
    /// How often it has failed.
    pub tries: u32,
}

/// A hook that is owed, with its number and when it is tried next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedRecord {
    /// Its number, of all that the cluster ever owed.
    pub number: u64,
    /// When it is tried next, by cluster time.
    pub next_try: Time,
    /// The hook.
    pub hook: OwedHook,
}

/// How long after it has failed `tries` times a hook is tried again, in milliseconds: doubled each
/// time, up to an hour.
pub(crate) fn backoff_ms(tries: u32) -> u64 {
    let doubled = 1_u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX);
    limits::OWED_RETRY_FLOOR_MS.saturating_mul(doubled).min(limits::OWED_RETRY_CEILING_MS)
}

/// How many hooks `space` is owed.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn owed_count(view: &impl StateView, space: SpaceId) -> Result<u32, Fatal> {
    let Some(bytes) = view.get(Table::Timers, &Lane::Owed.line_key(space))? else { return Ok(0) };
    Ok(decode::<Line>(&bytes, "what a space is owed")?.items)
}

/// At most `limit` hooks that `space` is owed, with numbers after `after`, by number.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn owed_hooks(
    view: &impl StateView,
    space: SpaceId,
    after: Option<u64>,
    limit: usize,
) -> Result<Page<OwedRecord>, Fatal> {
    let prefix = Lane::Owed.index_prefix(space);
    let from = after.map_or_else(|| prefix.clone(), |after| successor(Lane::Owed.index_key(space, after)));
    let to = behind(&prefix);
    let (rows, more) = view.range(Table::Timers, &from, &to, Direction::Forward, page_of(limit))?;
    let items = rows.iter().map(|(key, value)| {
        let (number, next_try) = (number_of_index(key)?, time_in(value)?);
        Ok(OwedRecord { number, next_try, hook: stored(view, space, next_try, number)? })
    });
    Ok(Page { items: items.collect::<Result<Vec<_>, Fatal>>()?, more })
}

/// The hook that `space` is owed under this number; `None` if it is not, or not any more.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn owed_hook(view: &impl StateView, space: SpaceId, number: u64) -> Result<Option<OwedRecord>, Fatal> {
    let Some(row) = view.get(Table::Timers, &Lane::Owed.index_key(space, number))? else { return Ok(None) };
    let next_try = time_in(&row)?;
    Ok(Some(OwedRecord { number, next_try, hook: stored(view, space, next_try, number)? }))
}

fn stored(view: &impl StateView, space: SpaceId, at: Time, number: u64) -> Result<OwedHook, Fatal> {
    let row = view.get(Table::Timers, &Lane::Owed.item_key(space, (at, number)))?;
    decode(&row.ok_or_else(|| damaged("a hook that is owed"))?, "a hook that is owed")
}
