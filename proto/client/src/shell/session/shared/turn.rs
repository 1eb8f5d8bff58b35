//! What the session's pump has to do, decided under the session's lock.
use std::sync::Arc;

use super::Shared;
use super::sending::Slot;
use crate::shell::link::Link;

/// What the pump has to do.
pub(crate) struct Turn {
    pub(crate) over: bool,
    pub(crate) connect: bool,
    pub(crate) crowded: Option<Arc<Link>>,
    pub(crate) cancels: Vec<u64>,
    pub(crate) wake_ms: Option<u64>,
}

impl Shared {
    /// What the pump has to do now. It can take on up to `cancels` more cancels; `slot` is the one
    /// that it got by standing in line.
    pub(crate) fn turn(self: &Arc<Self>, cancels: usize, slot: Option<Slot>) -> Turn {
        let mut calls = self.calls();
        let now_ms = self.client.now_ms();
        if let Some(why) = calls.requests.overdue(now_ms, self.client.jitter()) {
            tracing::debug!(session = %self.id, why, "a member owes an answer");
            self.abandon(&mut calls);
        }
        for (id, error) in calls.requests.given_up(now_ms) {
            if let Some(waiting) = calls.waiting.get_mut(&id) {
                waiting.flight = None;
            }
            calls.give_up(id, Some(error));
        }
        self.send(&mut calls, slot);
        calls.line = calls.crowded_by().cloned();
        let cancels = std::iter::from_fn(|| calls.requests.next_cancel()).take(cancels).collect();
        let wake_ms = calls.requests.wake_at(now_ms);
        calls.wakes_ms = wake_ms.unwrap_or(u64::MAX);
        Turn {
            over: calls.over.is_some(),
            connect: calls.requests.wants_round(now_ms),
            crowded: calls.line.clone(),
            cancels,
            wake_ms,
        }
    }
}
