//! Sending a snapshot: its manifest first, then the pieces of the files that the receiver lacks.
//!
//! The receiver says what it lacks before anything is sent, so an attempt goes on where the last
//! one stopped. There is no limit to how long it may take in all, only to how long nothing moves.
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use openraft::StorageError as RaftStorageError;
use openraft::errors::{NetworkError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{NetSnapshot, RPCOption};
use openraft::raft::SnapshotResponse;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::InstantOf;
use synod_storage::{Checkpoint, StateStore, StorageError, Wanted};

use crate::frames::{self, OfferAnswer};
use crate::network::{Connection, PeerError, PeerNetwork, failed, silent, to_rpc_error, within};
use crate::retention::HOLD;
use crate::runtime::{AsyncRuntime, Select2};
use crate::settings::Blocking;
use crate::snapshot::{SnapshotData, SnapshotSource};
use crate::types::{Snapshot, SnapshotMeta, Types, Vote};

/// Bytes of a file in one frame.
const PIECE_BYTES: usize = 512 * 1_024;
/// How long a receiver may take to say what it lacks, and then to take the next piece.
const SILENCE: Duration = Duration::from_secs(10);
/// How often the sender looks whether the log still goes on from the snapshot.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Response<RT> = Result<SnapshotResponse<Types<RT>>, StreamingError<Types<RT>>>;

impl<RT: AsyncRuntime, S: StateStore, N: PeerNetwork> NetSnapshot<Types<RT>> for Connection<RT, S, N> {
    type SnapshotData = SnapshotData<RT, S>;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<SnapshotData<RT, S>>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Response<RT> {
        let SnapshotData::Here(source) = snapshot.snapshot else {
            let reason = "a snapshot that was received is not sent on".to_owned();
            return Err(NetworkError::new(&PeerError::Failed(reason)).into());
        };
        let sending = self.send(vote, &source, &snapshot.meta, option.hard_ttl());
        let sent = match Types::<RT>::select2(cancel, Box::pin(sending)).await {
            Select2::First(closed) => Err(closed.into()),
            Select2::Second(result) => result,
        };
        if let Err(StreamingError::Unreachable(error)) = &sent {
            if self.is_there {
                tracing::warn!(peer = %self.peer.id, %error, "a snapshot cannot be sent; it is tried again");
            }
            self.is_there = false;
        } else {
            self.is_there = true;
        }
        sent
    }
}

impl<RT: AsyncRuntime, S: StateStore, N: PeerNetwork> Connection<RT, S, N> {
    /// `finishing` is how long the receiver may take to answer once it has everything.
    async fn send(
        &self,
        vote: Vote,
        source: &SnapshotSource<RT, S>,
        meta: &SnapshotMeta,
        finishing: Duration,
    ) -> Response<RT> {
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let peer = self.peer.id.0;
        let is_first = self.is_there && self.retention.hold_first(peer, index, SILENCE * 2);
        let checkpoint = source.take(meta).await.map_err(|error| unreadable::<RT>(&error))?;
        let header = frames::encode_snapshot(vote, checkpoint.manifest());
        let offer = self.network.offer_snapshot(&self.peer, header.clone());
        let offer = within::<RT, _>(&self.peer, SILENCE, offer).await;
        let offer = offer.inspect_err(|_| {
            if is_first {
                self.retention.release(peer);
            }
        })?;
        let wanted = match frames::decode_offer_answer::<RT>(&offer).map_err(failed::<RT>)? {
            OfferAnswer::NotNeeded(response) => return Ok(response),
            OfferAnswer::Wanted(wanted) => wanted,
        };
        self.retention.hold(peer, index, HOLD);
        let files = checkpoint.manifest().files.len();
        let (count, total) = (wanted.len(), checkpoint.manifest().length_bytes());
        tracing::info!(peer = %self.peer.id, index, files, wanted = count, total, "sending a snapshot");

        let pieces = Pieces::<RT>::new(checkpoint, wanted, source.blocking());
        let (movement, unread) = (pieces.movement.clone(), pieces.unread.clone());
        let frames = stream::once(std::future::ready(header)).chain(pieces.stream()).boxed();
        let mut answer = pin!(self.network.send_snapshot(&self.peer, frames));
        let answer = loop {
            let (moved, stage) = movement.last();
            let limit = if stage == Stage::Sending { SILENCE } else { finishing };
            let now = Types::<RT>::now();
            let look_at = if moved + limit < now + LOOK_EVERY { moved + limit } else { now + LOOK_EVERY };
            if let Ok(answer) = Types::<RT>::timeout_at(look_at, poll_fn(|cx| answer.as_mut().poll(cx))).await
            {
                break answer;
            }
            if self.retention.is_gone(index + 1) {
                break Err(PeerError::Failed(format!(
                    "the log behind entry {index} has outgrown its limit; a newer snapshot follows"
                )));
            }
            if movement.last() != (moved, stage) {
                self.retention.hold(peer, index, HOLD);
                continue;
            }
            if moved + limit <= Types::<RT>::now() {
                break Err(silent(&self.peer, limit));
            }
        };
        if let Some(error) = unread.get() {
            return Err(unreadable::<RT>(error));
        }
        match answer {
            Ok(answer) => frames::decode_snapshot_answer(&answer).map_err(|error| failed::<RT>(error).into()),
            Err(PeerError::BadSnapshot(why)) => {
                tracing::error!(peer = %self.peer.id, why, "a snapshot of this member is bad");
                source.is_bad().await;
                Err(Unreachable::new(&PeerError::BadSnapshot(why)).into())
            }
            Err(error) => Err(to_rpc_error::<RT>(error).into()),
        }
    }
}

/// A full disk passes; what else is wrong with the own disk stops the member.
fn unreadable<RT: AsyncRuntime>(error: &StorageError) -> StreamingError<Types<RT>> {
    match error {
        StorageError::Full { .. } => Unreachable::new(error).into(),
        error => StreamingError::StorageError(RaftStorageError::read_snapshot(
            None,
            Types::<RT>::err_from_error(error),
        )),
    }
}

/// What a sender waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The receiver takes pieces.
    Sending,
    /// It has all of them.
    Finishing,
}

