//! What a recipe's host calls act on: the overlay over committed rows, and the budgets of the call.
//!
//! It is handed to the [`Vm`](crate::Vm) by value and comes back, so it is one pointer wide. A
//! query's workspace is the same thing with writing refused and nothing kept. A failing store ends
//! the call; the failure is taken out afterwards and stops the member.
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use serde::de::DeserializeOwned;
use synod_abi::{
    Access, Direction, Fault, HostCalls, RangeRequest, Revision, SpaceId, TicketId, Time, TimerId, limits,
};

use crate::commands::ticks::{Fires, TIMER_ROWS_BYTES};
use crate::draft::emission::{EmissionMark, Emissions, topic_of};
use crate::draft::tickets::reply_of;
use crate::log::outcome::{Completed, LogLine, SessionChange};
use crate::ports::{Fatal, RangeLimit, Row, StateView, Table};
use crate::rows::directory::Head;
use crate::rows::overlay::{Overlay, Range, Savepoint, behind};
use crate::rows::sessions::decode;

/// Bytes of a space's id in front of its rows' keys.
pub(crate) const SPACE_BYTES: usize = 4;
/// Bytes that [`synod_abi::Rows`] adds to a row.
const ROW_HEADER_BYTES: usize = 8;
/// Longest bound of a range: the next chunk begins at the last key and a zero behind it.
const BOUND_BYTES: usize = limits::KEY_BYTES + 1;
/// Bytes of replies that a call may complete parked calls with: 4 KiB for each that may wait in a
/// space.
pub(crate) const CALL_COMPLETION_BYTES: usize = 16 * 1_024 * 1_024;

/// The numbers of the head that recipes and sessions count, while an entry is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) tokens: u64,
    pub(crate) sessions: u32,
    pub(crate) requests: u64,
    pub(crate) waiting: u64,
    pub(crate) timers: u64,
    pub(crate) last_timer: u64,
    pub(crate) events: u64,
    pub(crate) event_bytes: u64,
}

impl Counts {
    pub(crate) fn of(head: &Head) -> Self {
        let Head { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes, .. } = *head;
        Self { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes }
    }

    pub(crate) fn store(self, head: &mut Head) {
        let Self { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes } = self;
        *head =
            Head { tokens, sessions, requests, waiting, timers, last_timer, events, event_bytes, ..*head };
    }
}

/// A point that a workspace can return to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    rows: Savepoint,
    counts: Counts,
    completions: usize,
    changes: usize,
    emissions: EmissionMark,
}

/// What the commands of an entry did beside writing rows.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) completions: Vec<Completed>,
    pub(crate) sessions: Vec<SessionChange>,
    pub(crate) logs: Vec<LogLine>,
}

/// What a call has used.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    host_calls: u32,
    read_bytes: usize,
    /// With what the rest of its cause has read. No rollback gives it back.
    caused_read_bytes: usize,
    write_bytes: usize,
    write_rows: usize,
    completion_bytes: usize,
    events: usize,
    event_bytes: usize,
    sends: usize,
    send_bytes: usize,
    log_lines: u32,
}

impl Budget {
    fn host_call(&mut self) -> Result<(), Fault> {
        self.host_calls += 1;
        if self.host_calls > limits::CALL_HOST_CALLS { Err(Fault::TooManyHostCalls) } else { Ok(()) }
    }

    fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        self.read_bytes += bytes;
        self.caused_read_bytes += bytes;
        let too_many =
            self.read_bytes > limits::CALL_READ_BYTES || self.caused_read_bytes > limits::CAUSE_READ_BYTES;
        if too_many { Err(Fault::TooManyReads) } else { Ok(()) }
    }

    fn write(&mut self, bytes: usize) -> Result<(), Fault> {
        self.write_rows += 1;
        self.write_bytes += bytes;
        let too_many =
            self.write_rows > limits::CALL_WRITE_ROWS || self.write_bytes > limits::CALL_WRITE_BYTES;
        if too_many { Err(Fault::TooManyWrites) } else { Ok(()) }
    }

    fn complete(&mut self, bytes: usize) -> Result<(), Fault> {
        self.completion_bytes += bytes;
        if self.completion_bytes > CALL_COMPLETION_BYTES { Err(Fault::TooManyWrites) } else { Ok(()) }
    }

    fn emit(&mut self, topic: usize, payload: usize) -> Result<(), Fault> {
        self.events += 1;
        self.event_bytes += topic + payload;
        let too_many = self.events > limits::CALL_EVENTS || self.event_bytes > limits::CALL_EVENT_BYTES;
        if too_many || payload > limits::EVENT_PAYLOAD_BYTES { Err(Fault::TooManyEvents) } else { Ok(()) }
    }

    fn send(&mut self, args: usize) -> Result<(), Fault> {
        self.sends += 1;
        self.send_bytes += args;
        let too_many = self.sends > limits::CALL_SENDS || self.send_bytes > limits::CALL_SEND_BYTES;
        if too_many || args > limits::ARGS_BYTES { Err(Fault::TooManySends) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct Inner<S> {
    view: S,
    overlay: Overlay,
    space: SpaceId,
    access: Access,
    budget: Budget,
    counts: Counts,
    revision: Revision,
    time: Time,
    fatal: Option<Fatal>,
    effects: Effects,
    emissions: Emissions,
    written_before: usize,
    key: Vec<u8>,
}

/// The rows that a call sees, and what it may still do.
#[derive(Debug)]
pub struct Workspace<S>(Box<Inner<S>>);

impl<S: StateView> Workspace<S> {
    /// For the commands of an entry.
    pub(crate) fn for_entry(view: S, counts: Counts) -> Self {
        Self::new(view, SpaceId(0), Access::Write, counts)
    }

    /// For a query of `space`: every writing host call is a [`Fault::BadHostCall`].
    pub fn for_query(view: S, space: SpaceId) -> Self {
        Self::new(view, space, Access::Read, Counts::default())
    }

    fn new(view: S, space: SpaceId, access: Access, counts: Counts) -> Self {
        Self(Box::new(Inner {
            view,
            overlay: Overlay::default(),
            space,
            access,
            budget: Budget::default(),
            counts,
            revision: Revision(0),
            time: Time(0),
            fatal: None,
            effects: Effects::default(),
            emissions: Emissions::default(),
            written_before: 0,
            key: Vec::with_capacity(SPACE_BYTES + 64),
        }))
    }

    /// Begins a command, which takes `revision` unless it is rejected.
    pub(crate) fn begin_command(&mut self, revision: Revision, head: &Head) {
        (self.0.revision, self.0.time) = (revision, head.time);
        self.0.written_before = self.0.overlay.written_bytes();
        self.0.emissions.begin_command(head.bindings > 0);
    }

    /// Revision of the command.
    pub(crate) fn revision(&self) -> Revision {
        self.0.revision
    }

    /// Time of the entry.
    pub(crate) fn time(&self) -> Time {
        self.0.time
    }

    /// Begins a cause: what it and its deliveries share is whole again.
    pub(crate) fn begin_cause(&mut self) {
        self.0.budget.caused_read_bytes = 0;
        self.0.emissions.begin_cause();
    }

    /// Begins a call in `space`, with its whole budgets.
    pub(crate) fn begin_call(&mut self, space: SpaceId) {
        self.0.space = space;
        self.0.budget = Budget { caused_read_bytes: self.0.budget.caused_read_bytes, ..Budget::default() };
    }

    /// The store's failure, if one ended the call.
    ///
    /// # Errors
    /// That failure.
    pub fn check(&mut self) -> Result<(), Fatal> {
        self.0.fatal.take().map_or(Ok(()), Err)
    }

    /// The lines that were logged, for people.
    pub fn take_logs(&mut self) -> Vec<LogLine> {
        core::mem::take(&mut self.0.effects.logs)
    }

    pub(crate) fn overlay(&mut self) -> &mut Overlay {
        &mut self.0.overlay
    }

    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.0.effects
    }

    pub(crate) fn counts(&mut self) -> &mut Counts {
        &mut self.0.counts
    }

    pub(crate) fn emissions(&mut self) -> &mut Emissions {
        &mut self.0.emissions
    }

    /// The row of `key`, kept for the rest of the entry.
    pub(crate) fn row(&mut self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Fatal> {
        let this = &mut *self.0;
        this.overlay.get(&this.view, table, key)
    }

    /// The row of `key`, decoded; `what` names it if it is damaged.
    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        table: Table,
        key: &[u8],
        what: &str,
    ) -> Result<Option<T>, Fatal> {
        self.row(table, key)?.map(|bytes| decode(&bytes, what)).transpose()
    }

    pub(crate) fn written_bytes(&self) -> usize {
        self.0.overlay.written_bytes()
    }

    /// What the command has written.
    pub(crate) fn written_by_command(&self) -> usize {
        self.written_bytes().saturating_sub(self.0.written_before)
    }

    /// A point to return to. Points may lie behind each other.
    pub(crate) fn savepoint(&self) -> Mark {
        let Inner { overlay, counts, effects, emissions, .. } = &*self.0;
        let (completions, changes) = (effects.completions.len(), effects.sessions.len());
        Mark { rows: overlay.savepoint(), counts: *counts, completions, changes, emissions: emissions.mark() }
    }

    /// Whether something was written, drawn, completed or sent since `mark`.
    pub(crate) fn changed_since(&self, mark: &Mark) -> bool {
        self.0.overlay.wrote_since(mark.rows)
            || self.0.counts != mark.counts
            || self.0.emissions.queued_since(mark.emissions)
    }

    /// Calls that were completed since `mark`.
    pub(crate) fn completed_since(&self, mark: &Mark) -> bool {
        self.0.effects.completions.len() > mark.completions
    }

    /// Returns to `mark`; lines for people stay.
    pub(crate) fn rollback(&mut self, mark: &Mark) {
        self.0.overlay.rollback(mark.rows);
        self.0.counts = mark.counts;
        self.0.effects.completions.truncate(mark.completions);
        self.0.effects.sessions.truncate(mark.changes);
        self.0.emissions.rollback(mark.emissions);
    }

    /// Gives up returning to `mark`, and appends what was written since to a transcript.
    pub(crate) fn release(&mut self, mark: &Mark, transcript: &mut Vec<u8>) {
        self.0.overlay.release(mark.rows, transcript);
    }

    /// The overlay, the view under it, and what else the entry did.
    pub(crate) fn into_parts(self) -> (Overlay, S, Effects, Emissions) {
        (self.0.overlay, self.0.view, self.0.effects, self.0.emissions)
    }

    fn log_line(&mut self, level: u8, text: &[u8]) {
        let this = &mut *self.0;
        if this.effects.logs.len() < limits::LOG_RING_LINES {
            let text = &text[..text.len().min(limits::LOG_LINE_BYTES)];
            this.effects.logs.push(LogLine {
                space: this.space,
                level,
                text: String::from_utf8_lossy(text).into_owned(),
            });
        }
    }
}

/// Rows with the changes of the entry so far.
impl<S: StateView> StateView for Workspace<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        self.0.overlay.peek(&self.0.view, table, key)
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        let (mut rows, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
        let more = self.0.overlay.range(
            &self.0.view,
            Range { table, from, to, direction, limit },
            |key, value| {
                let fits = rows.is_empty()
                    || (rows.len() < limit.rows && bytes + key.len() + value.len() <= limit.bytes);
                if fits {
                    bytes += key.len() + value.len();
                    rows.push((key.to_vec(), value.to_vec()));
                }
                fits
            },
        )?;
        Ok((rows, more))
    }
}

