//! What the state counts, exactly: one number for each kind of row.
//!
//! The head holds these numbers, a draft counts on a copy of them, and a member's status carries
//! them whole. A number that would fall below zero stops the member.
use serde::{Deserialize, Serialize};

/// How many rows of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Installed recipes.
    pub recipes: u32,
    /// Spaces.
    pub spaces: u32,
    /// Open sessions.
    pub sessions: u32,
    /// Requests of sessions whose outcomes are not acknowledged, waiting ones among them.
    pub requests: u64,
    /// Calls that wait.
    pub waiting: u64,
    /// Pending timers, the deadlines of waiting calls among them.
    pub timers: u64,
    /// Those of them that are not recipes': deadlines, and what removes the timers of deleted
    /// spaces.
    pub deadlines: u64,
    /// Events that are kept, of all spaces.
    pub events: u64,
    /// Bytes of their keys and values.
    pub event_bytes: u64,
    /// Bindings of spaces to others' events.
    pub bindings: u32,
    /// Hooks that are owed: they failed, or have more to do.
    pub owed: u64,
}

impl Counts {
    /// Of a state without rows.
    pub const ZERO: Self = Self {
        recipes: 0,
        spaces: 0,
        sessions: 0,
        requests: 0,
        waiting: 0,
        timers: 0,
        deadlines: 0,
        events: 0,
        event_bytes: 0,
        bindings: 0,
        owed: 0,
    };
}
