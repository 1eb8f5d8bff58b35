//! Ends of sessions that this leader has packed and that are not settled yet.
//!
//! Once an end is in an entry it may be committed, although this member applies it later. Until it
//! is settled, the leader does not say that the session lives. An end whose proposal has no known
//! outcome is kept until the term is over.
use std::collections::{HashMap, HashSet};

use synod_abi::SessionId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ends(HashMap<SessionId, u32>);

impl Ends {
    pub(super) fn packed(&mut self, session: SessionId) {
        *self.0.entry(session).or_default() += 1;
    }

    /// One of the ends of `session` was applied, whatever came of it, or is surely in no log.
    pub(super) fn settled(&mut self, session: SessionId) {
        if let Some(packed) = self.0.get_mut(&session) {
            *packed -= 1;
            if *packed == 0 {
                self.0.remove(&session);
            }
        }
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Those of `sessions` of which an end is not settled.
    pub(super) fn among(&self, sessions: &[SessionId]) -> HashSet<SessionId> {
        if self.0.is_empty() {
            return HashSet::new();
        }
        sessions.iter().filter(|session| self.0.contains_key(session)).copied().collect()
    }
}
