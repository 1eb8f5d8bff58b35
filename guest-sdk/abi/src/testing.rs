//! A host on a map, for tests and benches that need host calls and no machine.
//!
//! It answers every call of the table and records what it was asked for. It has no sessions, time
//! or log, rolls nothing back and delivers nothing; `synod-test` runs the real machine.
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;

use crate::{Direction, Fault, HostCalls, OperationId, RangeRequest, Rows, check_topic, limits};

/// Bytes of a row in a chunk beside its key and value.
const ROW_BYTES: usize = 8;
/// In the result of `range`: more rows follow.
const MORE: u64 = 1 << 32;

/// The rows of one space. Small, because an engine moves it with each call.
#[derive(Clone, Debug, Default)]
pub struct MapHost {
    /// The rows.
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Most rows of a chunk of a range; at least one.
    pub chunk_rows: usize,
    /// Whether it panics when a row is read, as a broken host would.
    pub broken: bool,
    /// The fuel of the call.
    pub fuel: u64,
    /// What each host call takes of it.
    pub price: u64,
    /// What it was asked for.
    pub record: Box<Record>,
}

impl MapHost {
    fn pay(&mut self) -> Result<(), Fault> {
        let left = self.fuel.checked_sub(self.price);
        self.fuel = left.unwrap_or_default();
        left.map(drop).ok_or(Fault::OutOfFuel)
    }
}

/// What a [`MapHost`] was asked for.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The last token that was drawn.
    pub tokens: u64,
    /// Pending timers: when each fires, with which payload.
    pub timers: BTreeMap<u64, (u64, Vec<u8>)>,
    /// Tickets that a call waits for.
    pub waiting: Vec<u64>,
    /// Tickets that were completed while a call waited for them, and the replies.
    pub completed: Vec<(u64, Vec<u8>)>,
    /// Tickets that were completed although no call waited for them, and the replies.
    pub late: Vec<(u64, Vec<u8>)>,
    /// Topics and payloads.
    pub emitted: Vec<(String, Vec<u8>)>,
    /// Spaces, operations and arguments.
    pub sent: Vec<(String, OperationId, Vec<u8>)>,
    /// Lines for people, each after its level.
    pub lines: Vec<String>,
    /// Chunks of ranges.
    pub range_calls: usize,
}

impl HostCalls for MapHost {
    fn fuel(&mut self) -> &mut u64 {
        &mut self.fuel
    }

    fn get(&mut self, key: &[u8], out: &mut [u8]) -> Result<u32, Fault> {
        self.pay()?;
        assert!(!self.broken, "the host broke");
        let Some(value) = self.rows.get(key) else { return Ok(u32::MAX) };
        if let Some(out) = out.get_mut(..value.len()) {
            out.copy_from_slice(value);
        }
        Ok(value.len() as u32)
    }

    fn range(&mut self, request: &[u8], out: &mut [u8]) -> Result<u64, Fault> {
        self.pay()?;
        self.record.range_calls += 1;
        let request = RangeRequest::from_bytes(request).ok_or(Fault::BadHostCall)?;
        assert!(request.from < request.to && out.len() >= limits::RANGE_CHUNK_BYTES);
        let most = (request.rows as usize).min(self.chunk_rows.max(1));
        let mut rows = self.rows.range(request.from..request.to);
        let mut next = || match request.direction {
            Direction::Forward => rows.next(),
            Direction::Backward => rows.next_back(),
        };
        let mut chunk = Vec::new();
        let mut taken = 0;
        let mut more = 0;
        while let Some((key, value)) = next() {
            let bytes = chunk.len() + key.len() + value.len() + ROW_BYTES;
            if taken == most || bytes > limits::RANGE_CHUNK_BYTES {
                more = MORE;
                break;
            }
            Rows::push(&mut chunk, key, value);
            taken += 1;
        }
        out[..chunk.len()].copy_from_slice(&chunk);
        Ok(more | chunk.len() as u64)
    }

    fn log(&mut self, level: u32, line: &[u8]) -> Result<(), Fault> {
        self.pay()?;
        self.record.lines.push(format!("{level} {}", String::from_utf8_lossy(line)));
        Ok(())
    }

    fn abort(&mut self, code: u32, text: &[u8]) -> Result<Infallible, Fault> {
        self.record.lines.push(format!("1 {}", String::from_utf8_lossy(text)));
        Err(Fault::of_abort(code))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.pay()?;
        if key.len() > limits::KEY_BYTES {
            return Err(Fault::KeyTooLong);
        }
        match self.rows.get_mut(key) {
            Some(present) => value.clone_into(present),
            None => drop(self.rows.insert(key.to_vec(), value.to_vec())),
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.pay()?;
        self.rows.remove(key);
        Ok(())
    }

    fn next_token(&mut self) -> Result<u64, Fault> {
        self.pay()?;
        self.record.tokens += 1;
        Ok(self.record.tokens)
    }

    fn set_timer(&mut self, at_ms: u64, payload: &[u8]) -> Result<u64, Fault> {
        self.pay()?;
        let timers = &mut self.record.timers;
        let timer = timers.last_key_value().map_or(1, |(last, _)| last + 1);
        timers.insert(timer, (at_ms, payload.to_vec()));
        Ok(timer)
    }

    fn cancel_timer(&mut self, timer: u64) -> Result<u32, Fault> {
        self.pay()?;
        Ok(self.record.timers.remove(&timer).is_some().into())
    }

    fn complete(&mut self, ticket: u64, reply: &[u8]) -> Result<u32, Fault> {
        self.pay()?;
        let record = &mut *self.record;
        let Some(at) = record.waiting.iter().position(|waiting| *waiting == ticket) else {
            record.late.push((ticket, reply.to_vec()));
            return Ok(0);
        };
        record.waiting.remove(at);
        record.completed.push((ticket, reply.to_vec()));
        Ok(1)
    }

    fn emit(&mut self, topic: &[u8], payload: &[u8]) -> Result<(), Fault> {
        self.pay()?;
        let topic = core::str::from_utf8(topic).map_err(|_| Fault::BadTopic)?;
        check_topic(topic).map_err(|_| Fault::BadTopic)?;
        self.record.emitted.push((topic.to_string(), payload.to_vec()));
        Ok(())
    }

    fn send(&mut self, space: &[u8], operation: u32, args: &[u8]) -> Result<(), Fault> {
        self.pay()?;
        let space = String::from_utf8_lossy(space).into_owned();
        self.record.sent.push((space, OperationId(operation), args.to_vec()));
        Ok(())
    }
}
