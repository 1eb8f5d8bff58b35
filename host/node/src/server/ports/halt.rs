//! Stopping for good: a member whose state is wrong writes down why, and does not start again on
//! that data.
//!
//! The reason is a file in the data folder, on disk before the member ends. It goes with the data:
//! whoever removes the folder has the member join again with an empty one.
use std::fs::{File, read_to_string, rename};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::settings::StartError;

const FILE: &str = "halted";
const NEW_FILE: &str = "halted.new";
/// What an operator does about it.
const REMEDY: &str = "this member has stopped for good, since clients would read wrong data from it: remove \
    its data directory and start it with --replace-lost, so that it gets the state of the others";

/// The file, present or not.
#[derive(Clone, Debug)]
pub(crate) struct Halt {
    folder: PathBuf,
}

impl Halt {
    /// Of the member whose data is in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Whether the member may start.
    ///
    /// # Errors
    /// [`StartError::Fatal`] if it stopped for good, or that cannot be found out.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let path = self.folder.join(FILE);
        match read_to_string(&path) {
            Ok(why) => Err(StartError::Fatal(format!("{why}: {REMEDY}"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StartError::Fatal(format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// Writes down why the member does not start again; what to tell about it. Blocks.
    pub(crate) fn halt(&self, why: &str) -> String {
        match self.write(why) {
            Ok(()) => format!("{why}: {REMEDY}"),
            Err(error) => {
                format!("{why}; it could not be written down, so do not start this member again: {error}")
            }
        }
    }

    fn write(&self, why: &str) -> std::io::Result<()> {
        let new = self.folder.join(NEW_FILE);
        let mut file = File::create(&new)?;
        file.write_all(why.as_bytes())?;
        file.sync_all()?;
        rename(&new, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests;
