//! How far the log is on disk, told by a small file outside of RocksDB: a log that lost its newest
//! files looks like a shorter one, and would be taken for it.
//!
//! It is written after each sync and not synced itself: exact after a kill, behind after a power
//! cut by what was not written back. It is never ahead: before the log gets shorter, a lower mark
//! is synced. A file that is missing or damaged tells nothing, and is written anew.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::StorageError;

/// The file in the data directory.
pub(crate) const FILE: &str = "WATERMARK";
const INDEX_BYTES: usize = 8;
const MARK_BYTES: usize = INDEX_BYTES + 4;

/// The open file.
pub(crate) struct Watermark {
    file: File,
    end: u64,
}

impl Watermark {
    /// Opens the file, creating it if it is missing, and checks it against a log that ends before
    /// `end`. The index that the log should at least end before, if that is more.
    pub(crate) fn open(root: &Path, end: u64) -> Result<Result<Self, u64>, StorageError> {
        let path = root.join(FILE);
        let failed = |error: io::Error| StorageError::from_io("cannot open", &path, &error);
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(failed)?;
        let mut bytes = [0; MARK_BYTES];
        match file.read_exact_at(&mut bytes, 0).map(|()| decode(bytes)) {
            Ok(Some(marked)) if marked > end => return Ok(Err(marked)),
            Ok(Some(_)) => {}
            Ok(None) => tracing::warn!(path = %path.display(), "the watermark is damaged and tells nothing"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(failed(error)),
        }
        file.write_all_at(&encode(end), 0).and_then(|()| file.sync_data()).map_err(failed)?;
        Ok(Ok(Self { file, end }))
    }

    /// The log is on disk up to `end` (index + 1).
    pub(crate) fn raise(&mut self, end: u64) -> io::Result<()> {
        if end == self.end {
            return Ok(());
        }
        self.file.write_all_at(&encode(end), 0)?;
        self.end = end;
        Ok(())
    }

    /// The log is about to end before `end` (index + 1), if that is less than before. On disk on
    /// return.
    pub(crate) fn lower(&mut self, end: u64) -> io::Result<()> {
        if end >= self.end {
            return Ok(());
        }
        self.raise(end)?;
        self.file.sync_data()
    }

    /// Where the log ends.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
}

pub(crate) fn encode(end: u64) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    bytes[..INDEX_BYTES].copy_from_slice(&end.to_be_bytes());
    bytes[INDEX_BYTES..].copy_from_slice(&crc32fast::hash(&end.to_be_bytes()).to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: [u8; MARK_BYTES]) -> Option<u64> {
    let (index, crc) = bytes.split_first_chunk::<INDEX_BYTES>()?;
    let end = u64::from_be_bytes(*index);
    (encode(end)[INDEX_BYTES..] == *crc).then_some(end)
}

#[cfg(test)]
mod tests;
