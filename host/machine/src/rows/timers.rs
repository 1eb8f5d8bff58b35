//! Timers, as rows.
//!
//! | key | value |
//! |---|---|
//! | `d` time number | [`Chore`]: the deadline of a waiting call, or other work of the host's own |
//! | `t` space time number | payload of a recipe's timer |
//! | `i` space number | its time |
//! | `q` time turn | the space that has its turn then: one row for each that has timers |
//! | `s` space | its [`Line`]: how many timers, which is next, and its row `q` |
//! | `o` `j` `r` `p` | the same as `t` `i` `q` `s`, of hooks that are owed, see `owed` |
//!
//! Numbers are big-endian. The rows `q` are a queue: a space's place in it is the time of its next
//! timer, or that of its last turn if more were due then; turns are numbered, so that places of the
//! same time are in the order in which they were taken.
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Direction, RecipeRef, RequestId, SessionId, SpaceId, Time, TimerId};

use crate::ports::{Fatal, StateView, Table};
use crate::rows::codec::damaged;
use crate::rows::scan::{behind, page_of};

/// Bytes of the keys of a recipe's timer, and of the time that its index holds.
pub(crate) const TIMER_ROWS_BYTES: usize = 21 + 13 + 8;

/// What the host itself does at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Chore {
    /// Ends the waiting of a call.
    Deadline { session: SessionId, request: RequestId },
    /// Removes what a deleted space had in line.
    Purge { space: SpaceId },
    /// Has what a space is owed tried again, from this number on.
    Hasten { space: SpaceId, after: u64 },
    /// Does that for the spaces of a recipe, from this space on.
    HastenAll { recipe: RecipeRef, after: SpaceId },
}

/// When something is due, and its number.
pub(crate) type Spot = (Time, u64);

/// What spaces have in lines, served in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Timers of recipes.
    Timers,
    /// Hooks that are owed.
    Owed,
}

impl Lane {
    const fn item(self) -> u8 {
        match self {
            Self::Timers => b't',
            Self::Owed => b'o',
        }
    }

    const fn index(self) -> u8 {
        match self {
            Self::Timers => b'i',
            Self::Owed => b'j',
        }
    }

    /// What the keys of the lane's places begin with.
    pub(crate) const fn places(self) -> u8 {
        match self {
            Self::Timers => b'q',
            Self::Owed => b'r',
        }
    }

    const fn line(self) -> u8 {
        match self {
            Self::Timers => b's',
            Self::Owed => b'p',
        }
    }

    pub(crate) fn item_key(self, space: SpaceId, (at, number): Spot) -> Vec<u8> {
        [[self.item()].as_slice(), &space.0.to_be_bytes(), &at.0.to_be_bytes(), &number.to_be_bytes()]
            .concat()
    }

    pub(crate) fn index_key(self, space: SpaceId, number: u64) -> Vec<u8> {
        [[self.index()].as_slice(), &space.0.to_be_bytes(), &number.to_be_bytes()].concat()
    }

    /// What all keys of a space's index begin with.
    pub(crate) fn index_prefix(self, space: SpaceId) -> Vec<u8> {
        [[self.index()].as_slice(), &space.0.to_be_bytes()].concat()
    }

    pub(crate) fn place_key(self, place: Spot) -> Vec<u8> {
        spot_key(self.places(), place)
    }

    /// What the keys of all spaces' lines begin with.
    pub(crate) fn lines(self) -> [u8; 1] {
        [self.line()]
    }

    pub(crate) fn line_key(self, space: SpaceId) -> Vec<u8> {
        [[self.line()].as_slice(), &space.0.to_be_bytes()].concat()
    }
}

/// What a space has in a lane. There is no row for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// How many items.
    pub(crate) items: u32,
    /// The first of them; during the space's turn, a spot that none is before.
    pub(crate) first: Spot,
    /// Its place among the spaces that have their turn.
    pub(crate) place: Spot,
}

/// When what is done next is due, by kind; `None`: there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextDue {
    pub(crate) chore: Option<Time>,
    pub(crate) timer: Option<Time>,
    pub(crate) owed: Option<Time>,
}

impl NextDue {
    /// The earliest of them.
    pub(crate) fn first(self) -> Option<Time> {
        [self.chore, self.timer, self.owed].into_iter().flatten().min()
    }
}

/// What the keys of the host's own work begin with.
pub(crate) const CHORES: u8 = b'd';

/// When the next timer or deadline is due, or the next hook that is owed is tried.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn next_timer(view: &impl StateView) -> Result<Option<Time>, Fatal> {
    next_due(view).map(NextDue::first)
}

/// When the next of each kind is due.
pub(crate) fn next_due(view: &impl StateView) -> Result<NextDue, Fatal> {
    let first = |prefix: u8| {
        let (rows, _) =
            view.range(Table::Timers, &[prefix], &behind(&[prefix]), Direction::Forward, page_of(1))?;
        rows.first().map(|(key, _)| spot_of(key).map(|(at, _)| at)).transpose()
    };
    Ok(NextDue {
        chore: first(CHORES)?,
        timer: first(Lane::Timers.places())?,
        owed: first(Lane::Owed.places())?,
    })
}

pub(crate) fn chore_key(at: Time, timer: TimerId) -> Vec<u8> {
    spot_key(CHORES, (at, timer.0))
}

/// A key that orders by time, then by number.
pub(crate) fn spot_key(prefix: u8, (at, number): Spot) -> Vec<u8> {
    [[prefix].as_slice(), &at.0.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The time and the number that a key ends with.
pub(crate) fn spot_of(key: &[u8]) -> Result<Spot, Fatal> {
    let parts = key.split_last_chunk().and_then(|(rest, number)| Some((*rest.last_chunk()?, *number)));
    let (at, number) = parts.ok_or_else(|| damaged("the time of a timer"))?;
    Ok((Time(u64::from_be_bytes(at)), u64::from_be_bytes(number)))
}

/// The time in a row of an index.
pub(crate) fn time_in(row: &[u8]) -> Result<Time, Fatal> {
    row.try_into().map(|at| Time(u64::from_be_bytes(at))).map_err(|_| damaged("the index of a timer"))
}

/// The number that a key of an index is about.
pub(crate) fn number_of_index(key: &[u8]) -> Result<u64, Fatal> {
    key.last_chunk().map(|number| u64::from_be_bytes(*number)).ok_or_else(|| damaged("the index of a timer"))
}

/// The space that the key of a line is about.
pub(crate) fn space_of_line(key: &[u8]) -> Result<SpaceId, Fatal> {
    space_in(key.get(1..).unwrap_or_default())
}

/// The space in a row of the queue of turns.
pub(crate) fn space_in(row: &[u8]) -> Result<SpaceId, Fatal> {
    row.try_into().map(|id| SpaceId(u32::from_be_bytes(id))).map_err(|_| damaged("the turn of a space"))
}
