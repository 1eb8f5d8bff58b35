//! Receiving a snapshot: what is lacking of it is said first, then its files come in pieces.
//!
//! What has arrived stays, whatever ends the attempt. When all of it is there, it is verified and
//! made a state of its own before the consensus hears of it, which answers neither votes nor
//! entries while it installs one.
use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::SnapshotResponse;
use synod_storage::{StateStore, StorageError};

use crate::frames::{AnnouncedSnapshot, OfferAnswer};
use crate::runtime::AsyncRuntime;
use crate::snapshot::SnapshotData;
use crate::types::{Snapshot, Types};
use crate::{Applier, Raft, ServeError, Stopped, frames};

impl<RT: AsyncRuntime, S: StateStore, A: Applier> Raft<RT, S, A> {
    /// Answers the header of a snapshot with what this member lacks of it, before that is sent.
    ///
    /// # Errors
    /// [`ServeError::Decode`], [`ServeError::Damaged`] if this member cannot read its files, and
    /// [`ServeError::NoRoom`] if the disk has no room for them.
    pub async fn serve_snapshot_offer(&self, header: &[u8]) -> Result<Bytes, ServeError> {
        let announced = frames::decode_snapshot(header)?;
        let answer = match self.not_needed(&announced) {
            Some(response) => OfferAnswer::NotNeeded(response),
            None => {
                let wanted = move |state: &S| Ok(state.receive(announced.manifest)?.wanted());
                OfferAnswer::Wanted(self.run(wanted).await?)
            }
        };
        Ok(frames::encode_offer_answer::<RT>(&answer))
    }

    /// Receives a snapshot and installs it: the header first, then pieces of what is lacking, in
    /// order. Answered when it is in place.
    ///
    /// # Errors
    /// [`ServeError::Damaged`] if it is not what the header announces, [`ServeError::BadState`] if
    /// that is not a state, and [`ServeError::NoRoom`]: the member is unaffected, and it is sent
    /// again. [`ServeError::Cut`] if it ends early: what has arrived is not wanted again.
    pub async fn serve_snapshot(
        &self,
        mut frames: impl Stream<Item = Bytes> + Send + Unpin,
    ) -> Result<Bytes, ServeError> {
        let header = frames.next().await.ok_or(ServeError::Cut)?;
        let announced = frames::decode_snapshot(&header)?;
        if let Some(response) = self.not_needed(&announced) {
            return Ok(frames::encode_snapshot_answer::<RT>(&response));
        }
        let AnnouncedSnapshot { vote, meta, manifest } = announced;
        let mut receiving = self.run(move |state| state.receive(manifest)).await?;
        while let Some(frame) = frames.next().await {
            receiving = self
                .run(move |_| {
                    let piece = frames::decode_piece(&frame)
                        .map_err(|error| StorageError::BadSnapshot(error.to_string()))?;
                    receiving.write(piece.file, piece.offset, piece.data)?;
                    Ok(receiving)
                })
                .await?;
        }
        let received = move |_: &S| Ok(Some(receiving).filter(|receiving| receiving.wanted().is_empty()));
        let receiving = self.run(received).await?.ok_or(ServeError::Cut)?;
        let applier = self.applier.clone();
        let verify = move |rows: &S::View| match applier.upgrade() {
            Some(applier) => applier.verify(rows),
            None => Err("this member is stopping".to_owned()),
        };
        let incoming = self.run(move |state| state.prepare(receiving, &verify)).await;
        let incoming = incoming.map_err(|error| match error {
            ServeError::Damaged(why) => ServeError::BadState(why),
            error => error,
        })?;
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(incoming) };
        let response = self.inner.install_full_snapshot(vote, snapshot).await.map_err(|_| Stopped)?;
        Ok(frames::encode_snapshot_answer::<RT>(&response))
    }

    /// The answer if this member has all of it, or knows a later leader.
    fn not_needed(&self, announced: &AnnouncedSnapshot) -> Option<SnapshotResponse<Types<RT>>> {
        let metrics = self.inner.metrics();
        let metrics = metrics.borrow_watched();
        let is_needed = metrics.vote <= announced.vote && metrics.last_applied < announced.meta.last_log_id;
        (!is_needed).then(|| SnapshotResponse::new(metrics.vote))
    }

    /// Works on the store where work may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, ServeError> {
        let state = self.state.clone();
        let done = self.settings.blocking.run::<RT, _>(move || work(&state)).await;
        done.map_err(|_| Stopped)?.map_err(refusal)
    }
}

fn refusal(error: StorageError) -> ServeError {
    match error {
        StorageError::BadSnapshot(why) => ServeError::Damaged(why),
        StorageError::Full { .. } => ServeError::NoRoom(error.to_string()),
        StorageError::Fatal(_) | StorageError::Unusable(_) => {
            tracing::error!(%error, "a snapshot cannot be received");
            ServeError::Stopped(Stopped)
        }
    }
}
