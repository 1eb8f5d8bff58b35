//! Digests by which members notice that they differ, and the names of modules.
//!
//! Two digests. The *chain* hashes, entry by entry, the entry's index and time and for each command
//! its outcome and its writes in order: it names the first entry at which two members differ. A
//! deferred command's outcome is in the chain as well. The *state digest* is order-independent: the
//! sum, in four lanes of 64 bits, of a BLAKE3 hash per row, and the numbers of the head. The sum is
//! kept per space too, of its rows and its events, so that deleting a space subtracts it without
//! reading them. It does not depend on how commands were packed into entries, which the chain does.
//!
//! Against bugs and broken hardware, not against an adversary who chooses rows.
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::ModuleHash;

use crate::ports::Table;

/// Order-independent sum of hashes of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSum([u64; 4]);

impl RowSum {
    pub(crate) const ZERO: Self = Self([0; 4]);

    /// Counts a row in. `buffer` is overwritten.
    pub(crate) fn add(&mut self, table: Table, key: &[u8], value: &[u8], buffer: &mut Vec<u8>) {
        self.add_sum(Self::of(table, key, value, buffer));
    }

    /// Takes a row out.
    pub(crate) fn subtract(&mut self, table: Table, key: &[u8], value: &[u8], buffer: &mut Vec<u8>) {
        self.subtract_sum(Self::of(table, key, value, buffer));
    }

    /// Counts in what another sum counts.
    pub(crate) fn add_sum(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(lane, other)| *lane = lane.wrapping_add(other));
    }

    /// Takes out what another sum counts.
    pub(crate) fn subtract_sum(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(lane, other)| *lane = lane.wrapping_sub(other));
    }

    /// Its bytes, little-endian.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes
            .chunks_exact_mut(8)
            .zip(self.0)
            .for_each(|(chunk, lane)| chunk.copy_from_slice(&lane.to_le_bytes()));
        bytes
    }

    /// Reads [`RowSum::to_bytes`].
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut lanes = [0; 4];
        for (lane, chunk) in lanes.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(chunk);
            *lane = u64::from_le_bytes(eight);
        }
        Self(lanes)
    }

    fn of(table: Table, key: &[u8], value: &[u8], buffer: &mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.push(table as u8);
        buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value);
        Self::from_bytes(blake3::hash(buffer).as_bytes())
    }
}

/// The name of a module: the BLAKE3 hash of its bytes.
pub fn module_hash(module: &[u8]) -> ModuleHash {
    ModuleHash(*blake3::hash(module).as_bytes())
}
