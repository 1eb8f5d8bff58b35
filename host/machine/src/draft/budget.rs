//! What one call may use: host calls, bytes read and written, events, sends and completions.
//!
//! Fuel is the engine's; how much a call has is decided where it is run.
use synod_abi::{Fault, limits};

/// Bytes of replies that a call may complete parked calls with: 4 KiB for each that may wait in a
/// space.
pub(crate) const CALL_COMPLETION_BYTES: usize = 16 * 1_024 * 1_024;

/// What a call has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
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

    /// A call begins: nothing is used but what its cause has.
    pub(crate) fn begin_call(&mut self) {
        *self = Self { caused_read_bytes: self.caused_read_bytes, ..Self::default() };
    }

    /// Whether the call may log another line, which is counted.
    pub(crate) fn log_line(&mut self) -> bool {
        let fits = self.log_lines < limits::CALL_LOG_LINES;
        self.log_lines += u32::from(fits);
        fits
    }

    pub(crate) fn host_call(&mut self) -> Result<(), Fault> {
        self.host_calls += 1;
        if self.host_calls > limits::CALL_HOST_CALLS { Err(Fault::TooManyHostCalls) } else { Ok(()) }
    }

    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        self.read_bytes += bytes;
        self.caused_read_bytes += bytes;
        let too_many =
            self.read_bytes > limits::CALL_READ_BYTES || self.caused_read_bytes > limits::CAUSE_READ_BYTES;
        if too_many { Err(Fault::TooManyReads) } else { Ok(()) }
    }

    pub(crate) fn write(&mut self, bytes: usize) -> Result<(), Fault> {
        self.write_rows += 1;
        self.write_bytes += bytes;
        let too_many =
            self.write_rows > limits::CALL_WRITE_ROWS || self.write_bytes > limits::CALL_WRITE_BYTES;
        if too_many { Err(Fault::TooManyWrites) } else { Ok(()) }
    }

    pub(crate) fn complete(&mut self, bytes: usize) -> Result<(), Fault> {
        self.completion_bytes += bytes;
        if self.completion_bytes > CALL_COMPLETION_BYTES { Err(Fault::TooManyWrites) } else { Ok(()) }
    }

    pub(crate) fn emit(&mut self, topic: usize, payload: usize) -> Result<(), Fault> {
        self.events += 1;
        self.event_bytes += topic + payload;
        let too_many = self.events > limits::CALL_EVENTS || self.event_bytes > limits::CALL_EVENT_BYTES;
        if too_many || payload > limits::EVENT_PAYLOAD_BYTES { Err(Fault::TooManyEvents) } else { Ok(()) }
    }

    pub(crate) fn send(&mut self, args: usize) -> Result<(), Fault> {
        self.sends += 1;
        self.send_bytes += args;
        let too_many = self.sends > limits::CALL_SENDS || self.send_bytes > limits::CALL_SEND_BYTES;
        if too_many || args > limits::ARGS_BYTES { Err(Fault::TooManySends) } else { Ok(()) }
    }
}
