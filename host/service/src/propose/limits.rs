//! How much a proposer holds, and what it counts.

/// Entries that a leader has in flight by default: proposed, and not applied on itself. More hide
/// the latency of disk and network; fewer make larger entries.
pub const ENTRIES_IN_FLIGHT: usize = 4;
/// Own proposals without outcome, by default.
pub const OWN_COMMANDS: usize = 16_384;
/// Bytes of them, by default.
pub const OWN_BYTES: usize = 64 * 1_024 * 1_024;
/// Commands of followers that wait in a leader's queue, by default.
pub const FORWARDED_COMMANDS: usize = 16_384;
/// Bytes of them, by default.
pub const FORWARDED_BYTES: usize = 64 * 1_024 * 1_024;

/// How much the proposer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposerLimits {
    /// See [`ENTRIES_IN_FLIGHT`].
    pub entries_in_flight: usize,
    /// See [`OWN_COMMANDS`].
    pub own_commands: usize,
    /// See [`OWN_BYTES`].
    pub own_bytes: usize,
    /// See [`FORWARDED_COMMANDS`].
    pub forwarded_commands: usize,
    /// See [`FORWARDED_BYTES`].
    pub forwarded_bytes: usize,
}

impl Default for ProposerLimits {
    fn default() -> Self {
        Self {
            entries_in_flight: ENTRIES_IN_FLIGHT,
            own_commands: OWN_COMMANDS,
            own_bytes: OWN_BYTES,
            forwarded_commands: FORWARDED_COMMANDS,
            forwarded_bytes: FORWARDED_BYTES,
        }
    }
}

/// Counts since the start, for `synod bench` and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProposerStats {
    /// Entries proposed by this member as leader.
    pub entries: u64,
    /// Commands in them.
    pub commands: u64,
    /// Own proposals that wait for their outcome now.
    pub waiting: u64,
    /// Own proposals that were queued again, after a change of leaders or a deferral.
    pub resubmitted: u64,
}
