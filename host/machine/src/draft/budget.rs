//! What one call may use: its fuel, and host calls, bytes read and written, events, sends and
//! completions, which bound what it keeps in memory; and what the commands of an entry have used.
//!
//! How much fuel a call has is decided where it is run; the engine takes from it what the recipe
//! computes, host calls what they cost.
use synod_abi::{Fault, costs, limits};

/// Bytes of replies that a call may complete parked calls with: 4 KiB for each that may wait in a
/// space.
pub(crate) const CALL_COMPLETION_BYTES: usize = 16 * 1_024 * 1_024;

/// What a call has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    /// What is left of it.
    pub(crate) fuel: u64,
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
    /// A cause begins: nothing of what it and its deliveries share is used.
    pub(crate) fn begin_cause(&mut self) {
        self.caused_read_bytes = 0;
    }

    /// A call begins with this fuel: nothing is used but what its cause has.
    pub(crate) fn begin_call(&mut self, fuel: u64) {
        *self = Self { fuel, caused_read_bytes: self.caused_read_bytes, ..Self::default() };
    }

    /// Takes from the fuel. Who has too little has none then.
    pub(crate) fn pay(&mut self, cost: u64) -> Result<(), Fault> {
        let left = self.fuel.checked_sub(cost);
        self.fuel = left.unwrap_or_default();
        left.map(drop).ok_or(Fault::OutOfFuel)
    }

    /// Whether the call may log another line, of so many bytes; further ones are dropped.
    pub(crate) fn log_line(&mut self, bytes: usize) -> Result<bool, Fault> {
        if self.log_lines == limits::CALL_LOG_LINES {
            return Ok(false);
        }
        self.log_lines += 1;
        self.pay(costs::LOG + bytes.min(limits::LOG_LINE_BYTES) as u64 * costs::LOGGED_BYTE)?;
        Ok(true)
    }

    pub(crate) fn host_call(&mut self) -> Result<(), Fault> {
        self.host_calls += 1;
        if self.host_calls > limits::CALL_HOST_CALLS {
            return Err(Fault::TooManyHostCalls);
        }
        self.pay(costs::HOST_CALL)
    }

    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        self.read_bytes += bytes;
        self.caused_read_bytes += bytes;
        let too_many =
            self.read_bytes > limits::CALL_READ_BYTES || self.caused_read_bytes > limits::CAUSE_READ_BYTES;
        if too_many { Err(Fault::TooManyReads) } else { Ok(()) }
    }

    /// Visiting so many rows, with so many bytes of keys and values.
    pub(crate) fn visit(&mut self, rows: usize, bytes: usize) -> Result<(), Fault> {
        self.pay(rows as u64 * costs::VISITED_ROW + bytes as u64 * costs::READ_BYTE)
    }

    /// A row of so many bytes is to be written.
    pub(crate) fn write(&mut self, bytes: usize) -> Result<(), Fault> {
        self.count_write(bytes)?;
        self.pay(costs::WRITE + bytes as u64 * costs::WRITTEN_BYTE)
    }

    /// A timer is to be set or cancelled, in rows of so many bytes.
    pub(crate) fn write_timer(&mut self, bytes: usize) -> Result<(), Fault> {
        self.count_write(bytes)?;
        self.pay(costs::TIMER + bytes as u64 * costs::WRITTEN_BYTE)
    }

    fn count_write(&mut self, bytes: usize) -> Result<(), Fault> {
        self.write_rows += 1;
        self.write_bytes += bytes;
        let too_many =
            self.write_rows > limits::CALL_WRITE_ROWS || self.write_bytes > limits::CALL_WRITE_BYTES;
        if too_many { Err(Fault::TooManyWrites) } else { Ok(()) }
    }

    pub(crate) fn complete(&mut self, bytes: usize) -> Result<(), Fault> {
        self.completion_bytes += bytes;
        if self.completion_bytes > CALL_COMPLETION_BYTES {
            return Err(Fault::TooManyWrites);
        }
        self.pay(costs::COMPLETE + bytes as u64 * costs::COMPLETED_BYTE)
    }

    pub(crate) fn emit(&mut self, topic: usize, payload: usize) -> Result<(), Fault> {
        self.events += 1;
        self.event_bytes += topic + payload;
        let too_many = self.events > limits::CALL_EVENTS || self.event_bytes > limits::CALL_EVENT_BYTES;
        if too_many || payload > limits::EVENT_PAYLOAD_BYTES {
            return Err(Fault::TooManyEvents);
        }
        self.pay(costs::EMIT + (topic + payload) as u64 * costs::EMITTED_BYTE)
    }

    pub(crate) fn send(&mut self, name: usize, args: usize) -> Result<(), Fault> {
        self.sends += 1;
        self.send_bytes += args;
        let too_many = self.sends > limits::CALL_SENDS || self.send_bytes > limits::CALL_SEND_BYTES;
        if too_many || args > limits::ARGS_BYTES {
            return Err(Fault::TooManySends);
        }
        self.pay(costs::SEND + (name + args) as u64 * costs::SENT_BYTE)
    }
}

/// What the commands of an entry have used of its ceilings, beside what they wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntryUse {
    cost: u64,
    outcome_bytes: usize,
}

impl EntryUse {
    /// Whether a further command is deferred, when so much was written. Nothing is used before an
    /// entry's first command, which therefore never is.
    pub(crate) fn is_full(&self, written_bytes: usize) -> bool {
        self.cost >= limits::ENTRY_COST || self.outcome_bytes + written_bytes >= limits::ENTRY_WRITE_BYTES
    }

    /// A command was carried out.
    pub(crate) fn add(&mut self, cost: u64, outcome_bytes: usize) {
        self.cost += cost;
        self.outcome_bytes += outcome_bytes;
    }
}

#[cfg(test)]
mod tests;
