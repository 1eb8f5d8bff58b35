//! The store for the service crate: rows, and the log that they follow.
use std::sync::Arc;
use std::time::Duration;

use synod_machine::{Fatal, Write};
use synod_service::ports::{Store, StoreError};
use synod_storage::{AppliedMark, Health, LogStore, RocksStore, StateStore, StorageError};

use super::tripwire::Tripwire;

/// How often a full disk is checked again.
const SPACE_POLL: Duration = Duration::from_millis(200);

/// The log on disk.
pub(crate) type NodeLog = RocksStore;
/// The state on disk.
pub(crate) type NodeState = RocksStore;

/// The rows of this member, and the log that they follow.
#[derive(Clone)]
pub(crate) struct Rows {
    /// The log.
    pub(crate) log: NodeLog,
    /// The state.
    pub(crate) state: NodeState,
    /// Paused while a commit waits.
    pub(crate) tripwire: Arc<Tripwire>,
}

fn fatal(error: StorageError) -> Fatal {
    Fatal(error.to_string())
}

impl Store for Rows {
    type View = <NodeState as StateStore>::View;
    type Mark = AppliedMark;

    fn view(&self) -> Result<Self::View, Fatal> {
        self.state.view().map_err(fatal)
    }

    fn scan_view(&self) -> Result<Self::View, Fatal> {
        self.state.view().map(Self::View::without_caching).map_err(fatal)
    }

    fn latest(&self) -> Result<Self::View, Fatal> {
        self.state.latest().map_err(fatal)
    }

    fn commit(&self, writes: &[Write], mark: &AppliedMark) -> Result<(), StoreError> {
        self.tripwire.pause().map_err(StoreError::Fatal)?;
        self.state.commit(writes, mark).map_err(|error| match error {
            StorageError::Full { .. } => StoreError::Full(error.to_string()),
            error => StoreError::Fatal(fatal(error)),
        })?;
        self.tripwire.resume().map_err(StoreError::Fatal)
    }

    fn wait_for_space(&self) -> Result<(), Fatal> {
        loop {
            match self.log.health() {
                Health::Ready => return Ok(()),
                Health::Full => std::thread::sleep(SPACE_POLL),
                Health::Failed(error) => return Err(fatal(error)),
            }
        }
    }
}
