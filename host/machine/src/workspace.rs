//! What a recipe's host calls act on: the overlay over committed rows, and the budgets of the call.
//!
//! It is handed to the [`Vm`](crate::Vm) by value and comes back, so it is one pointer wide. A query's workspace is the
//! same thing with writing refused and nothing kept. A failing store ends the call; the failure is taken out afterwards
//! and stops the member.
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use synod_abi::{Access, Direction, Fault, HostCalls, RangeRequest, SpaceId, limits};

use crate::outcome::LogLine;
use crate::overlay::{Overlay, Range, Savepoint, behind};
use crate::{Fatal, RangeLimit, Row, StateView, Table};

/// Bytes of a space's id in front of its rows' keys.
pub(crate) const SPACE_BYTES: usize = 4;
/// Bytes that [`synod_abi::Rows`] adds to a row.
const ROW_HEADER_BYTES: usize = 8;
/// Longest bound of a range: the next chunk begins at the last key and a zero behind it.
const BOUND_BYTES: usize = limits::KEY_BYTES + 1;

/// What a call has used.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    host_calls: u32,
    read_bytes: usize,
    write_bytes: usize,
    write_rows: usize,
    log_lines: u32,
}

impl Budget {
    fn host_call(&mut self) -> Result<(), Fault> {
        self.host_calls += 1;
        if self.host_calls > limits::CALL_HOST_CALLS { Err(Fault::TooManyHostCalls) } else { Ok(()) }
    }

    fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        self.read_bytes += bytes;
        if self.read_bytes > limits::CALL_READ_BYTES { Err(Fault::TooManyReads) } else { Ok(()) }
    }

    fn write(&mut self, bytes: usize) -> Result<(), Fault> {
        self.write_rows += 1;
        self.write_bytes += bytes;
        let too_many = self.write_rows > limits::CALL_WRITE_ROWS || self.write_bytes > limits::CALL_WRITE_BYTES;
        if too_many { Err(Fault::TooManyWrites) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct Inner<S> {
    view: S,
    overlay: Overlay,
    space: SpaceId,
    access: Access,
    budget: Budget,
    tokens: u64,
    fatal: Option<Fatal>,
    logs: Vec<LogLine>,
    key: Vec<u8>,
}

/// The rows that a call sees, and what it may still do.
#[derive(Debug)]
pub struct Workspace<S>(Box<Inner<S>>);

impl<S: StateView> Workspace<S> {
    /// For the commands of an entry.
    pub(crate) fn for_entry(view: S, tokens: u64) -> Self {
        Self::new(view, SpaceId(0), Access::Write, tokens)
    }

    /// For a query of `space`: every writing host call is a [`Fault::BadHostCall`].
    pub fn for_query(view: S, space: SpaceId) -> Self {
        Self::new(view, space, Access::Read, 0)
    }

    fn new(view: S, space: SpaceId, access: Access, tokens: u64) -> Self {
        Self(Box::new(Inner {
            view,
            overlay: Overlay::default(),
            space,
            access,
            budget: Budget::default(),
            tokens,
            fatal: None,
            logs: Vec::new(),
            key: Vec::with_capacity(SPACE_BYTES + 64),
        }))
    }

    /// Begins a call in `space`, with its whole budgets.
    pub(crate) fn begin_call(&mut self, space: SpaceId) {
        self.0.space = space;
        self.0.budget = Budget::default();
    }

    /// Whether the call that ran last changed a row.
    pub(crate) fn call_wrote(&self) -> bool {
        self.0.budget.write_rows > 0
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
        core::mem::take(&mut self.0.logs)
    }

    pub(crate) fn overlay(&mut self) -> &mut Overlay {
        &mut self.0.overlay
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.0.tokens
    }

    pub(crate) fn written_bytes(&self) -> usize {
        self.0.overlay.written_bytes()
    }

    pub(crate) fn savepoint(&self) -> (Savepoint, u64) {
        (self.0.overlay.savepoint(), self.0.tokens)
    }

    pub(crate) fn rollback(&mut self, (savepoint, tokens): (Savepoint, u64)) {
        self.0.overlay.rollback(savepoint);
        self.0.tokens = tokens;
    }

    /// The overlay, the view under it, and the logged lines.
    pub(crate) fn into_parts(self) -> (Overlay, S, Vec<LogLine>) {
        (self.0.overlay, self.0.view, self.0.logs)
    }

    fn log_line(&mut self, level: u8, text: &[u8]) {
        let this = &mut *self.0;
        if this.logs.len() < limits::LOG_RING_LINES {
            let text = &text[..text.len().min(limits::LOG_LINE_BYTES)];
            this.logs.push(LogLine { space: this.space, level, text: String::from_utf8_lossy(text).into_owned() });
        }
    }
}

/// Rows with the changes of the entry so far.
impl<S: StateView> StateView for Workspace<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        self.0.overlay.peek(&self.0.view, table, key)
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], direction: Direction, limit: RangeLimit) -> Result<(Vec<Row>, bool), Fatal> {
        let (mut rows, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
        let more = self.0.overlay.range(&self.0.view, Range { table, from, to, direction, limit }, |key, value| {
            let fits = rows.is_empty() || (rows.len() < limit.rows && bytes + key.len() + value.len() <= limit.bytes);
            if fits {
                bytes += key.len() + value.len();
                rows.push((key.to_vec(), value.to_vec()));
            }
            fits
        })?;
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
        let RangeRequest { from, to, direction, rows } = RangeRequest::from_bytes(request).ok_or(Fault::BadHostCall)?;
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
            for part in [&(key.len() as u32).to_le_bytes()[..], &(value.len() as u32).to_le_bytes(), key, value] {
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
        this.tokens = this.tokens.checked_add(1).ok_or(Fault::BadHostCall)?;
        Ok(this.tokens)
    }
}

#[cfg(test)]
mod tests;
