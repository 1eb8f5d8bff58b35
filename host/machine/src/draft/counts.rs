//! The numbers of the head that commands count while an entry is applied.
use crate::rows::head::Head;

/// The numbers of the head that recipes and sessions count, while an entry is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) tokens: u64,
    pub(crate) sessions: u32,
    pub(crate) requests: u64,
    pub(crate) waiting: u64,
    pub(crate) timers: u64,
    pub(crate) last_timer: u64,
    pub(crate) events: u64,
    pub(crate) event_bytes: u64,
}

impl Counts {
    pub(crate) fn of(head: &Head) -> Self {
        let Head { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes, .. } = *head;
        Self { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes }
    }

    pub(crate) fn store(self, head: &mut Head) {
        let Self { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes } = self;
        *head =
            Head { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes, ..*head };
    }
}
