//! How rows of a range cross the boundary: in chunks, because one host call per row is what makes
//! ranges slow in comparable systems.
use alloc::vec::Vec;

use crate::ids::Direction;

/// Asks for one chunk of the rows in `from..to`, in a given direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// Smallest key, included.
    pub from: Vec<u8>,
    /// Largest key, excluded.
    pub to: Vec<u8>,
    /// Which end comes first.
    pub direction: Direction,
    /// Most rows wanted; the host caps it at [`crate::limits::RANGE_CHUNK_ROWS`].
    pub rows: u32,
}

impl RangeRequest {
    /// Layout: direction u8, rows u32, length of `from` u32, `from`, `to`; numbers little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(9 + self.from.len() + self.to.len());
        bytes.push(match self.direction {
            Direction::Forward => 0,
            Direction::Backward => 1,
        });
        bytes.extend_from_slice(&self.rows.to_le_bytes());
        bytes.extend_from_slice(&(self.from.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.from);
        bytes.extend_from_slice(&self.to);
        bytes
    }

    /// Reads what [`RangeRequest::to_bytes`] wrote; `None` if it is malformed.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (direction, bytes) = bytes.split_first()?;
        let direction = match direction {
            0 => Direction::Forward,
            1 => Direction::Backward,
            _ => return None,
        };
        let (rows, bytes) = take_u32(bytes)?;
        let (from_len, bytes) = take_u32(bytes)?;
        let (from, to) = bytes.split_at_checked(from_len as usize)?;
        Some(Self { from: from.to_vec(), to: to.to_vec(), direction, rows })
    }
}

/// Rows as they lie in a chunk: length of the key u32, length of the value u32, key, value;
/// little-endian.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a>(pub &'a [u8]);

impl Rows<'_> {
    /// Appends a row to `chunk`.
    pub fn push(chunk: &mut Vec<u8>, key: &[u8], value: &[u8]) {
        chunk.extend_from_slice(&(key.len() as u32).to_le_bytes());
        chunk.extend_from_slice(&(value.len() as u32).to_le_bytes());
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(value);
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key_len, rest) = take_u32(self.0)?;
        let (value_len, rest) = take_u32(rest)?;
        let (key, rest) = rest.split_at_checked(key_len as usize)?;
        let (value, rest) = rest.split_at_checked(value_len as usize)?;
        self.0 = rest;
        Some((key, value))
    }
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}
