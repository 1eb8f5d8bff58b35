//! The snapshot file: every row of every table, in order, with the mark it belongs to.
//!
//! Magic, then frames of length, CRC-32 and payload: a header with the mark, chunks of rows of one
//! table, a trailer with the number of rows and their digest. The CRC covers the number of the
//! frame, so frames can be neither swapped nor left out. The digest is a sum over rows, so it
//! depends on the rows alone, not on the order or the chunks. Both stores read and write the same
//! file. It does not say how rows get into a store.
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use synod_machine::Table;

use crate::{AppliedMark, SnapshotFile, SnapshotMeta, StorageError};

const MAGIC: &[u8; 8] = b"SYNSNAP1";
/// Rows are gathered into frames of about this size.
const CHUNK_BYTES: usize = 256 * 1_024;
/// Longest frame that is believed: a row is at most as long as what an entry may write.
const FRAME_BYTES: usize = 2 * synod_abi::limits::ENTRY_WRITE_BYTES;
const BUFFER_BYTES: usize = 1_024 * 1_024;
const FRAME_HEAD_BYTES: usize = 8;
const TRAILER_BYTES: usize = 1 + 8 + 8 + 32;
const HEADER: u8 = b'H';
const ROWS: u8 = b'R';
const TRAILER: u8 = b'T';

/// Sum of the hashes of rows, modulo 2^256.
#[derive(Clone, Copy, Default)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    fn add(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[table_number(table)]);
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(value);
        let mut carry = 0u16;
        for (sum, byte) in self.0.iter_mut().zip(hasher.finalize().as_bytes()) {
            carry += u16::from(*sum) + u16::from(*byte);
            *sum = carry as u8;
            carry >>= 8;
        }
    }
}

fn table_number(table: Table) -> u8 {
    Table::ALL.iter().position(|each| *each == table).expect("ALL has every table") as u8
}

/// Encodes a mark, for the header and for the store's own record of it.
pub(crate) fn encode_mark(mark: &AppliedMark) -> Vec<u8> {
    let mut out = Vec::with_capacity(17 + mark.id.len() + mark.membership.len());
    out.push(u8::from(mark.index.is_some()));
    out.extend_from_slice(&mark.index.unwrap_or(0).to_be_bytes());
    for part in [&mark.id, &mark.membership] {
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// Decodes a mark; `None` if the bytes are not one.
pub(crate) fn decode_mark(bytes: &[u8]) -> Option<AppliedMark> {
    let (&present, rest) = bytes.split_first()?;
    let (index, mut rest) = rest.split_first_chunk::<8>()?;
    let index = match present {
        0 => None,
        1 => Some(u64::from_be_bytes(*index)),
        _ => return None,
    };
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after;
        Some(part.into())
    };
    let (id, membership) = (part()?, part()?);
    rest.is_empty().then_some(AppliedMark { index, id, membership })
}

/// Writes a snapshot file; removes it if it is dropped unfinished.
pub(crate) struct SnapshotWriter {
    file: BufWriter<File>,
    path: PathBuf,
    mark: AppliedMark,
    chunk: Vec<u8>,
    chunk_table: Table,
    frames: u64,
    length: u64,
    rows: u64,
    digest: Digest,
    finished: bool,
}

impl SnapshotWriter {
    /// Begins `path`, which must not exist.
    pub(crate) fn create(path: PathBuf, mark: AppliedMark) -> Result<Self, StorageError> {
        let file = File::create_new(&path)
            .map_err(|error| StorageError::from_io("cannot create the snapshot file", &path, &error))?;
        let mut writer = Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            path,
            mark,
            chunk: Vec::with_capacity(CHUNK_BYTES),
            chunk_table: Table::ALL[0],
            frames: 0,
            length: 0,
            rows: 0,
            digest: Digest::default(),
            finished: false,
        };
        writer.put(MAGIC)?;
        let mut header = vec![HEADER];
        header.extend_from_slice(&encode_mark(&writer.mark));
        writer.frame(&header)?;
        Ok(writer)
    }

    /// Adds a row: tables in the order of `Table::ALL`, keys ascending.
    pub(crate) fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        if table != self.chunk_table || self.chunk.len() + key.len() + value.len() > CHUNK_BYTES {
            self.flush_chunk()?;
        }
        if self.chunk.is_empty() {
            self.chunk_table = table;
            self.chunk.extend_from_slice(&[ROWS, table_number(table)]);
        }
        for part in [key, value] {
            self.chunk.extend_from_slice(&(part.len() as u32).to_be_bytes());
            self.chunk.extend_from_slice(part);
        }
        self.rows += 1;
        self.digest.add(table, key, value);
        Ok(())
    }

    /// Writes the trailer, syncs, and moves the file to `target`.
    pub(crate) fn finish(mut self, target: PathBuf) -> Result<SnapshotFile, StorageError> {
        self.flush_chunk()?;
        let mut trailer = vec![TRAILER];
        trailer.extend_from_slice(&self.frames.to_be_bytes());
        trailer.extend_from_slice(&self.rows.to_be_bytes());
        trailer.extend_from_slice(&self.digest.0);
        self.frame(&trailer)?;
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(|error| self.failed(&error))?;
        std::fs::rename(&self.path, &target).map_err(|error| self.failed(&error))?;
        self.finished = true;
        if let Some(folder) = target.parent() {
            sync_folder(folder)?;
        }
        let meta = SnapshotMeta { mark: self.mark.clone(), digest: self.digest.0, rows: self.rows };
        Ok(SnapshotFile::new(meta, target, self.length))
    }

    fn flush_chunk(&mut self) -> Result<(), StorageError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        let result = self.frame(&chunk);
        chunk.clear();
        self.chunk = chunk;
        result
    }

    fn frame(&mut self, payload: &[u8]) -> Result<(), StorageError> {
        self.put(&(payload.len() as u32).to_be_bytes())?;
        self.put(&checksum(self.frames, payload).to_be_bytes())?;
        self.put(payload)?;
        self.frames += 1;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> StorageError {
        StorageError::from_io("cannot write the snapshot file", &self.path, error)
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StorageError::from_io("cannot sync the folder", folder, &error))
}

