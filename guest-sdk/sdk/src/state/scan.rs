//! Reads the raw rows of a range chunk by chunk, from either end.
//!
//! The first chunk is small and the next ones grow, so that taking ten rows of a million does not
//! read a thousand. While a scan lives its context is borrowed, so nothing can write under it.
use alloc::vec::Vec;

use synod_abi::limits::RANGE_CHUNK_ROWS;
use synod_abi::{Direction, RangeRequest, Rows};

use crate::QueryCtx;

const FIRST_CHUNK_ROWS: u32 = 16;
const GROWTH: u32 = 4;

pub(super) struct Scan<'c, 'h> {
    cx: &'c QueryCtx<'h>,
    request: RangeRequest,
    chunk: Vec<u8>,
    at: usize,
    more: bool,
}

impl<'c, 'h> Scan<'c, 'h> {
    pub(super) fn new(cx: &'c QueryCtx<'h>, from: Vec<u8>, to: Vec<u8>, direction: Direction) -> Self {
        let more = from < to;
        Self {
            cx,
            request: RangeRequest { from, to, direction, rows: FIRST_CHUNK_ROWS },
            chunk: Vec::new(),
            at: 0,
            more,
        }
    }

    /// For who knows how many rows it wants.
    pub(super) fn at_most(mut self, rows: usize) -> Self {
        self.request.rows = rows.clamp(1, RANGE_CHUNK_ROWS) as u32;
        self
    }

    /// The next row: key and value.
    pub(super) fn next(&mut self) -> Option<(&[u8], &[u8])> {
        while self.at == self.chunk.len() {
            if !self.more {
                return None;
            }
            self.fetch();
        }
        let mut rows = Rows(&self.chunk[self.at..]);
        let row = rows.next().unwrap_or_else(|| self.cx.host.corrupt("chunk"));
        self.at = self.chunk.len() - rows.0.len();
        Some(row)
    }

    pub(super) fn cx(&self) -> &'c QueryCtx<'h> {
        self.cx
    }

    fn fetch(&mut self) {
        let request = self.request.to_bytes();
        let chunk = &mut self.chunk;
        self.more = self.cx.host.with_scratch(|scratch| {
            let answer = self.cx.host.range(&request, scratch);
            chunk.clear();
            chunk.extend_from_slice(&scratch[..answer as u32 as usize]);
            answer >> 32 & 1 == 1
        });
        self.at = 0;
        if let Some((last, _)) = Rows(&self.chunk).last() {
            match self.request.direction {
                Direction::Forward => {
                    self.request.from.clear();
                    self.request.from.extend_from_slice(last);
                    self.request.from.push(0);
                }
                Direction::Backward => {
                    self.request.to.clear();
                    self.request.to.extend_from_slice(last);
                }
            }
        }
        self.request.rows = (self.request.rows * GROWTH).min(RANGE_CHUNK_ROWS as u32);
    }
}
