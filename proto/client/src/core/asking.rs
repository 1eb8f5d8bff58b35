//! One request on its way to an answer: which member is asked when, which one is asked as well, and
//! when it ends.
//!
//! A member that hangs refuses nothing, so an attempt without an answer is no reason to wait: after
//! a while another member is asked beside it, and the first answer counts. What may have an effect
//! twice is asked of one member only once it was sent; before that, connections to several are
//! tried, and the first that is made is used.
//!
//! It keeps addresses and times; connecting and sending is the caller's part.
use super::retry::{Decision, Effect, FullMembers, Policy, Trouble};
use crate::Error;

/// What holds for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What sending it twice would do.
    pub effect: Effect,
    /// How long a connection may take before another member is tried beside it.
    pub connect_ms: u64,
    /// How long an answer may take before another member is asked beside it; none: as long as the
    /// attempt lasts, because the request is slow by nature.
    pub answer_ms: Option<u64>,
    /// When it ends without an answer. One that was sent and is not asked of another member ends
    /// with its attempt instead, which knows whether it had left.
    pub end_ms: u64,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Ask a member that is not being asked; the one that has owed an answer for too long is named.
    Ask {
        /// Its address.
        silent: Option<String>,
    },
    /// Nothing until this time, or until something comes of an attempt.
    WaitUntil(u64),
    /// Tell the caller.
    GiveUp(Error),
}

#[derive(Clone, Debug)]
struct Attempt {
    address: String,
    since_ms: u64,
    is_sent: bool,
}

/// One request on its way to an answer.
#[derive(Clone, Debug)]
pub struct Asking {
    policy: Policy,
    terms: Terms,
    began_ms: u64,
    tried: u32,
    /// No attempt begins before this time.
    retry_at_ms: u64,
    attempts: Vec<Attempt>,
    full: FullMembers,
    /// The last failure.
    failed: Option<Error>,
    /// Whether the policy allows no further attempt.
    is_last: bool,
}

impl Asking {
    /// A request that begins at `now_ms`.
    pub fn new(policy: Policy, terms: Terms, now_ms: u64) -> Self {
        Self {
            policy,
            terms,
            began_ms: now_ms,
            tried: 0,
            retry_at_ms: now_ms,
            attempts: Vec::new(),
            full: FullMembers::default(),
            failed: None,
            is_last: false,
        }
    }

    /// Whether a member is being asked.
    pub fn asks(&self, address: &str) -> bool {
        self.attempts.iter().any(|attempt| attempt.address == address)
    }

    /// What to do now. `free` tells from when on there is a member to ask beside those that are
    /// being asked; none: there is no other.
    pub fn next(&self, now_ms: u64, free: impl FnOnce() -> Option<u64>) -> Turn {
        let Terms { effect, connect_ms, answer_ms, end_ms } = self.terms;
        let is_sent = self.attempts.iter().any(|attempt| attempt.is_sent);
        if is_sent && (effect == Effect::Changes || answer_ms.is_none()) {
            return Turn::WaitUntil(u64::MAX);
        }
        if now_ms >= end_ms {
            return Turn::GiveUp(self.late());
        }
        let Some(newest) = self.attempts.last() else {
            let at_ms = free().unwrap_or(now_ms).max(self.retry_at_ms);
            return if at_ms <= now_ms {
                Turn::Ask { silent: None }
            } else {
                Turn::WaitUntil(at_ms.min(end_ms))
            };
        };
        let patience_ms = if newest.is_sent { answer_ms.unwrap_or(u64::MAX) } else { connect_ms };
        let due_ms = newest.since_ms.saturating_add(patience_ms).max(self.retry_at_ms);
        if self.is_last || due_ms >= end_ms {
            return Turn::WaitUntil(end_ms);
        }
        if now_ms < due_ms {
            return Turn::WaitUntil(due_ms);
        }
        match free() {
            None => Turn::WaitUntil(end_ms),
            Some(at_ms) if at_ms > now_ms => Turn::WaitUntil(at_ms.min(end_ms)),
            Some(_) => Turn::Ask { silent: Some(newest.address.clone()) },
        }
    }

    fn late(&self) -> Error {
        self.failed.clone().unwrap_or_else(|| {
            let asked: Vec<&str> = self.attempts.iter().map(|attempt| attempt.address.as_str()).collect();
            let after_ms = self.terms.end_ms.saturating_sub(self.began_ms);
            if asked.is_empty() {
                return Error::Unavailable("its time was over before it was sent".to_owned());
            }
            Error::Unavailable(format!("{}: no answer within {after_ms} ms", asked.join(", ")))
        })
    }

    /// The member at `address` is being asked from now on.
    pub fn ask(&mut self, address: String, now_ms: u64) {
        self.tried = self.tried.saturating_add(1);
        self.attempts.push(Attempt { address, since_ms: now_ms, is_sent: false });
    }

    /// There is a connection to `address`, over which the request is sent now: other connections
    /// that are being made are given up.
    pub fn sent(&mut self, address: &str, now_ms: u64) {
        self.attempts.retain(|attempt| attempt.is_sent || attempt.address == address);
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.address == address) {
            (attempt.since_ms, attempt.is_sent) = (now_ms, true);
        }
    }

    /// The attempt at `address`, one of `known`, failed. Returns the error for the caller if that
    /// ends the request.
    pub fn failed<'a>(
        &mut self,
        address: &str,
        trouble: Trouble,
        known: impl Iterator<Item = &'a str>,
        now_ms: u64,
        jitter: u32,
    ) -> Option<Error> {
        self.attempts.retain(|attempt| attempt.address != address);
        let elapsed_ms = now_ms.saturating_sub(self.began_ms);
        let policy = Policy { give_up_ms: self.terms.end_ms.saturating_sub(self.began_ms), ..self.policy };
        let transient = trouble.is_transient(self.terms.effect);
        let decision = match self.full.decide(&policy, address, &trouble, known, elapsed_ms) {
            Some(decision) => decision,
            None => policy.decide(self.terms.effect, trouble.clone(), self.tried, elapsed_ms, jitter),
        };
        match decision {
            Decision::Retry { after_ms } => {
                self.retry_at_ms = now_ms.saturating_add(after_ms);
                self.failed = Some(trouble.unavailable());
                None
            }
            Decision::GiveUp(error) if transient && !self.attempts.is_empty() => {
                self.is_last = true;
                self.failed = Some(error);
                None
            }
            Decision::GiveUp(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests;