fn checksum(frame: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame.to_be_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// What the header and the trailer claim, without reading the rows; takes over the file.
pub(crate) fn open_snapshot(path: &Path) -> Result<SnapshotFile, StorageError> {
    let mut reader = FrameReader::open(path)?;
    let mark = reader.header()?;
    let length = reader.length;
    let tail = (FRAME_HEAD_BYTES + TRAILER_BYTES) as u64;
    if length < reader.at + tail {
        return Err(reader.bad("it is cut short"));
    }
    reader.file.seek(SeekFrom::Start(length - tail)).map_err(|error| reader.failed(&error))?;
    reader.at = length - tail;
    let (head, payload) = reader.raw_frame()?;
    let (frames, rows, digest) =
        decode_trailer(&payload).ok_or_else(|| reader.bad("its trailer is missing"))?;
    if checksum(frames, &payload) != head {
        return Err(reader.bad("the checksum of its trailer is wrong"));
    }
    Ok(SnapshotFile::new(SnapshotMeta { mark, digest, rows }, path.to_path_buf(), length))
}

/// Takes rows: table, key, value.
pub(crate) type RowSink<'a> = dyn FnMut(Table, &[u8], &[u8]) -> Result<(), StorageError> + 'a;

/// Reads every row into `sink`, verifying checksums, order, count and digest; returns what the file
/// is of.
pub(crate) fn read_rows(path: &Path, sink: &mut RowSink<'_>) -> Result<SnapshotMeta, StorageError> {
    let mut reader = FrameReader::open(path)?;
    let mark = reader.header()?;
    let mut digest = Digest::default();
    let mut rows = 0u64;
    let mut last: Option<(u8, Vec<u8>)> = None;
    loop {
        let before = reader.frames;
        let payload = reader.frame()?;
        match payload.first() {
            Some(&ROWS) => {
                let number = *payload.get(1).ok_or_else(|| reader.bad("a chunk has no table"))?;
                let table = *Table::ALL
                    .get(usize::from(number))
                    .ok_or_else(|| reader.bad("a chunk has an unknown table"))?;
                let mut rest = &payload[2..];
                while !rest.is_empty() {
                    let (key, value, after) =
                        split_row(rest).ok_or_else(|| reader.bad("a row is cut short"))?;
                    rest = after;
                    let ascending =
                        last.as_ref().is_none_or(|(table, last)| (*table, last.as_slice()) < (number, key));
                    if !ascending {
                        return Err(reader.bad("its rows are out of order"));
                    }
                    let slot = last.get_or_insert_with(Default::default);
                    slot.0 = number;
                    slot.1.clear();
                    slot.1.extend_from_slice(key);
                    digest.add(table, key, value);
                    rows += 1;
                    sink(table, key, value)?;
                }
            }
            Some(&TRAILER) => {
                let claimed =
                    decode_trailer(&payload).ok_or_else(|| reader.bad("its trailer is malformed"))?;
                if claimed != (before, rows, digest.0) {
                    return Err(reader.bad("its digest or its number of rows is wrong"));
                }
                if reader.at != reader.length {
                    return Err(reader.bad("bytes follow its trailer"));
                }
                return Ok(SnapshotMeta { mark, digest: digest.0, rows });
            }
            _ => return Err(reader.bad("a frame has an unknown kind")),
        }
    }
}

fn decode_trailer(payload: &[u8]) -> Option<(u64, u64, [u8; 32])> {
    let rest = payload.strip_prefix(&[TRAILER])?;
    let (frames, rest) = rest.split_first_chunk::<8>()?;
    let (rows, digest) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*frames), u64::from_be_bytes(*rows), digest.try_into().ok()?))
}

