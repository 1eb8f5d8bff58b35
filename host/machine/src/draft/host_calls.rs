//! The host calls of a recipe, on a draft and within the budgets of its call.
use alloc::borrow::Cow;
use alloc::string::String;
use core::convert::Infallible;

use synod_abi::{Access, Direction, Fault, HostCalls, RangeRequest, TicketId, Time, TimerId, costs, limits};
use synod_planted::{Bug, happens, is_planted};

use crate::draft::draft::{Draft, Inner, SPACE_BYTES};
use crate::draft::effects::LogLine;
use crate::draft::emission::topic_of;
use crate::draft::tickets::reply_of;
use crate::ports::{Fatal, RangeLimit, StateView, Table};
use crate::rows::overlay::Range;
use crate::rows::scan::behind;
use crate::rows::timers::TIMER_ROWS_BYTES;

/// Bytes that [`synod_abi::Rows`] adds to a row.
const ROW_HEADER_BYTES: usize = 8;
/// Longest bound of a range: the next chunk begins at the last key with a zero appended.
const BOUND_BYTES: usize = limits::KEY_BYTES + 1;

/// The buffer of a guest that rows of a range are copied into.
struct Chunk<'a> {
    out: &'a mut [u8],
    most_rows: usize,
    rows: usize,
    filled: usize,
    /// Bytes of keys and values, without their headers.
    row_bytes: usize,
    /// Rows that were looked at, the one that did not fit among them.
    visited: usize,
    visited_bytes: usize,
    /// Whether the first row does not fit.
    is_too_small: bool,
}

impl<'a> Chunk<'a> {
    fn new(out: &'a mut [u8], rows: u32) -> Self {
        let capacity = out.len().min(limits::RANGE_CHUNK_BYTES);
        Self {
            out: &mut out[..capacity],
            most_rows: (rows as usize).min(limits::RANGE_CHUNK_ROWS),
            rows: 0,
            filled: 0,
            row_bytes: 0,
            visited: 0,
            visited_bytes: 0,
            is_too_small: false,
        }
    }

    /// Copies a row, unless it does not fit.
    fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        let row_bytes = key.len() + value.len();
        self.visited += 1;
        self.visited_bytes += row_bytes;
        let end = self.filled + ROW_HEADER_BYTES + row_bytes;
        if self.rows == self.most_rows || end > self.out.len() {
            self.is_too_small = self.rows == 0;
            return false;
        }
        let mut rest = &mut self.out[self.filled..end];
        let key_len = (key.len() as u32).to_le_bytes();
        let value_len = (value.len() as u32).to_le_bytes();
        for part in [&key_len[..], &value_len, key, value] {
            let (here, behind) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = behind;
        }
        self.filled = end;
        self.rows += 1;
        self.row_bytes += row_bytes;
        true
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