impl<S: StateView> Inner<S> {
    /// Makes `self.key` the key of the space's row `key`.
    fn address(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.address_up_to(key, limits::KEY_BYTES)
    }

    fn address_up_to(&mut self, key: &[u8], limit: usize) -> Result<(), Fault> {
        if key.len() > limit {
            return Err(Fault::KeyTooLong);
        }
        self.key.clear();
        self.key.extend_from_slice(&self.space.0.to_be_bytes());
        self.key.extend_from_slice(key);
        Ok(())
    }

    fn writable(&mut self) -> Result<(), Fault> {
        self.budget.host_call()?;
        if self.access == Access::Write { Ok(()) } else { Err(Fault::BadHostCall) }
    }

    fn fail(&mut self, fatal: Fatal) -> Fault {
        self.fatal = Some(fatal);
        Fault::Trap
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(u32, usize), Fatal> {
        let found = match self.access {
            Access::Write => self.overlay.get(&self.view, Table::State, &self.key)?,
            Access::Read => self.view.get(Table::State, &self.key)?.map(Cow::Owned),
        };
        let Some(value) = found else { return Ok((u32::MAX, 0)) };
        if let Some(out) = out.get_mut(..value.len()) {
            out.copy_from_slice(&value);
        }
        Ok((value.len() as u32, value.len()))
    }
}

impl<S: StateView> HostCalls for Workspace<S> {
    fn get(&mut self, key: &[u8], out: &mut [u8]) -> Result<u32, Fault> {
        let this = &mut *self.0;
        this.budget.host_call()?;
        this.address(key)?;
        let (len, bytes) = this.read(out).map_err(|fatal| this.fail(fatal))?;
        this.budget.read(key.len() + bytes)?;
        Ok(len)
    }

