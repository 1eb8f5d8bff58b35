//! Settings of a client, with their defaults.
use crate::core::{Backoff, Follow, Policy};

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which member is preferred.
    pub follow: Follow,
    /// Whether the client asks the cluster for its members and its leader, and keeps asking.
    /// Otherwise it knows only the given addresses, and contacts no member before the first
    /// request.
    pub learn_members: bool,
    /// How long, and how often, to try again.
    pub policy: Policy,
    /// Waits before a member that failed is asked again.
    pub member_backoff: Backoff,
    /// How long to wait for a connection, on which the member has answered.
    pub connect_timeout_ms: u64,
    /// How long a connection may take before another member is tried beside it.
    pub connect_hedge_ms: u64,
    /// How long a member may owe an answer before another one is asked as well, or instead.
    pub answer_hedge_ms: u64,
    /// How long to wait for the answer to one attempt. Longer than a member's own limit, so that
    /// the member's answer arrives.
    pub attempt_timeout_ms: u64,
    /// When requests end that were made through this client, counted from when it was made,
    /// installs that were sent excepted; none: each has the policy's time for itself. For programs
    /// that do one thing.
    pub deadline_ms: Option<u64>,
    /// How long to wait for an install, whose module every member compiles.
    pub install_timeout_ms: u64,
    /// Most calls in flight to one member; further ones wait.
    pub calls_in_flight: usize,
    /// How long a member that serves watches may be silent, or lag behind the cluster's known
    /// revision, before its watches move to another one. More than twice the 5 seconds between
    /// progress marks.
    pub watch_silence_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            follow: Follow::Leader,
            learn_members: true,
            policy: Policy::default(),
            member_backoff: Backoff { base_ms: 100, max_ms: 5_000 },
            connect_timeout_ms: 2_000,
            connect_hedge_ms: 300,
            answer_hedge_ms: 700,
            attempt_timeout_ms: 15_000,
            deadline_ms: None,
            install_timeout_ms: 60_000,
            calls_in_flight: 4_096,
            watch_silence_ms: 12_000,
        }
    }
}
