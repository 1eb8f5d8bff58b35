//! A trail of what happened in other spaces: the last events of all that the space is bound to, in
//! the order in which they were emitted.
//!
//! It records within the command that emits: what took effect is in the trail, what did not is not,
//! and a trail that cannot be written stops what it would have missed (bind with `skip` for the
//! opposite). It keeps so many events and bytes, the newest; and of a long payload the beginning,
//! because each call that is recorded pays for what the trail gives up for it. It does not know who
//! called: events do not tell.
use std::ops::Bound;

use synod_sdk::prelude::*;

/// Events that a trail keeps, unless it is told otherwise.
pub const EVENTS_DEFAULT: u64 = 10_000;
/// Most that it may be told to keep.
pub const EVENTS_CEILING: u64 = 1_000_000;
/// Bytes that a trail keeps, unless it is told otherwise.
pub const BYTES_DEFAULT: u64 = 8 * 1_024 * 1_024;
/// Most that it may be told to keep.
pub const BYTES_CEILING: u64 = 1_024 * 1_024 * 1_024;
/// Fewest bytes that it may be told to keep: any event fits.
pub const BYTES_FLOOR: u64 = 8 * 1_024;
/// Longest part of a payload that is kept, from its beginning, in bytes.
pub const PAYLOAD_BYTES: usize = 4 * 1_024;
/// What a record counts besides its space, topic and payload, in bytes.
pub const RECORD_BYTES: u64 = 64;
/// Most records that one event takes away. Enough for one of any size to make room for itself.
pub const EVENT_REMOVES: usize = 128;
/// Most records that one call of `keep` takes away; the rest go with the events that follow.
pub const KEEP_REMOVES: usize = 384;
/// Most records of a page.
pub const PAGE_ROWS: u32 = 500;
/// A page ends behind the record that makes it longer than this, in bytes.
pub const PAGE_BYTES: u64 = 512 * 1_024;

/// The stored part of a record.
#[data]
struct Stored {
    space: String,
    topic: String,
    payload: Blob,
    payload_bytes: u32,
    revision: Revision,
    time: Time,
}

/// An event that was recorded.
#[data]
pub struct Record {
    /// Its number in this trail: one more than that of the event before it, from 1.
    pub number: u64,
    /// The space that emitted it.
    pub space: String,
    /// What it is about.
    pub topic: String,
    /// postcard of what the recipe of that space emitted; of a longer one the first 4096 bytes.
    pub payload: Blob,
    /// Length of the whole payload, in bytes.
    pub payload_bytes: u32,
    /// Revision of the command that emitted it.
    pub revision: Revision,
    /// Cluster time of that command.
    pub time: Time,
}

/// How much a trail holds and may hold.
#[data]
pub struct Size {
    /// Records that it holds.
    pub events: u64,
    /// Their bytes: of space, topic and payload, and 64 more for each.
    pub bytes: u64,
    /// Number of the newest record; 0 if nothing was ever recorded. Those up to `last - events` are
    /// gone.
    pub last: u64,
    /// Most records that it keeps.
    pub keep_events: u64,
    /// Most bytes that it keeps.
    pub keep_bytes: u64,
}

/// Why a call is refused.
#[errors]
pub enum AuditError {
    /// A trail keeps 1 to 1000000 events and 8192 to 1073741824 bytes; to record nothing, unbind
    /// the space.
    #[error(1, out_of_range)]
    OutOfBounds,
}

/// A trail of the last events of all that the space is bound to.
#[recipe(name = "audit", version = 1)]
pub struct Audit {
    /// Records by number.
    trail: Map<u64, Stored>,
    /// How much there is and may be.
    size: Cell<Size>,
}

#[ops]
impl Audit {
    /// Sets how much the trail keeps, and returns what it holds now. If that is still more, the
    /// oldest go with the events that follow, or with another call.
    #[op]
    fn keep(&self, cx: &mut Ctx, events: u64, bytes: u64) -> Result<Size, AuditError> {
        let good = (1..=EVENTS_CEILING).contains(&events) && (BYTES_FLOOR..=BYTES_CEILING).contains(&bytes);
        ensure!(good, AuditError::OutOfBounds);
        let mut size = Size { keep_events: events, keep_bytes: bytes, ..self.stored_size(cx) };
        self.remove_excess(cx, &mut size, KEEP_REMOVES);
        self.size.put(cx, &size);
        Ok(size)
    }

    /// Records the event, and gives up the oldest for it.
    #[on_event]
    fn record(&self, cx: &mut Ctx, event: Event) {
        let (payload_bytes, mut payload) = (event.payload.len() as u32, event.payload);
        payload.0.truncate(PAYLOAD_BYTES);
        let (space, revision, time) = (event.space.as_str().to_owned(), cx.revision(), cx.now());
        let stored = Stored { space, topic: event.topic, payload, payload_bytes, revision, time };
        let mut size = self.stored_size(cx);
        size.last += 1;
        size.events += 1;
        size.bytes += stored.bytes();
        self.trail.put(cx, &size.last, &stored);
        self.remove_excess(cx, &mut size, EVENT_REMOVES);
        self.size.put(cx, &size);
    }

    /// The records behind the number `after`, from the oldest: at most `limit` (500 if absent or
    /// more) or about 512 KiB; none if nothing came after. A first number other than `after + 1`
    /// tells that those between are gone.
    #[query]
    fn trail(&self, cx: &QueryCtx, after: Option<u64>, limit: Option<u32>) -> Vec<Record> {
        let limit = limit.unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS) as usize;
        let (mut page, mut bytes) = (Vec::new(), 0);
        let size = self.stored_size(cx);
        let after = after.unwrap_or(0).max(size.last - size.events);
        for (number, stored) in
            self.trail.range(cx, (Bound::Excluded(after), Bound::Unbounded)).at_most(limit).take(limit)
        {
            bytes += stored.bytes();
            page.push(stored.numbered(number));
            if bytes > PAGE_BYTES {
                break;
            }
        }
        page
    }

    /// How much the trail holds and may hold.
    #[query]
    fn size(&self, cx: &QueryCtx) -> Size {
        self.stored_size(cx)
    }

    fn stored_size(&self, cx: &QueryCtx) -> Size {
        let none =
            || Size { events: 0, bytes: 0, last: 0, keep_events: EVENTS_DEFAULT, keep_bytes: BYTES_DEFAULT };
        self.size.get(cx).unwrap_or_else(none)
    }

    /// Removes the oldest records until the rest may stay, at most `most`.
    fn remove_excess(&self, cx: &mut Ctx, size: &mut Size, most: usize) {
        for _ in 0..most {
            if size.events <= size.keep_events && size.bytes <= size.keep_bytes {
                return;
            }
            let oldest = size.last - size.events + 1;
            let Some(stored) = self.trail.get(cx, &oldest) else { return };
            self.trail.delete(cx, &oldest);
            size.events -= 1;
            size.bytes -= stored.bytes();
        }
    }
}

impl Stored {
    /// What it counts.
    fn bytes(&self) -> u64 {
        (self.space.len() + self.topic.len() + self.payload.len()) as u64 + RECORD_BYTES
    }

    fn numbered(self, number: u64) -> Record {
        let Self { space, topic, payload, payload_bytes, revision, time } = self;
        Record { number, space, topic, payload, payload_bytes, revision, time }
    }
}
