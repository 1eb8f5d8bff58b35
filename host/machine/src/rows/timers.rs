//! Timers, as rows: see the table of [`sessions`](crate::rows::sessions).
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Blob, Direction, RequestId, SessionId, SpaceId, Time, TimerId, limits};

use crate::ports::{Fatal, RangeLimit, StateView, Table};
use crate::rows::codec::damaged;

/// Bytes of the keys of a recipe's timer, and of the time that its index holds.
pub(crate) const TIMER_ROWS_BYTES: usize = 17 + 13 + 8;

/// What a timer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fires {
    /// Runs the hook of a space.
    Hook { space: SpaceId, payload: Blob },
    /// Ends the waiting of a call.
    Deadline { session: SessionId, request: RequestId },
    /// Removes timers of a deleted space.
    Purge { space: SpaceId },
}

/// When the next timer is due.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn next_timer(view: &impl StateView) -> Result<Option<Time>, Fatal> {
    let limit = RangeLimit { rows: 1, bytes: limits::TIMER_PAYLOAD_BYTES };
    let (rows, _) = view.range(Table::Timers, b"t", b"u", Direction::Forward, limit)?;
    rows.first().map(|(key, _)| time_of_timer(key).map(|(at, _)| at)).transpose()
}

pub(crate) fn timer_key(at: Time, timer: TimerId) -> Vec<u8> {
    [b"t".as_slice(), &at.0.to_be_bytes(), &timer.0.to_be_bytes()].concat()
}

pub(crate) fn time_of_timer(key: &[u8]) -> Result<(Time, TimerId), Fatal> {
    let parts = key.strip_prefix(b"t").and_then(|key| Some((*key.first_chunk()?, *key.last_chunk()?)));
    let (at, timer) = parts.ok_or_else(|| damaged("the time of a timer"))?;
    Ok((Time(u64::from_be_bytes(at)), TimerId(u64::from_be_bytes(timer))))
}

pub(crate) fn timer_index_key(space: SpaceId, timer: TimerId) -> Vec<u8> {
    [b"i".as_slice(), &space.0.to_be_bytes(), &timer.0.to_be_bytes()].concat()
}

/// What all keys of the index of a space's timers begin with.
pub(crate) fn timer_index_prefix(space: SpaceId) -> Vec<u8> {
    [b"i".as_slice(), &space.0.to_be_bytes()].concat()
}

/// The time in a row of the index of timers.
pub(crate) fn time_in(row: &[u8]) -> Result<Time, Fatal> {
    row.try_into().map(|at| Time(u64::from_be_bytes(at))).map_err(|_| damaged("the index of a timer"))
}

/// The timer that a key of the index of timers is about.
pub(crate) fn timer_of_index(key: &[u8]) -> Result<TimerId, Fatal> {
    key.last_chunk().map(|id| TimerId(u64::from_be_bytes(*id))).ok_or_else(|| damaged("the index of a timer"))
}
