//! How many watches there may be, and how much memory the events for them may take.
use std::time::Duration;

/// Watches of one stream.
pub const WATCHES_PER_STREAM: usize = 16_384;
/// Watches of one member.
pub const WATCHES_PER_MEMBER: usize = 262_144;
/// Watches of one stream that are being created, or whose `created` update the transport has not
/// taken; further creates wait.
pub const WATCH_CREATES: usize = 64;
/// Bytes of encoded events in one batch, unless it is a single larger event.
pub const UPDATE_BYTES: usize = 1_024 * 1_024;
/// A stream whose transport takes nothing for [`WATCH_STUCK`] while more than this is published for
/// it is stuck: its watches with events to take are cancelled.
pub const WATCH_UNREAD_BYTES: usize = 8 * 1_024 * 1_024;
/// See [`WATCH_UNREAD_BYTES`].
pub const WATCH_STUCK: Duration = Duration::from_millis(250);
/// How often a stream with watches gets a progress mark.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Bounds on what a hub holds in memory. Tests set smaller ones than the default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchLimits {
    /// Events that wait for the hub.
    pub(crate) feed_events: usize,
    /// Bytes of their topics and payloads.
    pub(crate) feed_bytes: usize,
    /// Bytes of the tails of all spaces, by [`SharedEvent::cost`](super::event::SharedEvent::cost).
    pub(crate) tail_bytes: usize,
    /// Bytes of events that one read of the store takes.
    pub(crate) page_bytes: usize,
    /// Bytes of encoded events in one batch.
    pub(crate) update_bytes: usize,
}

impl Default for WatchLimits {
    fn default() -> Self {
        Self {
            feed_events: 65_536,
            feed_bytes: 16 * 1_024 * 1_024,
            tail_bytes: 64 * 1_024 * 1_024,
            page_bytes: 512 * 1_024,
            update_bytes: UPDATE_BYTES,
        }
    }
}
