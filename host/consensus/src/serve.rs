//! What a member answers its peers. The transport brings frames in and takes frames away; it looks
//! into none.
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use synod_storage::StateStore;

use crate::runtime::AsyncRuntime;
use crate::snapshot::{SnapshotData, checksum};
use crate::types::Snapshot;
use crate::{Applier, DecodeError, Raft, ServeError, Stopped, frames};

impl<RT: AsyncRuntime, S: StateStore, A: Applier> Raft<RT, S, A> {
    /// Serves a stream of entries or a heartbeat: one answer per request, in order. Requests are
    /// taken in while earlier ones are still being written, so that they share an fsync.
    ///
    /// The stream of answers ends with the requests, after an answer that says that the leader must
    /// begin anew, or with an error: a request that cannot be decoded ends it after the answers of
    /// those before it.
    pub fn serve_append(
        &self,
        requests: impl Stream<Item = Bytes> + Send + 'static,
    ) -> BoxStream<'static, Result<Bytes, ServeError>> {
        let garbage: Arc<Mutex<Option<DecodeError>>> = Arc::default();
        let found = garbage.clone();
        let requests = requests
            .map(|frame| frames::decode_append::<RT>(&frame))
            .scan((), move |(), request| {
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
            stream::once(async move { garbage.lock().unwrap_or_else(PoisonError::into_inner).take() });
        answers
            .chain(last_word.filter_map(|error| std::future::ready(error.map(|error| Err(error.into())))))
            .boxed()
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

    /// Checks the header of a snapshot before its file is received: how long the file will be.
    ///
    /// # Errors
    /// [`ServeError::Decode`].
    pub fn announced_length_bytes(&self, header: &[u8]) -> Result<u64, ServeError> {
        Ok(frames::decode_snapshot(header)?.length_bytes)
    }

    /// Installs a snapshot that was received into `path`, which [`StateStore::receive_path`] named,
    /// and answers when it is in place. The file is taken over: it is removed when it is not needed
    /// any more, also if it is refused, and not before it was installed, also if the caller does
    /// not wait for that.
    ///
    /// # Errors
    /// [`ServeError::Damaged`] if the file is not what the header announces: the member is
    /// unaffected and it is sent again.
    pub async fn serve_snapshot(&self, header: Bytes, path: PathBuf) -> Result<Bytes, ServeError> {
        let announced = frames::decode_snapshot(&header).inspect_err(|_| discard(&path))?;
        let length_bytes = announced.length_bytes;
        let announced_sum = announced.checksum;
        let mark = announced.mark;
        let state = self.state.clone();
        let open = move || {
            let file = state.open_snapshot(&path).map_err(|error| {
                discard(&path);
                error.to_string()
            })?;
            let sum = checksum(&file.path).map_err(|error| format!("it cannot be read: {error}"))?;
            if file.length_bytes != length_bytes {
                return Err(format!("it has {} bytes of {length_bytes}", file.length_bytes));
            }
            if sum != announced_sum {
                return Err(format!("its checksum is {sum:08x}, announced was {announced_sum:08x}"));
            }
            if file.meta.mark != mark {
                return Err("it is of another entry than announced".to_owned());
            }
            Ok(file)
        };
        let opened =
            self.settings.blocking.run::<RT, _>(open).await.unwrap_or_else(|error| Err(error.to_string()));
        let file = opened.map_err(ServeError::Damaged)?;
        let snapshot = Snapshot { meta: announced.meta, snapshot: SnapshotData::Received(file) };
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

/// Removes a file that was received and is of no use. One that stays is removed when the store is
/// opened the next time.
fn discard(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a received snapshot cannot be removed");
    }
}
