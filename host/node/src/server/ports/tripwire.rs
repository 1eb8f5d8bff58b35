//! Detects an entry that crashes this member: after three crashes while applying the same entry the
//! member does not start again and names the entry, instead of crashing for ever.
//!
//! Whether the process was killed from outside cannot be told afterwards. The first entry after a
//! start may take seconds, in which modules are loaded, and a supervisor that finds the member slow
//! kills it there more than once; so two are not enough.
//!
//! The index of the entry is written to a small file before it is applied and cleared after. The
//! file is not synced, because it has to survive a crash of the process only.
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::settings::StartError;

/// Crashes on one entry after which the member does not start.
const CRASHES: u64 = 3;
const FILE: &str = "applying";
const BYTES: usize = 16;

/// The entry that is being applied, in a file.
#[derive(Debug)]
pub(crate) struct Tripwire {
    file: File,
    path: PathBuf,
    crashed_on: u64,
    crashes: u64,
}

impl Tripwire {
    /// Opens the file in `data_dir`, counting a crash if it still names an entry.
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
        let (crashed_on, before) = if known { (number(0), number(8)) } else { (0, 0) };
        let crashes = if crashed_on == 0 { 0 } else { before + 1 };
        let tripwire = Self { file, path: path.clone(), crashed_on, crashes };
        tripwire.write(crashed_on, crashes).map_err(failed)?;
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
    /// The error of the file system, for people.
    pub(crate) fn arm(&self, index: u64) -> Result<(), String> {
        let crashes = if index == self.crashed_on { self.crashes } else { 0 };
        self.write(index, crashes).map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }

    /// The entry is applied.
    ///
    /// # Errors
    /// The error of the file system, for people.
    pub(crate) fn disarm(&self) -> Result<(), String> {
        self.write(0, 0).map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }

    fn write(&self, index: u64, crashes: u64) -> std::io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        bytes[8..].copy_from_slice(&crashes.to_le_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

#[cfg(test)]
mod tests;
