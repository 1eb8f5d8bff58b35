//! What a member answers its peers; snapshots are in `receive`. The transport brings frames in and
//! takes frames away; it looks into none.
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use synod_storage::StateStore;

use crate::runtime::AsyncRuntime;
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