/// When the transport took the last piece, and what is to happen next.
struct Movement<RT: AsyncRuntime>(Arc<Mutex<(InstantOf<Types<RT>>, Stage)>>);

impl<RT: AsyncRuntime> Clone for Movement<RT> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<RT: AsyncRuntime> Movement<RT> {
    fn last(&self) -> (InstantOf<Types<RT>>, Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moves(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Types::<RT>::now(), stage);
    }
}

/// The pieces that a receiver lacks, read as they are taken.
struct Pieces<RT: AsyncRuntime> {
    checkpoint: Checkpoint,
    wanted: std::vec::IntoIter<Wanted>,
    present: Option<Wanted>,
    blocking: Blocking,
    movement: Movement<RT>,
    /// Why the pieces ended early.
    unread: Arc<OnceLock<StorageError>>,
}

impl<RT: AsyncRuntime> Pieces<RT> {
    fn new(checkpoint: Checkpoint, wanted: Vec<Wanted>, blocking: Blocking) -> Self {
        let movement = Movement(Arc::new(Mutex::new((Types::<RT>::now(), Stage::Sending))));
        let wanted = wanted.into_iter();
        Self { checkpoint, wanted, present: None, blocking, movement, unread: Arc::default() }
    }

    fn stream(self) -> BoxStream<'static, Bytes> {
        stream::unfold(self, |mut pieces| async move { pieces.next().await.map(|piece| (piece, pieces)) })
            .boxed()
    }

    async fn next(&mut self) -> Option<Bytes> {
        let next = self.present.take().or_else(|| self.wanted.next());
        self.movement.moves(if next.is_some() { Stage::Sending } else { Stage::Finishing });
        let Wanted { file, from_byte } = next?;
        let checkpoint = self.checkpoint.clone();
        let length = checkpoint.manifest().files.get(file)?.length_bytes;
        let read = self.blocking.run::<RT, _>(move || checkpoint.read(file, from_byte, PIECE_BYTES)).await;
        match read.unwrap_or_else(|error| Err(StorageError::Fatal(error.to_string()))) {
            Ok(data) => {
                let after = from_byte + data.len() as u64;
                self.present = (after < length).then_some(Wanted { file, from_byte: after });
                Some(frames::encode_piece(file, from_byte, &data))
            }
            Err(error) => {
                let _ = self.unread.set(error);
                None
            }
        }
    }
}
