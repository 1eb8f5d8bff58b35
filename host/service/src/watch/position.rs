//! How far a watch has come, and how that changes.
//!
//! A watch follows the tail of its space until an event that it wants is published. It then waits
//! in its stream's queue until the transport polls, is in hand while its events are read and
//! encoded without the hub's lock, and follows again or waits for its next turn. Whether its events
//! are read from the tail or from the store is not part of its position: tails move on, and
//! [`Tail::reach`](super::tail::Tail::reach) decides when a poll takes it.
use synod_abi::Revision;
use synod_machine::events::EventPosition;

use super::end::after;

/// The next event that a watch gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The first wanted one here or later. Its last update was complete.
    From(EventPosition),
    /// The rest of this revision, of which an update sent a part.
    Rest(EventPosition),
}

impl Next {
    pub(super) fn at(self) -> EventPosition {
        match self {
            Self::From(at) | Self::Rest(at) => at,
        }
    }

    /// The same at a later position, when nothing was sent on the way.
    pub(super) fn moved_to(self, at: EventPosition) -> Self {
        match self {
            Self::From(_) => Self::From(at),
            Self::Rest(_) => Self::Rest(at),
        }
    }
}

/// How far a watch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// It has every wanted event that was published, and wants none before this position.
    Following(EventPosition),
    /// It waits in its stream's queue.
    Queued(Next),
    /// A poll reads and encodes its events.
    InHand(Next),
    /// The same, and events that it wants may have been published meanwhile.
    Overtaken(Next),
}

impl Position {
    /// The next event is at this position or later.
    pub(super) fn at(self) -> EventPosition {
        match self {
            Self::Following(at) => at,
            Self::Queued(next) | Self::InHand(next) | Self::Overtaken(next) => next.at(),
        }
    }

    /// Something to take was published at `at`. Returns whether the watch now has to be queued.
    #[must_use]
    pub(super) fn publish(&mut self, at: EventPosition) -> bool {
        match *self {
            Self::Following(_) => {
                *self = Self::Queued(Next::From(at));
                return true;
            }
            Self::InHand(next) => *self = Self::Overtaken(next),
            Self::Queued(_) | Self::Overtaken(_) => {}
        }
        false
    }

    /// A poll takes the watch out of the queue. `None` if it is not queued.
    pub(super) fn take_in_hand(&mut self) -> Option<Next> {
        let Self::Queued(next) = *self else { return None };
        *self = Self::InHand(next);
        Some(next)
    }

    /// The poll is done with the watch and queues it again.
    pub(super) fn requeue(&mut self, next: Next) {
        *self = Self::Queued(next);
    }

    /// The poll took everything that was published before it. Returns whether the watch follows
    /// now; otherwise it has to be queued.
    #[must_use]
    pub(super) fn catch_up(&mut self, next: Next) -> bool {
        match (*self, next) {
            (Self::InHand(_), Next::From(at)) => {
                *self = Self::Following(at);
                true
            }
            _ => {
                *self = Self::Queued(next);
                false
            }
        }
    }

    /// The revision at which its client resumes without a gap, when everything up to `published`
    /// was published.
    pub(super) fn resume(self, published: Revision) -> Revision {
        match self {
            Self::Following(at) => at.revision.max(after(published)),
            Self::Queued(next) | Self::InHand(next) | Self::Overtaken(next) => next.at().revision,
        }
    }
}

#[cfg(test)]
mod tests;
