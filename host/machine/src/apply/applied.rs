//! [`Applied`]: what applying an entry did.
use alloc::vec::Vec;

use synod_abi::Time;

use crate::draft::effects::{Completed, Emitted, EventLogChange, LogLine, SessionChange};
use crate::log::command::DigestRecord;
use crate::log::outcome::CommandOutcome;
use crate::ports::Write;

/// What applying an entry did: a value, carried out by others.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Rows to write, in order, the head's among them.
    pub writes: Vec<Write>,
    /// One outcome per command, in order.
    pub outcomes: Vec<CommandOutcome>,
    /// Outcomes of calls that were parked before, or by this entry, and got them in it: in the
    /// order in which they did.
    pub completions: Vec<Completed>,
    /// Sessions that were opened or ended, in order.
    pub sessions: Vec<SessionChange>,
    /// Digests of the leader that were told, in order: to be compared with those that this member
    /// had.
    pub checkpoints: Vec<DigestRecord>,
    /// Events that were emitted, by revision and number.
    pub events: Vec<Emitted>,
    /// What spaces keep of their events, of those where that changed: once each, by id.
    pub event_logs: Vec<EventLogChange>,
    /// When the next timer is due, if there is one.
    pub next_timer: Option<Time>,
    /// Digest of the chain after the entry.
    pub chain: [u8; 32],
    /// Digest of the state after the entry.
    pub state: [u8; 32],
    /// Whether the directory of recipes or spaces changed, so that caches of it are stale.
    pub directory_changed: bool,
    /// Lines that recipes wrote for people, at most `limits::LOG_RING_LINES`. Local.
    pub logs: Vec<LogLine>,
}
