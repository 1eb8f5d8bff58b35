//! Where snapshots for others come from.
//!
//! A position is named first, how far the state is on disk; the snapshot is made when it is first
//! sent, at the same or a later position. It is kept for other receivers and further attempts as
//! long as the log goes on from it, so that what a receiver has is never in vain; and then, or
//! when nobody took it for long, or when the disk is short, it goes: it may keep a whole state on
//! the disk.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::Mutex;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::{InstantOf, MutexOf};
use synod_storage::{Checkpoint, StateStore, StorageError};

use crate::codec;
use crate::error::storage_io;
use crate::runtime::AsyncRuntime;
use crate::settings::Blocking;
use crate::types::{SnapshotMeta, Types};

/// How long a snapshot is kept that nobody takes.
const UNUSED: Duration = Duration::from_secs(600);

/// What openraft passes around as a snapshot's contents.
pub(crate) enum SnapshotData<RT: AsyncRuntime, S: StateStore> {
    /// The present state, made files when it is needed.
    Here(Arc<SnapshotSource<RT, S>>),
    /// What came from a peer, verified and on disk.
    Received(S::Incoming),
}

/// The snapshot that was made last.
struct Kept<RT: AsyncRuntime> {
    checkpoint: Checkpoint,
    meta: SnapshotMeta,
    used: InstantOf<Types<RT>>,
}

/// See the module. One per member.
pub(crate) struct SnapshotSource<RT: AsyncRuntime, S> {
    state: S,
    blocking: Blocking,
    position: MutexOf<Types<RT>, Option<SnapshotMeta>>,
    kept: MutexOf<Types<RT>, Option<Kept<RT>>>,
    /// One is made at a time. Who asks for the position, as applying does, does not wait for it.
    making: MutexOf<Types<RT>, ()>,
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
            kept: Types::<RT>::mutex(None),
            making: Types::<RT>::mutex(()),
        })
    }

    pub(crate) fn blocking(&self) -> Blocking {
        self.blocking
    }

    /// What a receiver gets: the snapshot that is kept, or the present position.
    pub(crate) async fn position(&self) -> Option<SnapshotMeta> {
        if let Some(kept) = self.kept.lock().await.as_ref() {
            return Some(kept.meta.clone());
        }
        self.position.lock().await.clone()
    }

    pub(crate) async fn moved_to(&self, meta: SnapshotMeta) {
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

    /// A snapshot of the position that `meta` names, or of a later one.
    pub(crate) async fn take(&self, meta: &SnapshotMeta) -> Result<Checkpoint, StorageError> {
        let _making = self.making.lock().await;
        if let Some(checkpoint) = self.reuse(meta).await {
            return Ok(checkpoint);
        }
        let state = self.state.clone();
        let made = self.blocking.run::<RT, _>(move || state.checkpoint()).await;
        let checkpoint = made.unwrap_or_else(|error| Err(StorageError::Fatal(error.to_string())))?;
        let meta = codec::decode_mark(&checkpoint.manifest().mark)
            .map_err(|error| StorageError::Fatal(error.to_string()))?;
        let made = Kept { checkpoint: checkpoint.clone(), meta, used: Types::<RT>::now() };
        *self.kept.lock().await = Some(made);
        Ok(checkpoint)
    }

    /// The snapshot that is kept, if it is far enough; otherwise it goes.
    async fn reuse(&self, meta: &SnapshotMeta) -> Option<Checkpoint> {
        let mut kept = self.kept.lock().await;
        match kept.as_mut().filter(|kept| kept.meta.last_log_id >= meta.last_log_id) {
            Some(kept) => {
                kept.used = Types::<RT>::now();
                Some(kept.checkpoint.clone())
            }
            None => {
                *kept = None;
                None
            }
        }
    }

    /// Gives up what is kept if the log, which begins with `first`, does not go on from it, or if
    /// it is in the way.
    pub(crate) async fn let_go(&self, first: u64) {
        let mut kept = self.kept.lock().await;
        let Some(present) = kept.as_ref() else { return };
        let is_behind = present.meta.last_log_id.is_none_or(|id| id.index + 1 < first);
        if is_behind || present.used + UNUSED < Types::<RT>::now() || self.state.is_short() {
            *kept = None;
        }
    }

    /// Gives up what is kept: somebody found it to be bad.
    pub(crate) async fn is_bad(&self) {
        *self.kept.lock().await = None;
    }
}
