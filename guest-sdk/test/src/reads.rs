//! What recipes read: the host calls of one command, and the deleted rows that its ranges passed.
//!
//! A store keeps a deleted row's key until compaction, and a range that starts before it has to
//! step over it. So a recipe that looks for its first row from the start of what it has consumed
//! slows down with every row that it consumes, although it reads one row each time. The rows in
//! memory show none of that: here the deleted keys are remembered and counted.
//!
//! Compiled modules run on their engine, which is not watched: for them everything is 0.
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Bound;

use synod_abi::{Direction, Fault, HostCalls, RangeRequest, Rows, SpaceId};
use synod_machine::{Table, Write};

/// What the recipes of a command read. Rows that the command itself deleted are not among those
/// passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Rows that were asked for by their keys.
    pub gets: u64,
    /// Chunks of ranges.
    pub ranges: u64,
    /// Rows in these chunks.
    pub rows: u64,
    /// Deleted rows that lie in the ranges, up to the last row of each chunk.
    pub passed: u64,
}

/// A stretch of keys of the table of state that a range went through.
#[derive(Debug)]
struct Stretch {
    from: Vec<u8>,
    to: Bound<Vec<u8>>,
}

/// What the command that runs has read.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    reads: Reads,
    stretches: Vec<Stretch>,
}

/// The keys of deleted rows of all spaces.
#[derive(Debug, Default)]
pub(crate) struct Deleted(BTreeSet<Vec<u8>>);

impl Deleted {
    /// What a command has read, before its writes are noted.
    pub(crate) fn read_by(&self, Watch { mut reads, stretches }: Watch) -> Reads {
        for Stretch { from, to } in stretches {
            reads.passed += self.0.range((Bound::Included(from), to)).count() as u64;
        }
        reads
    }

    /// Notes what was written.
    pub(crate) fn note(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Put { table: Table::State, key, .. } => drop(self.0.remove(key)),
                Write::Delete { table: Table::State, key } => drop(self.0.insert(key.clone())),
                Write::DeletePrefix { table: Table::State, prefix } => {
                    self.0.retain(|key| !key.starts_with(prefix));
                }
                Write::Put { .. } | Write::Delete { .. } | Write::DeletePrefix { .. } => {}
            }
        }
    }
}

/// Host calls on their way, watched.
pub(crate) struct Watched<'a> {
    pub(crate) host: &'a mut dyn HostCalls,
    pub(crate) space: SpaceId,
    pub(crate) watch: &'a mut Watch,
}

impl Watched<'_> {
    fn got(&mut self) {
        self.watch.reads.gets += 1;
    }

    fn ranged(&mut self, request: &[u8], out: &[u8], answer: u64) {
        let Some(RangeRequest { from, to, direction, .. }) = RangeRequest::from_bytes(request) else {
            return;
        };
        let rows = Rows(&out[..answer as u32 as usize]);
        let (count, last) = rows.fold((0, None), |(count, _), (key, _)| (count + 1, Some(key)));
        let ends_at_last = answer >> 32 & 1 == 1;
        let last = last.filter(|_| ends_at_last).map(|key| self.address(key));
        let to = if to.is_empty() { self.beyond() } else { self.address(&to) };
        let (from, to) = match (direction, last) {
            (Direction::Forward, Some(last)) => (self.address(&from), Bound::Included(last)),
            (Direction::Backward, Some(last)) => (last, Bound::Excluded(to)),
            (_, None) => (self.address(&from), Bound::Excluded(to)),
        };
        self.watch.reads.ranges += 1;
        self.watch.reads.rows += count;
        self.watch.stretches.push(Stretch { from, to });
    }

    fn address(&self, key: &[u8]) -> Vec<u8> {
        [&self.space.0.to_be_bytes(), key].concat()
    }

    fn beyond(&self) -> Vec<u8> {
        (self.space.0 + 1).to_be_bytes().to_vec()
    }
}

macro_rules! kind {
    (bytes) => {
        &[u8]
    };
    (buffer) => {
        &mut [u8]
    };
    (u32) => {
        u32
    };
    (u64) => {
        u64
    };
    (unit) => {
        ()
    };
    (never) => {
        Infallible
    };
}

macro_rules! forward {
    (@note $self:ident get($key:ident, $out:ident) $result:ident) => {
        $self.got()
    };
    (@note $self:ident range($request:ident, $out:ident) $result:ident) => {
        $self.ranged($request, $out, $result)
    };
    (@note $self:ident $name:ident($($param:ident),*) $result:ident) => {};
    ($($(#[$doc:meta])* $access:ident $name:ident($($param:ident: $kind:ident),*) -> $result:ident;)*) => {
        impl HostCalls for Watched<'_> {
            fn fuel(&mut self) -> &mut u64 {
                self.host.fuel()
            }

            $(fn $name(&mut self, $($param: kind!($kind)),*) -> Result<kind!($result), Fault> {
                let done = self.host.$name($($param),*)?;
                forward!(@note self $name($($param),*) done);
                Ok(done)
            })*
        }
    };
}

synod_abi::for_each_host_call!(forward);
