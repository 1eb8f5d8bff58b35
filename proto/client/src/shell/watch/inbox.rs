//! What a watch has received and its application has not read yet: bounded, with consecutive
//! progress marks merged into one.
use std::collections::VecDeque;

use crate::core::Whole;

/// Bytes of events that a watch holds for its application before it takes no more. One message or
/// one revision may exceed that.
pub(super) const INBOX_BYTES: usize = 4 << 20;

/// Something for the application.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    /// All of one revision.
    Events(Whole),
    /// The watch has received everything up to this revision.
    Progress {
        /// The revision.
        revision: u64,
        /// Its cluster time.
        time_ms: u64,
    },
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    heard: VecDeque<Heard>,
    bytes: usize,
}

impl Inbox {
    /// Whether it takes no more.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= INBOX_BYTES
    }

    /// Whether it has room again for a while.
    pub(super) const fn has_room(&self) -> bool {
        self.bytes < INBOX_BYTES / 2
    }

    /// Adds an item.
    pub(super) fn push(&mut self, heard: Heard) {
        match (&heard, self.heard.back_mut()) {
            (Heard::Progress { .. }, Some(last @ Heard::Progress { .. })) => {
                *last = heard;
                return;
            }
            (Heard::Events(whole), _) => self.bytes += whole.bytes,
            (Heard::Progress { .. }, _) => {}
        }
        self.heard.push_back(heard);
    }

    /// Takes the oldest item.
    pub(super) fn pop(&mut self) -> Option<Heard> {
        let heard = self.heard.pop_front()?;
        if let Heard::Events(whole) = &heard {
            self.bytes -= whole.bytes;
        }
        Some(heard)
    }
}

#[cfg(test)]
mod tests;
