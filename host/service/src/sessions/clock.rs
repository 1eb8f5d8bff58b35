//! The leader's deadlines of sessions: a value without futures and without a clock of its own.
//!
//! Nothing of it is replicated. A leader begins its term by giving every session its complete time
//! to live, because it cannot know which touches its predecessor received. It does the same after
//! it was stopped for a while, when touches could not arrive. Both only prolong. A session whose
//! end is decided is not prolonged in this term, whatever arrives.
//!
//! Each session has one place in the order of checks. A touch moves only its deadline; the check
//! finds out, and moves on.
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use synod_abi::SessionId;
use synod_planted::{Bug, is_planted};

use crate::ports::Monotonic;

/// How much later than planned a check may be before the leader takes itself to have been stopped.
pub(crate) const GAP: Duration = Duration::from_millis(500);

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// The session lives, for this long after each touch.
    Alive { ttl: Duration },
    /// Its end is decided.
    Ending,
    /// There is no such session.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Timed {
    ttl: Duration,
    deadline: Monotonic,
    /// Its place among the checks; none once its end is decided.
    check: Option<Monotonic>,
}

/// See the module. It is empty while this member does not lead.
#[derive(Debug, Default)]
pub(crate) struct SessionClock {
    sessions: HashMap<SessionId, Timed>,
    checks: BTreeSet<(Monotonic, SessionId)>,
    planned: Option<Monotonic>,
}

impl SessionClock {
    /// A clock that gives each of `sessions` its complete time to live.
    pub(crate) fn granting(sessions: impl Iterator<Item = (SessionId, Duration)>, now: Monotonic) -> Self {
        let mut clock = Self::default();
        sessions.for_each(|(session, ttl)| clock.opened(session, ttl, now));
        if is_planted(Bug::TermGrantsNothing) {
            for timed in clock.sessions.values_mut() {
                (timed.deadline, timed.check) = (now, Some(now));
            }
            clock.checks = clock.sessions.keys().map(|session| (now, *session)).collect();
        }
        clock
    }

    pub(crate) fn opened(&mut self, session: SessionId, ttl: Duration, now: Monotonic) {
        self.ended(session);
        let deadline = now.after(if is_planted(Bug::SessionEndsEarly) { ttl / 4 } else { ttl });
        self.checks.insert((deadline, session));
        self.sessions.insert(session, Timed { ttl, deadline, check: Some(deadline) });
    }

    pub(crate) fn ended(&mut self, session: SessionId) {
        if let Some(Timed { check: Some(check), .. }) = self.sessions.remove(&session) {
            self.checks.remove(&(check, session));
        }
    }

    /// A touch of `session` has arrived.
    pub(crate) fn touch(&mut self, session: SessionId, now: Monotonic) {
        if is_planted(Bug::TouchNotCounted) {
            return;
        }
        if let Some(timed) = self.sessions.get_mut(&session).filter(|timed| timed.check.is_some()) {
            timed.deadline = timed.deadline.max(now.after(timed.ttl));
        }
    }

    /// How a session is, for the answer to a touch.
    pub(crate) fn life(&self, session: SessionId) -> Life {
        match self.sessions.get(&session) {
            None => Life::Unknown,
            Some(Timed { check: None, .. }) => Life::Ending,
            Some(Timed { ttl, .. }) => Life::Alive { ttl: *ttl },
        }
    }

    /// At most `limit` sessions that were not touched for their time to live: their end is decided,
    /// and to be proposed until it succeeds or the term ends.
    pub(crate) fn due(&mut self, now: Monotonic, limit: usize) -> Vec<SessionId> {
        if self.planned.take().is_some_and(|planned| now > planned.after(GAP)) {
            self.grant_all(now);
        }
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(&(check, session)) = self.checks.first().filter(|(check, _)| *check <= now)
        {
            self.checks.remove(&(check, session));
            let Some(timed) = self.sessions.get_mut(&session) else { continue };
            if timed.deadline > now {
                timed.check = Some(timed.deadline);
                self.checks.insert((timed.deadline, session));
            } else {
                timed.check = None;
                due.push(session);
            }
        }
        due
    }

    fn grant_all(&mut self, now: Monotonic) {
        tracing::warn!(
            sessions = self.sessions.len(),
            "this leader was stopped for a while: every session is given its whole time again"
        );
        for timed in self.sessions.values_mut().filter(|timed| timed.check.is_some()) {
            timed.deadline = timed.deadline.max(now.after(timed.ttl));
        }
    }

    /// When [`due`](Self::due) has something to do next, at the earliest.
    pub(crate) fn next_check(&self) -> Option<Monotonic> {
        self.checks.first().map(|(check, _)| *check)
    }

    /// The next call of [`due`](Self::due) is planned for `at`, or before.
    pub(crate) fn plan(&mut self, at: Monotonic) {
        self.planned = Some(at);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

#[cfg(test)]
mod tests;
