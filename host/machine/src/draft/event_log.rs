//! What spaces keep of their events, as the commands of an entry change it.
//!
//! An event costs its row and nothing else while commands run: what its space keeps is counted from
//! the list of events when a command asks for it, or when the entry ends, and is one row a space
//! however many there were.
use alloc::string::String;
use alloc::vec::Vec;

use synod_abi::{Fault, OperationId, SpaceId, SpaceName};

use crate::draft::draft::Draft;
use crate::draft::effects::{Emitted, EventLogChange};
use crate::ports::{Fatal, StateView, Table};
use crate::rows::counter::Counter;
use crate::rows::events::{EventLog, EventPosition, StoredEvent, event_key, event_log_key, space_at};

/// Prefix of the keys of all event logs.
const LOGS: &[u8] = b"e";
/// What an encoded event has beside topic and payload, at most: two lengths and a time.
const EVENT_OVERHEAD_BYTES: usize = 16;

impl<S: StateView> Draft<S> {
    /// An event of `space`, within the limits of its cause.
    pub(crate) fn add_event(&mut self, space: SpaceId, topic: &str, payload: &[u8]) -> Result<(), Fault> {
        let number = self.emissions().number(space, topic.len() + payload.len())?;
        let revision = self.revision();
        let event = StoredEvent { topic: String::from(topic), payload: payload.into(), time: self.time() };
        let capacity = EVENT_OVERHEAD_BYTES + topic.len() + payload.len();
        let row = synod_abi::encode_into(&event, Vec::with_capacity(capacity));
        let key = event_key(space, EventPosition { revision, number });
        let size = key.len() + row.len();
        self.emissions().emit(Emitted { space, revision, number, event }, size);
        self.counts().events += 1;
        self.counts().event_bytes += size as u64;
        self.overlay().put_new(Table::Events, &key, row);
        Ok(())
    }

    /// An operation to run when the call has its result.
    pub(crate) fn add_send(&mut self, space: &[u8], operation: u32, args: &[u8]) {
        let space = core::str::from_utf8(space).ok().and_then(|name| SpaceName::new(name).ok());
        self.emissions().send(space, OperationId(operation), args.into());
    }

    /// What `space` keeps of its events, those of this entry included.
    pub(crate) fn event_log(&mut self, space: SpaceId) -> Result<EventLog, Fatal> {
        self.write_event_logs()?;
        self.stored_event_log(space)
    }

    pub(crate) fn set_event_log(&mut self, space: SpaceId, log: &EventLog) {
        self.overlay().put(Table::System, &event_log_key(space), synod_abi::encode(log));
    }

    /// Brings the rows of what spaces keep up to date with what was emitted.
    pub(crate) fn write_event_logs(&mut self) -> Result<(), Fatal> {
        for (space, added) in self.emissions().unlogged() {
            let log = self.stored_event_log(space)?;
            let oldest_at = if log.events == 0 { added.oldest_at } else { log.oldest_at };
            let events = log.events + added.events;
            let bytes = log.bytes + added.bytes;
            self.set_event_log(space, &EventLog { last: added.last, events, bytes, oldest_at, ..log });
        }
        Ok(())
    }

    /// The event logs that this entry changed, one per space.
    pub(crate) fn event_log_changes(&mut self) -> Result<Vec<EventLogChange>, Fatal> {
        let changed =
            self.overlay().changed(Table::System, LOGS).take_while(|(key, _)| key.starts_with(LOGS));
        let changed = changed
            .map(|(key, there)| Ok((space_at(key, LOGS.len())?, there)))
            .collect::<Result<Vec<_>, Fatal>>()?;
        let log = |(space, there)| {
            let log = if there { Some(self.stored_event_log(space)?) } else { None };
            Ok(EventLogChange { space, log })
        };
        changed.into_iter().map(log).collect()
    }

    fn stored_event_log(&mut self, space: SpaceId) -> Result<EventLog, Fatal> {
        Ok(self
            .read(Table::System, &event_log_key(space), "what a space keeps of its events")?
            .unwrap_or_default())
    }

    /// Forgets all events of a space that is deleted, and what it keeps of them.
    pub(crate) fn delete_events(&mut self, space: SpaceId) -> Result<(), Fatal> {
        let log = self.event_log(space)?;
        self.counts().events.take(log.events, "events")?;
        self.counts().event_bytes.take(log.bytes, "bytes of events")?;
        self.overlay().delete_prefix(Table::Events, &space.0.to_be_bytes());
        self.overlay().delete(Table::System, &event_log_key(space));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
