//! The draft's working copy of the head's numbers.
//!
//! Commands count and draw here, so that a rejected one can be undone. The head takes the copy over
//! at the end of the entry.
use crate::rows::counts::Counts;
use crate::rows::head::Head;

/// The numbers of the head that commands change while an entry is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// What the rows are counted as.
    pub(crate) counts: Counts,
    /// The last fencing token that was drawn.
    pub(crate) tokens: u64,
    /// The last id that was given to a timer.
    pub(crate) last_timer: u64,
    /// The last id that was given to a space.
    pub(crate) last_space: u32,
    /// The last number that was given to a turn of a space.
    pub(crate) last_turn: u64,
    /// The last number that was given to a hook that is owed.
    pub(crate) last_owed: u64,
}

impl Numbers {
    pub(crate) fn of(head: &Head) -> Self {
        let Head { counts, tokens, last_timer, last_space, last_turn, last_owed, .. } = *head;
        Self { counts, tokens, last_timer, last_space, last_turn, last_owed }
    }

    pub(crate) fn store(self, head: &mut Head) {
        let Self { counts, tokens, last_timer, last_space, last_turn, last_owed } = self;
        *head = Head { counts, tokens, last_timer, last_space, last_turn, last_owed, ..*head };
    }
}