    /// Pays for what the row that is addressed holds now, before it is written.
    fn replace(&mut self) -> Result<(), Fault> {
        let found = self.overlay.get(&self.view, Table::State, &self.key);
        let bytes = match found {
            Ok(value) => value.map_or(0, |value| value.len()),
            Err(fatal) => return Err(self.fail(fatal)),
        };
        self.budget.pay(bytes as u64 * costs::REPLACED_BYTE)
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

impl<S: StateView> Draft<S> {
    fn log_line(&mut self, level: u8, text: &[u8]) {
        let this = &mut *self.0;
        if this.effects.logs.len() < limits::LOG_RING_LINES {
            let text = &text[..text.len().min(limits::LOG_LINE_BYTES)];
            this.effects.logs.push(LogLine {
                space: this.space,
                entry_point: this.entry_point,
                level,
                text: String::from_utf8_lossy(text).into_owned(),
            });
        }
    }
}

impl<S: StateView> HostCalls for Draft<S> {
    fn fuel(&mut self) -> &mut u64 {
        &mut self.0.budget.fuel
    }

    fn get(&mut self, key: &[u8], out: &mut [u8]) -> Result<u32, Fault> {
        let this = &mut *self.0;
        this.budget.host_call()?;
        this.address(key)?;
        this.budget.pay(costs::LOOKUP)?;
        let (len, bytes) = this.read(out).map_err(|fatal| this.fail(fatal))?;
        this.budget.read(key.len() + bytes)?;
        this.budget.pay((key.len() + bytes) as u64 * costs::READ_BYTE)?;
        Ok(len)
    }

    /// An empty `to` is no bound but the space's end. 0 rows are a [`Fault::BadHostCall`].
    fn range(&mut self, request: &[u8], out: &mut [u8]) -> Result<u64, Fault> {
        let this = &mut *self.0;
        this.budget.host_call()?;
        let RangeRequest { from, to, direction, rows } =
            RangeRequest::from_bytes(request).ok_or(Fault::BadHostCall)?;
        let direction = match direction {
            Direction::Forward if happens(Bug::OrderOfRows, 50) => Direction::Backward,
            direction => direction,
        };
        if rows == 0 {
            return Err(Fault::BadHostCall);
        }
        this.budget.pay(costs::RANGE)?;
        this.address_up_to(&to, BOUND_BYTES)?;
        let full_to = if to.is_empty() { behind(&this.key) } else { this.key.clone() };
        this.address_up_to(&from, BOUND_BYTES)?;
        let mut chunk = Chunk::new(out, rows);
        let limit = RangeLimit { rows: chunk.most_rows + 1, bytes: chunk.out.len() };
        let wanted = Range { table: Table::State, from: &this.key, to: &full_to, direction, limit };
        let more =
            this.overlay.range(&this.view, wanted, |key, value| chunk.push(&key[SPACE_BYTES..], value));
        let more = more.map_err(|fatal| this.fail(fatal))?;
        if chunk.is_too_small {
            return Err(Fault::BadHostCall);
        }
        this.budget.read(chunk.row_bytes)?;
        this.budget.visit(chunk.visited, chunk.visited_bytes)?;
        Ok(chunk.filled as u64 | u64::from(more) << 32)
    }

    fn log(&mut self, level: u32, line: &[u8]) -> Result<(), Fault> {
        self.0.budget.host_call()?;
        if self.0.budget.log_line(line.len())? {
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
        this.replace()?;
        this.overlay.put(Table::State, &this.key, value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Fault> {
        let this = &mut *self.0;
        this.writable()?;
        this.address(key)?;
        this.budget.write(key.len())?;
        this.replace()?;
        this.overlay.delete(Table::State, &this.key);
        Ok(())
    }

    fn next_token(&mut self) -> Result<u64, Fault> {
        let this = &mut *self.0;
        this.writable()?;
        let tokens = &mut this.numbers.tokens;
        if !is_planted(Bug::TokenRepeats) || *tokens == 0 {
            *tokens = tokens.checked_add(1).ok_or(Fault::BadHostCall)?;
        }
        Ok(*tokens)
    }

    fn set_timer(&mut self, at_ms: u64, payload: &[u8]) -> Result<u64, Fault> {
        self.0.writable()?;
        if payload.len() > limits::TIMER_PAYLOAD_BYTES {
            return Err(Fault::ValueTooLong);
        }
        self.0.budget.write_timer(payload.len() + TIMER_ROWS_BYTES)?;
        let space = self.0.space;
        let added = self.add_timer(space, Time(at_ms), payload).map_err(|fatal| self.0.fail(fatal))?;
        added.map(|timer| timer.0)
    }

    fn cancel_timer(&mut self, timer: u64) -> Result<u32, Fault> {
        self.0.writable()?;
        self.0.budget.write_timer(TIMER_ROWS_BYTES)?;
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
        self.0.budget.send(space.len(), args.len())?;
        self.add_send(space, operation, args);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
