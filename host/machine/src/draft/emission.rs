//! What the commands of an entry emit and send: the two host calls, and what spaces keep of their
//! events.
//!
//! An event costs its row and nothing else while commands run: what its space keeps is counted from
//! the list of events when a command asks for it, or when the entry ends, and is one row a space
//! however many there were. That list, the numbers in it and what waits to be delivered are put
//! back with the rows when a command is rolled back.
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use synod_abi::{Blob, Fault, OperationId, SpaceId, SpaceName, check_topic, limits};

use crate::draft::draft::Workspace;
use crate::log::outcome::{Emitted, EventLogChange};
use crate::ports::{Fatal, StateView, Table};
use crate::rows::events::{EventLog, EventPosition, StoredEvent, event_key, event_log_key, space_at};

/// What the keys of all rows begin with that say what spaces keep of their events.
const LOGS: &[u8] = b"e";
/// What an encoded event has beside topic and payload, at most: two lengths and a time.
const EVENT_OVERHEAD_BYTES: usize = 16;

/// What a call wants to reach others, in the order in which it said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// The event at this place in the list of the entry's events.
    Event(usize),
    /// An operation to run.
    Send {
        /// Where; `None`, if that is no name of a space.
        space: Option<SpaceName>,
        operation: OperationId,
        args: Blob,
    },
}

/// What a cause and its deliveries emitted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caused {
    events: usize,
    bytes: usize,
}

/// A point that [`Emissions`] can return to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EmissionMark {
    events: usize,
    logged: usize,
    outbox: usize,
    caused: Caused,
}

/// What the commands of an entry emitted and sent so far.
#[derive(Debug, Default)]
pub(crate) struct Emissions {
    events: Vec<Emitted>,
    /// Bytes of the rows of `events`.
    sizes: Vec<u32>,
    /// How many of `events` the rows of what spaces keep know of.
    logged: usize,
    /// Events of each space in the present command.
    numbers: BTreeMap<SpaceId, u32>,
    outbox: Vec<Outgoing>,
    /// Whether events may go to handlers, because there are bindings; without any, emitting costs
    /// no delivery.
    heard: bool,
    caused: Caused,
}

/// The topic in these bytes.
pub(crate) fn topic_of(bytes: &[u8]) -> Result<&str, Fault> {
    let topic = core::str::from_utf8(bytes).map_err(|_| Fault::BadTopic)?;
    check_topic(topic).map_err(|_| Fault::BadTopic)?;
    Ok(topic)
}

impl Emissions {
    pub(crate) fn begin_command(&mut self, heard: bool) {
        self.numbers.clear();
        self.heard = heard;
    }

    pub(crate) fn begin_cause(&mut self) {
        self.caused = Caused::default();
    }

    pub(crate) fn mark(&self) -> EmissionMark {
        EmissionMark {
            events: self.events.len(),
            logged: self.logged,
            outbox: self.outbox.len(),
            caused: self.caused,
        }
    }

    pub(crate) fn rollback(&mut self, mark: EmissionMark) {
        let EmissionMark { events, logged, outbox, caused } = mark;
        for event in self.events.drain(events..).rev() {
            self.numbers.insert(event.space, event.number);
        }
        self.sizes.truncate(events);
        self.outbox.truncate(outbox);
        (self.logged, self.caused) = (logged, caused);
    }

    /// Whether something waits to be delivered that did not at `mark`.
    pub(crate) fn queued_since(&self, mark: EmissionMark) -> bool {
        self.outbox.len() > mark.outbox
    }

    /// Whether nothing waits to be delivered.
    pub(crate) fn is_quiet(&self) -> bool {
        self.outbox.is_empty()
    }

    /// What waits to be delivered, in order.
    pub(crate) fn take_outbox(&mut self) -> Vec<Outgoing> {
        core::mem::take(&mut self.outbox)
    }

    /// The event at this place.
    pub(crate) fn event(&self, at: usize) -> Option<&Emitted> {
        self.events.get(at)
    }

    pub(crate) fn into_events(self) -> Vec<Emitted> {
        self.events
    }

    /// What the events that no row knows of yet add to what their spaces keep.
    fn unlogged(&mut self) -> BTreeMap<SpaceId, EventLog> {
        let mut added = BTreeMap::new();
        for (event, size) in self.events.iter().zip(&self.sizes).skip(self.logged) {
            let log: &mut EventLog = added.entry(event.space).or_default();
            log.last = event.revision;
            log.events += 1;
            log.bytes += u64::from(*size);
            log.oldest_at = log.oldest_at.or(Some(event.event.time));
        }
        self.logged = self.events.len();
        added
    }
}

impl<S: StateView> Workspace<S> {
    /// An event of `space`, within the limits of its cause.
    pub(crate) fn add_event(&mut self, space: SpaceId, topic: &str, payload: &[u8]) -> Result<(), Fault> {
        let (revision, time) = (self.revision(), self.time());
        let emissions = self.emissions();
        emissions.caused.events += 1;
        emissions.caused.bytes += topic.len() + payload.len();
        if emissions.caused.events > limits::CAUSE_EVENTS
            || emissions.caused.bytes > limits::CAUSE_EVENT_BYTES
        {
            return Err(Fault::TooManyEvents);
        }
        let next = emissions.numbers.entry(space).or_default();
        let number = *next;
        *next += 1;
        let event = StoredEvent { topic: String::from(topic), payload: payload.into(), time };
        let row = synod_abi::encode_into(
            &event,
            Vec::with_capacity(EVENT_OVERHEAD_BYTES + topic.len() + payload.len()),
        );
        let key = event_key(space, EventPosition { revision, number });
        let size = key.len() + row.len();
        if emissions.heard {
            emissions.outbox.push(Outgoing::Event(emissions.events.len()));
        }
        emissions.events.push(Emitted { space, revision, number, event });
        emissions.sizes.push(size as u32);
        self.counts().events += 1;
        self.counts().event_bytes += size as u64;
        self.overlay().put_new(Table::Events, &key, row);
        Ok(())
    }

    /// An operation to run when the call has its result.
    pub(crate) fn add_send(&mut self, space: &[u8], operation: u32, args: &[u8]) {
        let space = core::str::from_utf8(space).ok().and_then(|name| SpaceName::new(name).ok());
        self.emissions().outbox.push(Outgoing::Send {
            space,
            operation: OperationId(operation),
            args: args.into(),
        });
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
            let (events, bytes) = (log.events + added.events, log.bytes + added.bytes);
            self.set_event_log(space, &EventLog { last: added.last, events, bytes, oldest_at, ..log });
        }
        Ok(())
    }

    /// What became of what spaces keep, of those where this entry changed it.
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
}

#[cfg(test)]
mod tests;
