//! How records and positions lie on disk.
//!
//! A record's key is its index, big-endian; its value the CRC-32 of index and bytes, then the
//! bytes. The index is in the checksum, so a record in the wrong place is found. RocksDB has
//! checksums of its own, per block and per write; this one covers the way between.
use std::sync::Arc;

use crate::LogRecord;

const CRC_BYTES: usize = 4;

/// The key of record `index`.
pub(crate) fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index in a key.
pub(crate) fn index(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// The value of a record.
pub(crate) fn encode(record: &LogRecord) -> Vec<u8> {
    let mut value = Vec::with_capacity(CRC_BYTES + record.bytes.len());
    value.extend_from_slice(&checksum(record.index, &record.bytes).to_be_bytes());
    value.extend_from_slice(&record.bytes);
    value
}

/// The record of a value, if its checksum is right.
pub(crate) fn decode(index: u64, value: &[u8]) -> Option<LogRecord> {
    let (crc, bytes) = value.split_first_chunk::<CRC_BYTES>()?;
    (u32::from_be_bytes(*crc) == checksum(index, bytes)).then(|| LogRecord { index, bytes: bytes.into() })
}

/// An index with an encoded id.
pub(crate) fn encode_position(index: u64, id: &[u8]) -> Vec<u8> {
    [&index.to_be_bytes(), id].concat()
}

/// Decodes [`encode_position`].
pub(crate) fn decode_position(value: &[u8]) -> Option<(u64, Arc<[u8]>)> {
    let (index, id) = value.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*index), id.into()))
}

fn checksum(index: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