    /// An empty `to` is no bound but the space's end. 0 rows are a [`Fault::BadHostCall`].
    fn range(&mut self, request: &[u8], out: &mut [u8]) -> Result<u64, Fault> {
        let this = &mut *self.0;
        this.budget.host_call()?;
        let RangeRequest { from, to, direction, rows } =
            RangeRequest::from_bytes(request).ok_or(Fault::BadHostCall)?;
        if rows == 0 {
            return Err(Fault::BadHostCall);
        }
        this.address_up_to(&to, BOUND_BYTES)?;
        let full_to = if to.is_empty() { behind(&this.key) } else { this.key.clone() };
        this.address_up_to(&from, BOUND_BYTES)?;
        let most_rows = (rows as usize).min(limits::RANGE_CHUNK_ROWS);
        let capacity = out.len().min(limits::RANGE_CHUNK_BYTES);
        let limit = RangeLimit { rows: most_rows + 1, bytes: capacity };
        let wanted = Range { table: Table::State, from: &this.key, to: &full_to, direction, limit };
        let (mut filled, mut count, mut bytes, mut too_small) = (0, 0, 0, false);
        let more = this.overlay.range(&this.view, wanted, |key, value| {
            let key = &key[SPACE_BYTES..];
            let end = filled + ROW_HEADER_BYTES + key.len() + value.len();
            if count == most_rows || end > capacity {
                too_small = count == 0;
                return false;
            }
            let mut rest = &mut out[filled..end];
            for part in
                [&(key.len() as u32).to_le_bytes()[..], &(value.len() as u32).to_le_bytes(), key, value]
            {
                let (here, behind) = rest.split_at_mut(part.len());
                here.copy_from_slice(part);
                rest = behind;
            }
            (filled, count, bytes) = (end, count + 1, bytes + key.len() + value.len());
            true
        });
        let more = more.map_err(|fatal| this.fail(fatal))?;
        if too_small {
            return Err(Fault::BadHostCall);
        }
        this.budget.read(bytes)?;
        Ok(filled as u64 | u64::from(more) << 32)
    }

    fn log(&mut self, level: u32, line: &[u8]) -> Result<(), Fault> {
        self.0.budget.host_call()?;
        if self.0.budget.log_lines < limits::CALL_LOG_LINES {
            self.0.budget.log_lines += 1;
            self.log_line(level.clamp(1, 5) as u8, line);
        }
        Ok(())
    }

    fn abort(&mut self, code: u32, text: &[u8]) -> Result<Infallible, Fault> {
        self.log_line(1, text);
        Err(Fault::of_abort(code))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let this = &mut *self.0;
        this.writable()?;
        this.address(key)?;
        if value.len() > limits::VALUE_BYTES {
            return Err(Fault::ValueTooLong);
        }
        this.budget.write(key.len() + value.len())?;
        this.overlay.put(Table::State, &this.key, value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Fault> {
        let this = &mut *self.0;
        this.writable()?;
        this.address(key)?;
        this.budget.write(key.len())?;
        this.overlay.delete(Table::State, &this.key);
        Ok(())
    }

    fn next_token(&mut self) -> Result<u64, Fault> {
        let this = &mut *self.0;
        this.writable()?;
        this.counts.tokens = this.counts.tokens.checked_add(1).ok_or(Fault::BadHostCall)?;
        Ok(this.counts.tokens)
    }

    fn set_timer(&mut self, at_ms: u64, payload: &[u8]) -> Result<u64, Fault> {
        self.0.writable()?;
        if payload.len() > limits::TIMER_PAYLOAD_BYTES {
            return Err(Fault::ValueTooLong);
        }
        self.0.budget.write(payload.len() + TIMER_ROWS_BYTES)?;
        let fires = Fires::Hook { space: self.0.space, payload: payload.into() };
        self.add_timer(Time(at_ms), &fires).map(|timer| timer.0)
    }

    fn cancel_timer(&mut self, timer: u64) -> Result<u32, Fault> {
        self.0.writable()?;
        self.0.budget.write(TIMER_ROWS_BYTES)?;
        let space = self.0.space;
        self.cancel(space, TimerId(timer)).map(u32::from).map_err(|fatal| self.0.fail(fatal))
    }

    /// A reply that is malformed or longer than `limits::REPLY_BYTES` is a [`Fault::BadReply`].
    fn complete(&mut self, ticket: u64, reply: &[u8]) -> Result<u32, Fault> {
        self.0.writable()?;
        let result = reply_of(reply).ok_or(Fault::BadReply)?;
        self.0.budget.complete(reply.len())?;
        let space = self.0.space;
        self.complete_ticket(space, TicketId(ticket), result)
            .map(u32::from)
            .map_err(|fatal| self.0.fail(fatal))
    }

    fn emit(&mut self, topic: &[u8], payload: &[u8]) -> Result<(), Fault> {
        self.0.writable()?;
        let topic = topic_of(topic)?;
        self.0.budget.emit(topic.len(), payload.len())?;
        let space = self.0.space;
        self.add_event(space, topic, payload)
    }

    /// What is no name of a space is the name of a space that is not there.
    fn send(&mut self, space: &[u8], operation: u32, args: &[u8]) -> Result<(), Fault> {
        self.0.writable()?;
        self.0.budget.send(args.len())?;
        self.add_send(space, operation, args);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
