//! How much of its past a space keeps, and the command that forgets the rest.
//!
//! A compaction forgets complete revisions, oldest first, and returns how far it came: its proposer
//! repeats it until nothing is left. What should be forgotten when is not decided here.
use synod_abi::{Revision, SpaceId, SpaceName, limits};

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::command::EventRetention;
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, RangeLimit, StateView, Table, Vm};
use crate::rows::counter::Counter;
use crate::rows::directory::{self, space_id_key};
use crate::rows::events::{EventLog, EventPosition, event_key, event_position, events};
use crate::rows::scan::Scan;
use crate::run::run::Run;

/// Bytes of events that one compaction takes away, rounded up to a complete revision: their digests
/// are taken out, so they are read.
pub(crate) const COMPACTION_BYTES: usize = 16 * 1_024 * 1_024;
const ONE: RangeLimit = RangeLimit { rows: 1, bytes: 0 };

/// What a compaction takes away.
#[derive(Debug, Default)]
struct Forgotten {
    last: Revision,
    events: u64,
    bytes: usize,
    /// Whether some of what should be forgotten is left.
    more: bool,
}

impl Forgotten {
    fn is_enough(&self) -> bool {
        self.events >= limits::COMPACTION_EVENTS as u64 || self.bytes >= COMPACTION_BYTES
    }
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn set_event_retention(
        &mut self,
        name: &SpaceName,
        retention: EventRetention,
    ) -> Result<Reply, Stop> {
        let space = directory::space(&*self.draft, name)?.ok_or(Rejection::UnknownSpace)?.id;
        let EventRetention { events, bytes, age_ms } = retention;
        if events > limits::EVENTS_CEILING
            || bytes > limits::EVENT_BYTES_CEILING
            || age_ms < limits::EVENT_AGE_FLOOR_MS
        {
            return Err(Rejection::RetentionOutOfBounds.into());
        }
        let log = self.draft.event_log(space)?;
        self.draft.set_event_log(space, &EventLog { retention, ..log });
        Ok(Reply::Done)
    }

    pub(crate) fn compact_events(&mut self, space: SpaceId, through: Revision) -> Result<Reply, Stop> {
        if self.draft.row(Table::System, &space_id_key(space))?.is_none() {
            return Err(Rejection::UnknownSpace.into());
        }
        let mut log = self.draft.event_log(space)?;
        let through = through.min(self.machine.head.revision);
        if through <= log.compacted {
            return Ok(Reply::Compacted { through: log.compacted, events: 0, more: false });
        }
        let forgotten = if log.events > 0 {
            forget(&mut self.draft, space, log.compacted, through)?
        } else {
            Forgotten::default()
        };
        let Forgotten { last, events: count, bytes, more } = forgotten;
        let bytes = bytes as u64;
        self.draft.counts().events.take(count, "events")?;
        self.draft.counts().event_bytes.take(bytes, "bytes of events")?;
        log.events.take(count, "events of a space")?;
        log.bytes.take(bytes, "bytes of a space's events")?;
        log.compacted = last.max(log.compacted);
        let oldest = events(&*self.draft, space, EventPosition::at(next(log.compacted)), ONE)?;
        log.oldest_at = oldest.events.first().map(|(_, event)| event.time);
        self.draft.set_event_log(space, &log);
        Ok(Reply::Compacted { through: log.compacted, events: count, more })
    }
}

/// Deletes events after `after` up to `through`, as many as one compaction takes.
fn forget<S: StateView>(
    draft: &mut Draft<S>,
    space: SpaceId,
    after: Revision,
    through: Revision,
) -> Result<Forgotten, Fatal> {
    let from = event_key(space, EventPosition::at(next(after)));
    let to = event_key(space, EventPosition::at(next(through)));
    let mut scan = Scan::range(Table::Events, from, to);
    let mut forgotten = Forgotten::default();
    while let Some(rows) = scan.next_page(draft)? {
        for (key, value) in &rows {
            let EventPosition { revision, .. } = event_position(key)?;
            if forgotten.is_enough() && revision != forgotten.last {
                return Ok(Forgotten { more: true, ..forgotten });
            }
            draft.overlay().delete_known(Table::Events, key, value);
            forgotten.events += 1;
            forgotten.bytes += key.len() + value.len();
            forgotten.last = revision;
        }
    }
    Ok(forgotten)
}

fn next(revision: Revision) -> Revision {
    Revision(revision.0.saturating_add(1))
}

#[cfg(test)]
mod tests;
