//! Whether to try again after something went wrong.
//!
//! The rule: a request that changes something is tried again only if it is surely not applied: the
//! member said so, or the request never left this process. Whatever changes nothing, or nothing
//! more the second time, may always be tried again.
use synod_abi::Reason;
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;

use super::Backoff;
use crate::Error;

/// What trying a request twice would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The same as once: it reads, or is idempotent by its own key, as installing a module is.
    Idempotent,
    /// Perhaps something twice, or after something later: a setting that is sent again undoes one
    /// that another client made meanwhile.
    Changes,
}

/// What went wrong with one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The request never left: no connection, or it broke before. For people.
    NotSent(String),
    /// The request left, and no answer came. For people.
    NoAnswer(String),
    /// The member answered with a failure.
    Answered(Box<Failure>),
}

impl Trouble {
    /// What went wrong, for people.
    pub fn why(&self) -> &str {
        match self {
            Self::NotSent(why) | Self::NoAnswer(why) => why,
            Self::Answered(failure) => &failure.message,
        }
    }
}

/// How long a call goes on when every member says that its disk is full, in milliseconds: space
/// comes from people, and a leader hands over within this time.
const FULL_MS: u64 = 1_000;
/// How long it waits before it asks all of them again, in milliseconds.
const FULL_PAUSE_MS: u64 = 200;

/// Members whose disk is full, as one request has learned it: the others are asked at once, and
/// when there is no other, it soon ends.
#[derive(Clone, Debug, Default)]
pub struct FullMembers(Vec<String>);

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Try again.
    Retry {
        /// After this time.
        after_ms: u64,
    },
    /// Tell the caller.
    GiveUp(Error),
}

/// How long and how often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A request without an answer ends this long after it began, with all its attempts.
    pub give_up_ms: u64,
    /// Waits between attempts.
    pub backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self { give_up_ms: 10_000, backoff: Backoff::default() }
    }
}

impl Policy {
    /// What to do after attempt number `attempt` (from 1) failed with `trouble`, `elapsed_ms` after
    /// the first one began.
    pub fn decide(
        &self,
        effect: Effect,
        trouble: Trouble,
        attempt: u32,
        elapsed_ms: u64,
        jitter: u32,
    ) -> Decision {
        let harmless = effect == Effect::Idempotent;
        let again = trouble.is_transient(effect);
        let least_ms = match &trouble {
            Trouble::Answered(failure) => failure.retry_after_ms,
            Trouble::NotSent(_) | Trouble::NoAnswer(_) => 0,
        };
        let after_ms = self.backoff.delay_ms(attempt, jitter).max(least_ms);
        if again && elapsed_ms.saturating_add(after_ms) < self.give_up_ms {
            return Decision::Retry { after_ms };
        }
        Decision::GiveUp(match trouble {
            Trouble::NotSent(message) => Error::Unavailable(message),
            Trouble::NoAnswer(message) if harmless => Error::Unavailable(message),
            Trouble::NoAnswer(message) => Error::OutcomeUnknown(message),
            Trouble::Answered(failure) => match Error::from(*failure) {
                Error::OutcomeUnknown(message) if harmless => Error::Unavailable(message),
                error => error,
            },
        })
    }
}

impl Trouble {
    /// Whether another attempt may go better, and does no harm.
    pub(crate) fn is_transient(&self, effect: Effect) -> bool {
        let harmless = effect == Effect::Idempotent;
        match self {
            Self::NotSent(_) => true,
            Self::NoAnswer(_) => harmless,
            Self::Answered(failure) => match failure.kind() {
                Kind::Unavailable => true,
                Kind::OutcomeUnknown => harmless,
                Kind::Rejected | Kind::Internal | Kind::Unspecified => false,
            },
        }
    }

    /// The error for a caller whose time ends after this trouble.
    pub(crate) fn unavailable(&self) -> Error {
        Error::Unavailable(self.why().to_owned())
    }

    /// Whether it is that the member's disk is full.
    pub(crate) fn is_full_disk(&self) -> bool {
        matches!(self, Self::Answered(failure)
            if failure.kind() == Kind::Unavailable && failure.known_reason() == Some(Reason::DiskFull))
    }
}

impl FullMembers {
    /// What to do after the member at `address`, one of `known`, failed with `trouble`,
    /// `elapsed_ms` after the first attempt began; none if the policy decides.
    pub fn decide<'a>(
        &mut self,
        policy: &Policy,
        address: &str,
        trouble: &Trouble,
        mut known: impl Iterator<Item = &'a str>,
        elapsed_ms: u64,
    ) -> Option<Decision> {
        if !trouble.is_full_disk() {
            return None;
        }
        if !self.0.iter().any(|full| full == address) {
            self.0.push(address.to_owned());
        }
        let after_ms = if known.any(|address| !self.0.iter().any(|full| full == address)) {
            0
        } else {
            self.0.clear();
            if elapsed_ms.saturating_add(FULL_PAUSE_MS) >= FULL_MS {
                return Some(Decision::GiveUp(Error::Unavailable(trouble.why().to_owned())));
            }
            FULL_PAUSE_MS
        };
        (elapsed_ms.saturating_add(after_ms) < policy.give_up_ms).then_some(Decision::Retry { after_ms })
    }
}

#[cfg(test)]
mod tests;
