//! Detects an entry that crashes this member: after two crashes while applying the same entry the
//! member does not start again and names the entry, instead of crashing for ever.
//!
//! Whether the process was killed from outside cannot be told afterwards, and a supervisor that
//! finds a member slow kills it where it is slow, at the same entry each time. So the note counts
//! only while the entry itself is applied, which its fuel bounds; it is paused while the member
//! waits for code to be loaded or compiled, for its log to be on disk, or for space.
//!
//! The index of the entry is written to a small file before it is applied and cleared after. The
//! file is not synced, because it has to survive a crash of the process only.
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use synod_machine::Fatal;

use crate::settings::StartError;

/// Crashes on one entry after which the member does not start.
const CRASHES: u64 = 2;
const FILE: &str = "applying";
/// Index, former crashes, and whether the entry is being applied: numbers of 8 bytes.
const BYTES: usize = 24;
/// Instead of an index. The first entry has it, too: it is a membership, and runs nothing.
const NONE: u64 = 0;

/// The entry that is being applied, in a file. The apply thread and what it calls share it.
#[derive(Debug)]
pub(crate) struct Tripwire {
    file: File,
    path: PathBuf,
    crashed_on: u64,
    crashes: u64,
    present: AtomicU64,
}

impl Tripwire {
    /// Opens the file in `data_dir`, counting a crash if an entry was being applied.
    ///
    /// # Errors
    /// [`StartError::Fatal`] if this member crashed too often on one entry, or the file cannot be
    /// used.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StartError> {
        let path = data_dir.join(FILE);
        let failed =
            |error: std::io::Error| StartError::Fatal(format!("cannot use {}: {error}", path.display()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut bytes = [0; BYTES];
        let known = file.read_at(&mut bytes, 0).map_err(failed)? == BYTES;
        let number = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let (crashed_on, before, applying) =
            if known { (number(0), number(8), number(16) != 0) } else { (NONE, 0, false) };
        let crashes = before + u64::from(applying);
        let tripwire = Self { file, path: path.clone(), crashed_on, crashes, present: AtomicU64::new(NONE) };
        tripwire.write(crashed_on, crashes, false).map_err(failed)?;
        if crashes >= CRASHES {
            return Err(StartError::Fatal(format!(
                "this member crashed {crashes} times while applying entry {crashed_on} and does not try \
                    again: look into its log for the cause; to try all the same, remove {}",
                path.display()
            )));
        }
        Ok(tripwire)
    }

    /// The entry at `index` is about to be applied.
    ///
    /// # Errors
    /// [`Fatal`] if the file cannot be written; so of the other methods.
    pub(crate) fn arm(&self, index: u64) -> Result<(), Fatal> {
        self.present.store(index, Ordering::Relaxed);
        self.note(true)
    }

    /// The entry is applied.
    pub(crate) fn disarm(&self) -> Result<(), Fatal> {
        self.present.store(NONE, Ordering::Relaxed);
        self.write(NONE, 0, false).map_err(|error| self.unwritten(&error))
    }

    /// What follows may wait for long; a crash in it is not the entry's. Without an entry nothing
    /// happens.
    pub(crate) fn pause(&self) -> Result<(), Fatal> {
        self.note(false)
    }

    /// The entry goes on.
    pub(crate) fn resume(&self) -> Result<(), Fatal> {
        self.note(true)
    }

    fn note(&self, applying: bool) -> Result<(), Fatal> {
        let index = self.present.load(Ordering::Relaxed);
        if index == NONE {
            return Ok(());
        }
        let crashes = if index == self.crashed_on { self.crashes } else { 0 };
        self.write(index, crashes, applying).map_err(|error| self.unwritten(&error))
    }

    fn unwritten(&self, error: &std::io::Error) -> Fatal {
        Fatal(format!("cannot write {}: {error}", self.path.display()))
    }

    fn write(&self, index: u64, crashes: u64, applying: bool) -> std::io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        bytes[8..16].copy_from_slice(&crashes.to_le_bytes());
        bytes[16..].copy_from_slice(&u64::from(applying).to_le_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

#[cfg(test)]
mod tests;
