//! How much of its past a space keeps, and the command that forgets the rest.
//!
//! A compaction forgets whole revisions, oldest first, and says how far it came: whoever proposed
//! it proposes it again. What should be forgotten when is not decided here.
use synod_abi::{Direction, Revision, SpaceId, SpaceName, limits};

use crate::apply::{Machine, Stop, Turn};
use crate::draft::draft::Workspace;
use crate::log::command::EventRetention;
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, RangeLimit, StateView, Table};
use crate::rows::directory::{self, space_id_key};
use crate::rows::events::{EventLog, EventPosition, event_key, event_log_key, event_position, events};

/// Bytes of events that one compaction takes away, rounded up to a whole revision: their digests
/// are taken out, so they are read.
pub(crate) const COMPACTION_BYTES: usize = 16 * 1_024 * 1_024;
/// Rows of events that are read at a time.
const PAGE: RangeLimit = RangeLimit { rows: 512, bytes: 1_024 * 1_024 };
const ONE: RangeLimit = RangeLimit { rows: 1, bytes: 0 };

/// What a compaction takes away.
#[derive(Debug, Default)]
struct Forgotten {
    last: Revision,
    events: u64,
    bytes: usize,
}

impl Forgotten {
    fn is_enough(&self) -> bool {
        self.events >= limits::COMPACTION_EVENTS as u64 || self.bytes >= COMPACTION_BYTES
    }
}

pub(crate) fn set_event_retention<S: StateView>(
    workspace: &mut Workspace<S>,
    name: &SpaceName,
    retention: EventRetention,
) -> Result<Reply, Stop> {
    let space = directory::space(workspace, name)?.ok_or(Rejection::UnknownSpace)?.id;
    let EventRetention { events, bytes, age_ms } = retention;
    if events > limits::EVENTS_CEILING
        || bytes > limits::EVENT_BYTES_CEILING
        || age_ms < limits::EVENT_AGE_FLOOR_MS
    {
        return Err(Rejection::RetentionOutOfBounds.into());
    }
    let log = workspace.event_log(space)?;
    workspace.set_event_log(space, &EventLog { retention, ..log });
    Ok(Reply::Done)
}

impl Machine {
    pub(crate) fn compact_events<S: StateView>(
        &self,
        workspace: &mut Workspace<S>,
        space: SpaceId,
        through: Revision,
        turn: &Turn,
    ) -> Result<Reply, Stop> {
        if workspace.row(Table::System, &space_id_key(space))?.is_none() {
            return Err(Rejection::UnknownSpace.into());
        }
        let log = workspace.event_log(space)?;
        let through = through.min(Revision(turn.revision.0.saturating_sub(1)));
        if through <= log.compacted {
            return Ok(Reply::Compacted { through: log.compacted, events: 0, more: false });
        }
        let (Forgotten { last, events: forgotten, bytes }, more) = if log.events > 0 {
            forget(workspace, space, log.compacted, through)?
        } else {
            (Forgotten::default(), false)
        };
        let compacted = last.max(log.compacted);
        workspace.counts().events = workspace.counts().events.saturating_sub(forgotten);
        workspace.counts().event_bytes = workspace.counts().event_bytes.saturating_sub(bytes as u64);
        let oldest_at = events(workspace, space, EventPosition::at(next(compacted)), ONE)?
            .events
            .first()
            .map(|(_, event)| event.time);
        let (events, bytes) = (log.events.saturating_sub(forgotten), log.bytes.saturating_sub(bytes as u64));
        workspace.set_event_log(space, &EventLog { compacted, events, bytes, oldest_at, ..log });
        Ok(Reply::Compacted { through: compacted, events: forgotten, more })
    }
}

impl<S: StateView> Workspace<S> {
    /// Forgets all events of a space that is deleted, and what it keeps of them.
    pub(crate) fn delete_events(&mut self, space: SpaceId) -> Result<(), Fatal> {
        let log = self.event_log(space)?;
        self.counts().events = self.counts().events.saturating_sub(log.events);
        self.counts().event_bytes = self.counts().event_bytes.saturating_sub(log.bytes);
        self.overlay().delete_prefix(Table::Events, &space.0.to_be_bytes());
        self.overlay().delete(Table::System, &event_log_key(space));
        Ok(())
    }
}

/// Deletes events behind `after` up to `through`, and tells whether some of those are left.
fn forget<S: StateView>(
    workspace: &mut Workspace<S>,
    space: SpaceId,
    after: Revision,
    through: Revision,
) -> Result<(Forgotten, bool), Fatal> {
    let (mut from, to) = (
        event_key(space, EventPosition::at(next(after))),
        event_key(space, EventPosition::at(next(through))),
    );
    let mut forgotten = Forgotten::default();
    loop {
        let (rows, more) = workspace.range(Table::Events, &from, &to, Direction::Forward, PAGE)?;
        for (key, value) in &rows {
            let EventPosition { revision, .. } = event_position(key)?;
            if forgotten.is_enough() && revision != forgotten.last {
                return Ok((forgotten, true));
            }
            workspace.overlay().delete_known(Table::Events, key, value);
            forgotten.events += 1;
            forgotten.bytes += key.len() + value.len();
            forgotten.last = revision;
        }
        match rows.into_iter().next_back() {
            Some((last, _)) if more => {
                from = last;
                from.push(0);
            }
            _ => return Ok((forgotten, false)),
        }
    }
}

fn next(revision: Revision) -> Revision {
    Revision(revision.0.saturating_add(1))
}

#[cfg(test)]
mod tests;
