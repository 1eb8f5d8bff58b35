//! What checkers report: which property does not hold, and why.
//!
//! Properties have names of their own, so that a test that plants a bug can say which one must
//! report it.
use std::fmt;

use serde::{Deserialize, Serialize};

/// The modules that check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Checker {
    /// [`history`](crate::history).
    History,
    /// [`linear`](crate::linear).
    Linear,
    /// [`witness`](crate::witness).
    Witness,
    /// [`watch`](crate::watch).
    Watch,
    /// [`sessions`](crate::sessions).
    Sessions,
    /// [`exactly_once`](crate::exactly_once).
    ExactlyOnce,
    /// [`coverage`](crate::coverage).
    Coverage,
}

/// What can be violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Property {
    /// The record itself makes sense: a fault of the test, not of the cluster.
    WellFormed,
    /// One order of the operations explains all answers and contradicts no clock.
    Linearizable,
    /// An answer is what the log gives at its revision.
    Answer,
    /// What returned before another operation was called has its place in the log before it.
    RealTime,
    /// No operation took effect twice.
    Once,
    /// What was acknowledged is in the log, where the answer says, as it was asked for.
    Logged,
    /// Nothing is in the log that nobody asked for, or that surely had no effect.
    Phantom,
    /// Revisions never decrease within a watch, nor numbers within a revision.
    Ordered,
    /// No event comes twice on a stream.
    Unique,
    /// A revision's events come together, or in parts that say so.
    Atomic,
    /// What came is what happened, without a gap.
    Reliable,
    /// A watch begins where it was asked to, and goes on there on another stream.
    Resumable,
    /// After a progress mark nothing comes that it covers; marks never go back.
    Bookmarkable,
    /// Only what was asked for comes.
    Filtered,
    /// A topic's former value is what an event says.
    PreviousValue,
    /// A topic was absent before an event that says so, and before no other.
    IsCreate,
    /// A watch ends once, for a true reason, and can be resumed where it says.
    Ended,
    /// No session ends before its time to live has passed.
    NotEndedEarly,
    /// No lock has two holders, and no dead session gets one.
    OneHolder,
    /// A lock's tokens grow from grant to grant.
    TokensGrow,
    /// Nothing belongs to a session that has ended.
    NothingLeft,
    /// A guarded resource lets no token in after a larger one.
    Fenced,
    /// A sum holds every acknowledged increment once, and every other one once or never.
    Sum,
    /// No element comes out more often than it went in.
    DeliveredOnce,
    /// Every acknowledged element came out or is still there.
    NotLost,
    /// The run did what it was to do.
    Covered,
}

impl Property {
    /// The module that checks it.
    pub fn checker(self) -> Checker {
        match self {
            Self::WellFormed => Checker::History,
            Self::Linearizable => Checker::Linear,
            Self::Answer | Self::RealTime | Self::Once | Self::Logged | Self::Phantom => Checker::Witness,
            Self::Ordered
            | Self::Unique
            | Self::Atomic
            | Self::Reliable
            | Self::Resumable
            | Self::Bookmarkable
            | Self::Filtered
            | Self::PreviousValue
            | Self::IsCreate
            | Self::Ended => Checker::Watch,
            Self::NotEndedEarly | Self::OneHolder | Self::TokensGrow | Self::NothingLeft | Self::Fenced => {
                Checker::Sessions
            }
            Self::Sum | Self::DeliveredOnce | Self::NotLost => Checker::ExactlyOnce,
            Self::Covered => Checker::Coverage,
        }
    }
}

/// A property does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// Why: the operations involved, by client, input, answer and interval.
    pub why: String,
}

impl Violation {
    pub(crate) fn new(property: Property, why: impl Into<String>) -> Self {
        Self { property, why: why.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?}): {}", self.property, self.property.checker(), self.why)
    }
}

impl std::error::Error for Violation {}
