//! What a member answers its peers. The transport brings frames in and takes frames away; it looks
//! into none.
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::SnapshotResponse;
use synod_storage::{StateStore, StorageError};

use crate::runtime::AsyncRuntime;
use crate::snapshot::{SnapshotData, checksum};
use crate::types::Snapshot;
use crate::{Applier, Raft, ServeError, Stopped, frames};

impl<RT: AsyncRuntime, S: StateStore, A: Applier> Raft<RT, S, A> {
    /// Serves a stream of entries or a heartbeat: one answer per request, in order. Requests are
    /// taken in while earlier ones are still being written, so that they share an fsync.
    ///
    /// The stream of answers ends with the requests, after an answer that says that the leader must
    /// begin anew, or with an error: a request that cannot be decoded, or for whose entries the
    /// disk has no room, ends it after the answers of those before it.
    pub fn serve_append(
        &self,
        requests: impl Stream<Item = Bytes> + Send + 'static,
    ) -> BoxStream<'static, Result<Bytes, ServeError>> {
        let refused: Arc<Mutex<Option<ServeError>>> = Arc::default();
        let found = refused.clone();
        let state = Arc::downgrade(&self.state);
        let is_short = move || state.upgrade().is_none_or(|state| state.is_short());
        let requests = requests
            .map(|frame| frames::decode_append::<RT>(&frame))
            .scan((), move |(), request| {
                let request = match request {
                    Ok(request) if !request.entries.is_empty() && is_short() => {
                        Err(ServeError::NoRoom("the disk is full".to_owned()))
                    }
                    request => request.map_err(ServeError::from),
                };
                let request = request
                    .map_err(|error| *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(error))
                    .ok();
                std::future::ready(request)
            })
            .fuse();
        let answers = self.inner.stream_append(requests).map(|result| match result {
            Ok(result) => Ok(frames::encode_append_answer::<RT>(&result)),
            Err(_) => Err(ServeError::Stopped(Stopped)),
        });
        let last_word =
            stream::once(async move { refused.lock().unwrap_or_else(PoisonError::into_inner).take() });
        answers.chain(last_word.filter_map(|error| std::future::ready(error.map(Err)))).boxed()
    }

    /// Answers a candidate.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve_vote(&self, request: Bytes) -> Result<Bytes, ServeError> {
        let request = frames::decode_vote::<RT>(&request)?;
        let response = self.inner.vote(request).await.map_err(|_| Stopped)?;
        Ok(frames::encode_vote_answer::<RT>(&response))
    }

    /// Answers a member that would like to be a candidate.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve_pre_vote(&self, request: Bytes) -> Result<Bytes, ServeError> {
        let request = frames::decode_vote::<RT>(&request)?;
        let response = self.inner.pre_vote(request).await.map_err(|_| Stopped)?;
        Ok(frames::encode_vote_answer::<RT>(&response))
    }

    /// Answers the header of a snapshot before its file is received.
    ///
    /// # Errors
    /// [`ServeError::Decode`], and [`ServeError::NoRoom`] if the disk has no room for it.
    pub async fn serve_snapshot_offer(&self, header: &[u8]) -> Result<SnapshotOffer, ServeError> {
        let announced = frames::decode_snapshot(header)?;
        let (vote, applied) = {
            let metrics = self.inner.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.vote, metrics.last_applied)
        };
        if vote > announced.vote || applied >= announced.meta.last_log_id {
            let answer = frames::encode_snapshot_answer::<RT>(&SnapshotResponse::new(vote));
            return Ok(SnapshotOffer::NotNeeded { answer });
        }
        let (state, length_bytes) = (self.state.clone(), announced.length_bytes);
        let room = self.settings.blocking.run::<RT, _>(move || state.room_for(length_bytes)).await;
        room.map_err(|_| Stopped)?.map_err(refusal)?;
        Ok(SnapshotOffer::Wanted { length_bytes })
    }

    /// Installs a snapshot that was received into `path`, which [`StateStore::receive_path`] named,
    /// and answers when it is in place. The file is taken over and removed.
    ///
    /// It is verified and made a state of its own before the consensus hears of it, which answers
    /// neither votes nor entries while it installs one.
    ///
    /// # Errors
    /// [`ServeError::Damaged`] if the file is not what the header announces, and
    /// [`ServeError::NoRoom`]: the member is unaffected and it is sent again.
    pub async fn serve_snapshot(&self, header: Bytes, path: PathBuf) -> Result<Bytes, ServeError> {
        let announced = frames::decode_snapshot(&header).inspect_err(|_| discard(&path))?;
        let (length_bytes, announced_sum, mark) =
            (announced.length_bytes, announced.checksum, announced.mark);
        let state = self.state.clone();
        let prepare = move || {
            let file = state.open_snapshot(&path).inspect_err(|_| discard(&path))?;
            let bad = |what: String| Err(StorageError::BadSnapshot(what));
            let sum = match checksum(&file.path) {
                Ok(sum) => sum,
                Err(error) => return bad(format!("it cannot be read: {error}")),
            };
            if file.length_bytes != length_bytes {
                return bad(format!("it has {} bytes of {length_bytes}", file.length_bytes));
            }
            if sum != announced_sum {
                return bad(format!("its checksum is {sum:08x}, announced was {announced_sum:08x}"));
            }
            if file.meta.mark != mark {
                return bad("it is of another entry than announced".to_owned());
            }
            state.prepare(&file)
        };
        let prepared = self.settings.blocking.run::<RT, _>(prepare).await.map_err(|_| Stopped)?;
        let incoming = prepared.map_err(refusal)?;
        let snapshot = Snapshot { meta: announced.meta, snapshot: SnapshotData::Received(incoming) };
        let response =
            self.inner.install_full_snapshot(announced.vote, snapshot).await.map_err(|_| Stopped)?;
        Ok(frames::encode_snapshot_answer::<RT>(&response))
    }

    /// Stands for election because the leader wants it to.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve_transfer(&self, request: Bytes) -> Result<Bytes, ServeError> {
        let request = frames::decode_transfer::<RT>(&request)?;
        let response = self.inner.handle_transfer_leader(request).await.map_err(|_| Stopped)?;
        Ok(frames::encode_transfer_answer::<RT>(&response))
    }
}

/// What a member says to the header of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotOffer {
    /// It waits for the file.
    Wanted {
        /// How long it will be.
        length_bytes: u64,
    },
    /// It has all of it, or knows a later leader: this is its answer, and the file is not wanted.
    NotNeeded {
        /// The answer.
        answer: Bytes,
    },
}

fn refusal(error: StorageError) -> ServeError {
    match error {
        StorageError::BadSnapshot(why) => ServeError::Damaged(why),
        StorageError::Full { .. } => ServeError::NoRoom(error.to_string()),
        StorageError::Fatal(_) | StorageError::Unusable(_) => {
            tracing::error!(%error, "a received snapshot cannot be prepared");
            ServeError::Stopped(Stopped)
        }
    }
}

/// Removes a file that was received and is of no use. One that stays is removed when the store is
/// opened the next time.
fn discard(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a received snapshot cannot be removed");
    }
}
