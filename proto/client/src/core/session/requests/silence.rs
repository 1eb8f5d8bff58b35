//! How long to wait: for an answer, for the next round, and for a cluster that answers nothing.
use super::{Patience, Place, Requests};
use crate::Error;

/// How often to look for callers whose patience has ended while the cluster is silent, in
/// milliseconds.
const GIVE_UP_CHECK_MS: u64 = 100;

/// Since when the cluster has answered nothing, and the last failure.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    pub(super) since_ms: u64,
    pub(super) why: String,
}

impl Requests {
    /// The present round failed, or none could begin. The next one begins after a pause, of at
    /// least `least_ms`.
    pub fn failed(&mut self, why: String, least_ms: u64, now_ms: u64, jitter: u32) {
        self.round = None;
        self.failures = self.failures.saturating_add(1);
        let pause_ms = self.patience.policy.backoff.delay_ms(self.failures, jitter).max(least_ms);
        self.retry_at_ms = now_ms.saturating_add(pause_ms);
        let since_ms = self.silence.as_ref().map_or(now_ms, |silence| silence.since_ms);
        self.silence = Some(Silence { since_ms, why });
    }

    /// The cluster answered.
    pub(super) fn answered(&mut self) {
        self.silence = None;
        self.failures = 0;
        self.pace.answered();
    }

    /// When to call [`overdue`](Self::overdue) and [`given_up`](Self::given_up) and to look for
    /// something to send; none: not before something happens.
    pub fn wake_at(&self, now_ms: u64) -> Option<u64> {
        let round = (self.round.is_none() && !self.here.is_empty()).then_some(self.retry_at_ms);
        let hold = self.pace.held_until(now_ms).filter(|_| self.round.is_some());
        let answer = self.oldest_flight().map(|at_ms| self.due_ms(at_ms));
        let silence = self.silence.as_ref().filter(|_| !self.running.is_empty());
        let patience = silence.map(|silence| {
            let at_ms = silence.since_ms.saturating_add(self.patience.policy.give_up_ms);
            if at_ms > now_ms { at_ms } else { now_ms.saturating_add(GIVE_UP_CHECK_MS) }
        });
        [round, hold, answer, patience].into_iter().flatten().min()
    }

    fn oldest_flight(&self) -> Option<u64> {
        self.flying.iter().find_map(|id| match self.calls.get(id)?.place {
            Place::Flight { at_ms, .. } => Some(at_ms),
            _ => None,
        })
    }

    /// When a member that was sent its oldest request at `at_ms` has to have answered.
    fn due_ms(&self, at_ms: u64) -> u64 {
        let Patience { policy, attempt_ms, silent_ms } = self.patience;
        let silent_ms = silent_ms.saturating_mul(1 << self.failures.min(10)).min(policy.give_up_ms);
        let silent_at_ms = at_ms.max(self.heard_ms).saturating_add(silent_ms);
        silent_at_ms.min(at_ms.saturating_add(attempt_ms))
    }

    /// Ends the round if the member has owed an answer for too long, and returns why.
    pub fn overdue(&mut self, now_ms: u64, jitter: u32) -> Option<String> {
        let at_ms = self.oldest_flight().filter(|at_ms| self.due_ms(*at_ms) <= now_ms)?;
        let why = format!("no answer within {} ms", now_ms.saturating_sub(at_ms));
        self.failed(why.clone(), 0, now_ms, jitter);
        if let Some(silence) = &mut self.silence {
            silence.since_ms = silence.since_ms.min(at_ms.max(self.heard_ms));
        }
        Some(why)
    }

    /// Abandons the calls that waited for the policy's time while the cluster was silent, and
    /// returns each with the error for its caller. Parked calls wait on: the cluster has answered
    /// them once, and the session's deadline bounds them.
    pub fn given_up(&mut self, now_ms: u64) -> Vec<(u64, Error)> {
        let Some(Silence { since_ms, why }) = self.silence.clone() else { return Vec::new() };
        let give_up_ms = self.patience.policy.give_up_ms;
        let late = |id: &u64| {
            let call = self.calls.get(id)?;
            let waits = matches!(call.place, Place::Here | Place::Flight { .. });
            let late = call.made_ms.max(since_ms).saturating_add(give_up_ms) <= now_ms;
            let error = if call.sendings == 0 {
                Error::Unavailable(why.clone())
            } else {
                Error::OutcomeUnknown(why.clone())
            };
            (waits && late).then_some((*id, error))
        };
        let given_up: Vec<_> = self.running.iter().filter_map(late).collect();
        for (id, _) in &given_up {
            self.abandon(*id);
        }
        given_up
    }

    /// The last failure, if the cluster has been silent for the policy's time: further calls fail
    /// at once.
    pub fn is_silent(&self, now_ms: u64) -> Option<&str> {
        let silence = self.silence.as_ref()?;
        let late = silence.since_ms.saturating_add(self.patience.policy.give_up_ms) <= now_ms;
        late.then_some(silence.why.as_str())
    }
}

#[cfg(test)]
mod tests;
