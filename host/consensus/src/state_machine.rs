//! The state machine that openraft sees: a [`StateStore`] for what is persistent, an [`Applier`]
//! for what changes it.
//!
//! The store *is* the snapshot: "building a snapshot" flushes the state and names how far it is on
//! disk, and its files get names of their own when a member needs them. The log is never purged
//! beyond that, so after a crash it runs again what the state lost.
use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use synod_planted::{Bug, is_planted};
use synod_storage::{AppliedMark, StateStore, receive_here};

use crate::codec;
use crate::error::storage_io;
use crate::runtime::AsyncRuntime;
use crate::snapshot::{SnapshotData, SnapshotSource};
use crate::types::{Entry, EntryPayload, LogId, Snapshot, SnapshotMeta, StoredMembership, Types};
use crate::{Applier, CommittedEntry, CommittedPayload};

/// Entries handed to the applier at once.
const APPLY_BATCH_ENTRIES: usize = 256;
/// Bytes of payloads handed to the applier at once; one entry always fits.
const APPLY_BATCH_BYTES: usize = 4 * 1_024 * 1_024;

/// See the module.
pub(crate) struct StateMachine<RT: AsyncRuntime, S, A> {
    state: S,
    applier: Arc<A>,
    source: Arc<SnapshotSource<RT, S>>,
    membership: Option<Arc<[u8]>>,
}

impl<RT: AsyncRuntime, S: StateStore, A: Applier> StateMachine<RT, S, A> {
    pub(crate) fn new(state: S, applier: Arc<A>, source: Arc<SnapshotSource<RT, S>>) -> Self {
        Self { state, applier, source, membership: None }
    }

    fn applied(&self) -> io::Result<SnapshotMeta> {
        let mark = self.state.applied().map_err(storage_io)?;
        codec::decode_mark(&mark).map_err(|error| error.into_io())
    }

    fn membership(&mut self) -> io::Result<&mut Arc<[u8]>> {
        if self.membership.is_none() {
            self.membership = Some(self.state.applied().map_err(storage_io)?.membership);
        }
        Ok(self.membership.get_or_insert_default())
    }

    fn commit_entry(&mut self, entry: Entry) -> io::Result<CommittedEntry> {
        let id: LogId = entry.log_id;
        let membership = self.membership()?;
        let payload = match entry.payload {
            EntryPayload::Blank => CommittedPayload::Blank,
            EntryPayload::Normal(payload) => CommittedPayload::Command(payload.0),
            EntryPayload::Membership(changed) => {
                *membership = codec::encode_membership(&StoredMembership::new(Some(id), changed));
                CommittedPayload::Membership
            }
        };
        let less = u64::from(is_planted(Bug::AppliedTwice)).min(id.index);
        let marked = LogId::new(id.leader_id, id.index - less);
        let (index, mark_id) = (Some(marked.index), codec::encode_id(marked));
        let mark = AppliedMark { index, id: mark_id, membership: membership.clone() };
        Ok(CommittedEntry { index: id.index, term: id.leader_id.term, mark, payload })
    }
}

impl<RT: AsyncRuntime, S: StateStore, A: Applier> RaftStateMachine<Types<RT>> for StateMachine<RT, S, A> {
    type SnapshotData = SnapshotData<RT, S>;
    type SnapshotBuilder = Position<RT, S>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let meta = self.applied()?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types<RT>>>> + Unpin + Send,
    {
        let mut ended = false;
        while !ended {
            let mut batch = Vec::new();
            let mut responders = Vec::new();
            let mut bytes = 0;
            while batch.len() < APPLY_BATCH_ENTRIES && bytes < APPLY_BATCH_BYTES {
                let Some(item) = entries.next().await else {
                    ended = true;
                    break;
                };
                let (entry, responder) = item?;
                if let EntryPayload::Normal(payload) = &entry.payload {
                    bytes += payload.0.len();
                }
                batch.push(self.commit_entry(entry)?);
                responders.extend(responder);
            }
            if !batch.is_empty() {
                self.applier.apply(batch).await.map_err(std::io::Error::other)?;
            }
            for responder in responders {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Position<RT, S> {
        Position { source: self.source.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData<RT, S>,
    ) -> io::Result<()> {
        let state = self.state.clone();
        let blocking = self.source.blocking();
        let incoming = match snapshot {
            SnapshotData::Received(incoming) => incoming,
            SnapshotData::Here(source) => {
                let (state, applier) = (state.clone(), self.applier.clone());
                let checkpoint = source.take(meta).await.map_err(storage_io)?;
                let verify = move |rows: &S::View| applier.verify(rows);
                let prepare = move || state.prepare(receive_here(&state, &checkpoint)?, &verify);
                blocking.run::<RT, _>(prepare).await?.map_err(storage_io)?
            }
        };
        blocking.run::<RT, _>(move || state.install(incoming)).await?.map_err(storage_io)?;
        self.membership = None;
        self.source.moved_to(meta.clone()).await;
        self.applier.restored().await.map_err(std::io::Error::other)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot<SnapshotData<RT, S>>>> {
        let meta = match self.source.position().await {
            Some(meta) => meta,
            None => return Ok(None),
        };
        Ok(Some(Snapshot { meta, snapshot: SnapshotData::Here(self.source.clone()) }))
    }
}

/// "Builds" a snapshot: flushes the state, and names how far it is on disk.
pub(crate) struct Position<RT: AsyncRuntime, S> {
    source: Arc<SnapshotSource<RT, S>>,
}

impl<RT: AsyncRuntime, S: StateStore> RaftSnapshotBuilder<Types<RT>> for Position<RT, S> {
    type SnapshotData = SnapshotData<RT, S>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<SnapshotData<RT, S>>> {
        let meta = self.source.flush().await?;
        Ok(Snapshot { meta, snapshot: SnapshotData::Here(self.source.clone()) })
    }
}
