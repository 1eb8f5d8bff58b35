//! Snapshots on their way to a peer and from one.
//!
//! A position is named first, how far the state is on disk; the file is written when it is first
//! sent, at the same or a later position, and is kept for other receivers and further attempts
//! until the position moves past it. A checksum of the file travels with it, so that what was
//! damaged on the way is sent again instead of stopping the receiver.
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use openraft::async_runtime::Mutex;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::MutexOf;
use synod_storage::{SnapshotFile, StateStore, StorageError};

use crate::codec;
use crate::error::storage_io;
use crate::runtime::AsyncRuntime;
use crate::settings::Blocking;
use crate::types::{SnapshotMeta, Types};

/// Bytes read at once for a checksum.
const CHECKSUM_CHUNK_BYTES: usize = 256 * 1_024;

/// What openraft passes around as a snapshot's contents.
pub(crate) enum SnapshotData<RT: AsyncRuntime, S: StateStore> {
    /// The present state, written to a file when it is needed.
    Here(Arc<SnapshotSource<RT, S>>),
    /// What came from a peer, verified and on disk.
    Received(S::Incoming),
}

/// A snapshot file to be sent to a peer. While a clone of it lives, the file does.
#[derive(Clone, Debug)]
pub struct OutgoingSnapshot {
    /// The file; the transport reads it from [`SnapshotFile::path`].
    pub file: SnapshotFile,
    pub(crate) checksum: u32,
}

/// Where snapshots come from. One per member.
pub(crate) struct SnapshotSource<RT: AsyncRuntime, S> {
    state: S,
    blocking: Blocking,
    position: MutexOf<Types<RT>, Option<SnapshotMeta>>,
    prepared: MutexOf<Types<RT>, Option<OutgoingSnapshot>>,
}

impl<RT: AsyncRuntime, S: StateStore> SnapshotSource<RT, S> {
    /// A member that has a state can give a snapshot of it from the start.
    pub(crate) fn new(state: S, blocking: Blocking) -> io::Result<Self> {
        let mark = state.applied().map_err(storage_io)?;
        let meta = codec::decode_mark(&mark).map_err(|error| error.into_io())?;
        let position = meta.last_log_id.is_some().then_some(meta);
        Ok(Self {
            state,
            blocking,
            position: Types::<RT>::mutex(position),
            prepared: Types::<RT>::mutex(None),
        })
    }

    pub(crate) fn blocking(&self) -> Blocking {
        self.blocking
    }

    pub(crate) async fn position(&self) -> Option<SnapshotMeta> {
        self.position.lock().await.clone()
    }

    pub(crate) async fn moved_to(&self, meta: SnapshotMeta) {
        if let Some(id) = meta.last_log_id {
            let mut prepared = self.prepared.lock().await;
            if prepared.as_ref().is_some_and(|snapshot| snapshot.file.meta.mark.index < Some(id.index)) {
                *prepared = None;
            }
        }
        let mut position = self.position.lock().await;
        if position.as_ref().is_none_or(|position| position.last_log_id < meta.last_log_id) {
            *position = Some(meta);
        }
    }

    /// Flushes the state, and moves the position to how far it is on disk.
    pub(crate) async fn flush(&self) -> io::Result<SnapshotMeta> {
        let state = self.state.clone();
        let mark = self.blocking.run::<RT, _>(move || state.flush()).await?.map_err(storage_io)?;
        let meta = codec::decode_mark(&mark).map_err(|error| error.into_io())?;
        if meta.last_log_id.is_some() {
            self.moved_to(meta.clone()).await;
        }
        Ok(meta)
    }

    /// A file of the position that `meta` names, or of a later one.
    pub(crate) async fn prepare(&self, meta: &SnapshotMeta) -> Result<OutgoingSnapshot, StorageError> {
        let least = meta.last_log_id.map(|id| id.index);
        let mut prepared = self.prepared.lock().await;
        if let Some(snapshot) = prepared.as_ref().filter(|snapshot| snapshot.file.meta.mark.index >= least) {
            return Ok(snapshot.clone());
        }
        *prepared = None;
        let state = self.state.clone();
        let built = self.blocking.run::<RT, _>(move || {
            let file = state.build_snapshot()?;
            let checksum = checksum(&file.path).map_err(|error| {
                StorageError::Fatal(format!("the snapshot {} cannot be read: {error}", file.path.display()))
            })?;
            Ok(OutgoingSnapshot { file, checksum })
        });
        let snapshot = built.await.unwrap_or_else(|error| Err(StorageError::Fatal(error.to_string())))?;
        *prepared = Some(snapshot.clone());
        Ok(snapshot)
    }
}

/// CRC-32 of a file.
pub(crate) fn checksum(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut chunk = vec![0; CHECKSUM_CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize()),
            length => hasher.update(&chunk[..length]),
        }
    }
}
