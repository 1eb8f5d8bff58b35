//! Newtypes for everything that is counted, named or hashed, so that a revision is never passed for
//! a time.
use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Limit, limit, limits};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident($n:literal)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub [u8; $n]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

number! {
    /// Counts the commands that were not rejected; the revision of a call is fixed before it runs.
    Revision(u64)
}
number! {
    /// Fencing token: drawn with `next_token`, never drawn twice in the life of a cluster.
    Token(u64)
}
number! {
    /// Cluster time in milliseconds since the Unix epoch: stamped by the leader, never goes back.
    Time(u64)
}
number! {
    /// A member of the Raft cluster.
    MemberId(u64)
}
number! {
    /// A space, by number: never used again after the space is deleted.
    SpaceId(u32)
}
number! {
    /// An operation or query of a recipe: [`fnv1a_32`] of its name.
    OperationId(u32)
}
number! {
    /// A request of a session, counted by its client from 1: what makes a retry the same call.
    RequestId(u64)
}
number! {
    /// A timer: counted per cluster, never drawn twice.
    TimerId(u64)
}
bytes! {
    /// A client session. Never used again after it ended.
    SessionId(16)
}
bytes! {
    /// A cluster: drawn by the member that forms it, and kept in every data folder.
    ClusterId(16)
}
bytes! {
    /// BLAKE3 of the original bytes of a module.
    ModuleHash(32)
}

/// By which a parked call is answered: the revision of the command that parks the call, and a
/// number that tells the tickets of the command apart.
///
/// One number, since it crosses the boundary as such: the revision in its low 48 bits, which last
/// for 89 years at 100,000 commands a second, and the ordinal above, so that the first ticket of a
/// command is its revision. Tickets sort by revision, then by ordinal, and so do they as keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TicketId(pub u64);

impl TicketId {
    const REVISION_BITS: u32 = 48;

    /// The ticket of a command with this ordinal, which counts from 0.
    pub const fn new(revision: Revision, ordinal: u16) -> Self {
        Self(revision.0 | (ordinal as u64) << Self::REVISION_BITS)
    }

    /// The revision of the command that parks the call.
    pub const fn revision(self) -> Revision {
        Revision(self.0 & ((1 << Self::REVISION_BITS) - 1))
    }

    /// Which of the command's tickets it is.
    pub const fn ordinal(self) -> u16 {
        (self.0 >> Self::REVISION_BITS) as u16
    }

    /// A number that grows as tickets do: the revision above the ordinal.
    pub(crate) const fn rank(self) -> u64 {
        self.0.rotate_left(u64::BITS - Self::REVISION_BITS)
    }

    pub(crate) const fn of_rank(rank: u64) -> Self {
        Self(rank.rotate_right(u64::BITS - Self::REVISION_BITS))
    }

    /// The smallest ticket that is larger.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::of_rank(self.rank().saturating_add(1))
    }
}

impl Ord for TicketId {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for TicketId {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl OperationId {
    /// The id of the operation or query called `name`.
    pub const fn of(name: &str) -> Self {
        Self(fnv1a_32(name.as_bytes()))
    }
}

impl Time {
    /// This time, `ms` milliseconds later; stops at the largest time.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if it is not earlier.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a call enters a recipe by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntryPoint {
    /// A replicated, read-write operation.
    Operation(OperationId),
    /// A read-only query.
    Query(OperationId),
    /// The hook `#[on_session_end]`; its argument is the [`SessionId`].
    SessionEnd,
    /// The hook `#[on_timer]`; its arguments are the [`TimerId`] and the payload.
    Timer,
    /// The hook `#[on_cancel]`; its arguments are the [`TicketId`] and whether the call had its
    /// result already.
    Cancel,
    /// The hook `#[on_event]`; its argument is the [`Event`](crate::Event).
    Event,
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// From the smallest key.
    #[default]
    Forward,
    /// From the largest key.
    Backward,
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvalidName {
    /// It has no characters, or an empty segment.
    Empty,
    /// It is longer than [`limits::NAME_BYTES`].
    TooLong,
    /// It holds something else than `a-z`, `0-9`, `-`, `_`, `.` (and `/` between the segments of a
    /// space's name), or does not start with a letter or digit.
    Character,
}

impl InvalidName {
    /// The limit that the name exceeds, if that is why it is refused.
    pub const fn limit(self) -> Option<Limit> {
        match self {
            Self::TooLong => Some(limit!(NAME_BYTES)),
            Self::Empty | Self::Character => None,
        }
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name or one of its segments is empty"),
            Self::TooLong => write!(f, "a name has at most {} bytes", limits::NAME_BYTES),
            Self::Character => f.write_str(
                "a name is made of a-z, 0-9, '-', '_' and '.', begins with a \
                letter or digit, and only a space's name has segments, joined by '/'",
            ),
        }
    }
}

impl core::error::Error for InvalidName {}

fn check_segment(segment: &str) -> Result<(), InvalidName> {
    let first = *segment.as_bytes().first().ok_or(InvalidName::Empty)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = |byte: u8| plain(byte) || matches!(byte, b'-' | b'_' | b'.');
    if plain(first) && segment.bytes().all(rest) { Ok(()) } else { Err(InvalidName::Character) }
}

fn check_length(name: &str) -> Result<(), InvalidName> {
    if name.len() > limits::NAME_BYTES { Err(InvalidName::TooLong) } else { Ok(()) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks `name`.
            ///
            /// # Errors
            /// [`InvalidName`] says which rule it breaks.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                check_length(name)?;
                let check: fn(&str) -> Result<(), InvalidName> = $check;
                check(name)?;
                Ok(Self(name.to_string()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// The name of a recipe: one segment of `a-z`, `0-9`, `-`, `_`, `.`.
    RecipeName, check_segment
}
name! {
    /// The name of a space: segments joined by `/`, such as `team-a/locks`.
    SpaceName, |name| name.split('/').try_for_each(check_segment)
}

/// A recipe and its version, written `name@version`: immutable once installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecipeRef {
    /// Its name.
    pub name: RecipeName,
    /// Its version, counted up by its author from 1.
    pub version: u32,
}

impl fmt::Display for RecipeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// FNV-1a, 32 bits, at compile time: ids of operations and of state fields. Not for adversaries.
pub const fn fnv1a_32(bytes: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

/// FNV-1a, 64 bits, at compile time: signatures of operations. Not for adversaries.
pub const fn fnv1a_64(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}