fn split_row(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let part = |bytes: &'_ [u8]| -> Option<usize> {
        bytes.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize)
    };
    let (key, rest) = bytes.get(4..)?.split_at_checked(part(bytes)?)?;
    let (value, rest) = rest.get(4..)?.split_at_checked(part(rest)?)?;
    Some((key, value, rest))
}

struct FrameReader {
    file: BufReader<File>,
    path: PathBuf,
    frames: u64,
    at: u64,
    length: u64,
}

impl FrameReader {
    fn open(path: &Path) -> Result<Self, StorageError> {
        let opened = File::open(path).and_then(|file| file.metadata().map(|of| (file, of.len())));
        let (file, length) =
            opened.map_err(|error| StorageError::from_io("cannot read the snapshot file", path, &error))?;
        let mut reader = Self {
            file: BufReader::with_capacity(BUFFER_BYTES, file),
            path: path.to_path_buf(),
            frames: 0,
            at: 0,
            length,
        };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(reader.bad("it does not begin like a snapshot of this version"));
        }
        Ok(reader)
    }

    fn header(&mut self) -> Result<AppliedMark, StorageError> {
        let payload = self.frame()?;
        payload
            .strip_prefix(&[HEADER])
            .and_then(decode_mark)
            .ok_or_else(|| self.bad("its header is malformed"))
    }

    fn frame(&mut self) -> Result<Vec<u8>, StorageError> {
        let (crc, payload) = self.raw_frame()?;
        if checksum(self.frames, &payload) != crc {
            return Err(self.bad("a checksum is wrong"));
        }
        self.frames += 1;
        Ok(payload)
    }

    fn raw_frame(&mut self) -> Result<(u32, Vec<u8>), StorageError> {
        let head = self.take(FRAME_HEAD_BYTES)?;
        let (length, crc) = head.split_at(4);
        let number = |bytes: &[u8]| bytes.iter().fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte));
        let (length, crc) = (number(length) as usize, number(crc));
        if length > FRAME_BYTES {
            return Err(self.bad("a frame claims to be longer than any frame"));
        }
        Ok((crc, self.take(length)?))
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, StorageError> {
        if self.length - self.at < length as u64 {
            return Err(self.bad("it is cut short"));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).map_err(|error| self.failed(&error))?;
        self.at += length as u64;
        Ok(bytes)
    }

    fn bad(&self, what: &str) -> StorageError {
        StorageError::BadSnapshot(format!(
            "the snapshot file {} is damaged before byte {}: {what}",
            self.path.display(),
            self.at
        ))
    }

    fn failed(&self, error: &std::io::Error) -> StorageError {
        StorageError::from_io("cannot read the snapshot file", &self.path, error)
    }
}

#[cfg(test)]
mod tests;
