//! What the commands of an entry emit and send: the list of events, and the outbox that deliveries
//! are made from.
//!
//! The list, the numbers in it and the outbox are put back with the rows when a command is rolled
//! back. It writes no rows: that is the [event log](crate::draft::event_log).
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use synod_abi::{Blob, Fault, OperationId, SpaceId, SpaceName, check_topic, limits};

use crate::draft::effects::Emitted;
use crate::rows::events::EventLog;

/// What a call emits or sends, to be delivered after it.
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
        self.logged = logged;
        self.caused = caused;
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

    /// Counts an event of `space` towards its cause, and numbers it.
    pub(crate) fn number(&mut self, space: SpaceId, bytes: usize) -> Result<u32, Fault> {
        self.caused.events += 1;
        self.caused.bytes += bytes;
        if self.caused.events > limits::CAUSE_EVENTS || self.caused.bytes > limits::CAUSE_EVENT_BYTES {
            return Err(Fault::TooManyEvents);
        }
        let next = self.numbers.entry(space).or_default();
        let number = *next;
        *next += 1;
        Ok(number)
    }

    /// Adds a numbered event, whose row has `size` bytes.
    pub(crate) fn emit(&mut self, event: Emitted, size: usize) {
        if self.heard {
            self.outbox.push(Outgoing::Event(self.events.len()));
        }
        self.events.push(event);
        self.sizes.push(size as u32);
    }

    /// Adds an operation to run when the call has its result.
    pub(crate) fn send(&mut self, space: Option<SpaceName>, operation: OperationId, args: Blob) {
        self.outbox.push(Outgoing::Send { space, operation, args });
    }

    /// What the events that no row knows of yet add to what their spaces keep.
    pub(crate) fn unlogged(&mut self) -> BTreeMap<SpaceId, EventLog> {
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
