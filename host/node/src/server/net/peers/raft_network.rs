//! Raft's frames on the connections to the other members: votes, entries, snapshots, transfers.
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use synod_api::peer::{Frame, SnapshotChunk};
use synod_consensus::{OutgoingSnapshot, Peer, PeerError, PeerNetwork};
use tokio::io::AsyncReadExt;
use tonic::Status;

use super::{CHUNK_BYTES, Peers, Way};

/// Chunks of a snapshot that are read ahead of the network.
const CHUNKS_AHEAD: usize = 8;

impl Peers {
    fn way_to(&self, peer: &Peer) -> Result<Way, PeerError> {
        self.way(peer.id, Some(&peer.member.peer_address))
    }
}

impl PeerNetwork for Peers {
    async fn vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let mut way = self.way_to(peer)?;
        let answer = way.client.vote(self.frame(peer.id, request)).await;
        way.noted(answer).map(|frame| frame.into_inner().payload).map_err(peer_error)
    }

    async fn pre_vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let mut way = self.way_to(peer)?;
        let answer = way.client.pre_vote(self.frame(peer.id, request)).await;
        way.noted(answer).map(|frame| frame.into_inner().payload).map_err(peer_error)
    }

    async fn append(
        &self,
        peer: &Peer,
        requests: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, PeerError>>, PeerError> {
        let frames = self.frames(peer.id, requests);
        let mut way = self.way_to(peer)?;
        let answers = way.client.append(frames).await;
        let answers = way.noted(answers).map_err(peer_error)?.into_inner();
        let payload = move |answer: Result<Frame, Status>| match answer {
            Ok(frame) => Ok(frame.payload),
            Err(status) => way.noted(Err(status)).map_err(peer_error),
        };
        Ok(answers.map(payload).boxed())
    }

    async fn snapshot(
        &self,
        peer: &Peer,
        header: Bytes,
        snapshot: OutgoingSnapshot,
    ) -> Result<Bytes, PeerError> {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let route = self.identity.route(peer.id);
        let first = SnapshotChunk {
            route: Some(route),
            header,
            total_bytes: snapshot.file.length_bytes,
            ..SnapshotChunk::default()
        };
        let reading = read_chunks(first, snapshot, sender);
        let mut way = self.way_to(peer)?;
        let (answer, read) = futures::join!(way.client.snapshot(chunks), reading);
        let answer = way.noted(answer).map(|frame| frame.into_inner().payload).map_err(peer_error);
        read.map_err(|error| PeerError::Failed(format!("the snapshot cannot be read: {error}")))?;
        answer
    }

    async fn transfer_leader(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let mut way = self.way_to(peer)?;
        let answer = way.client.transfer_leader(self.frame(peer.id, request)).await;
        way.noted(answer).map(|frame| frame.into_inner().payload).map_err(peer_error)
    }
}

/// Reads the file into `sender`, chunk by chunk; stops early when nobody receives any more.
async fn read_chunks(
    first: SnapshotChunk,
    snapshot: OutgoingSnapshot,
    mut sender: mpsc::Sender<SnapshotChunk>,
) -> std::io::Result<()> {
    use futures::SinkExt;
    let mut file = tokio::fs::File::open(&snapshot.file.path).await?;
    let mut chunk = first;
    let mut offset = 0;
    loop {
        let mut data = Vec::with_capacity(CHUNK_BYTES);
        let length = (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut data).await? as u64;
        (chunk.offset, chunk.crc32) = (offset, crc32fast::hash(&data));
        offset += length;
        (chunk.data, chunk.last) = (data.into(), offset >= snapshot.file.length_bytes || length == 0);
        let last = chunk.last;
        if sender.send(chunk).await.is_err() || last {
            return Ok(());
        }
        chunk = SnapshotChunk::default();
    }
}

fn peer_error(status: Status) -> PeerError {
    let message = status.message().to_owned();
    match status.code() {
        tonic::Code::Unavailable
        | tonic::Code::DeadlineExceeded
        | tonic::Code::Cancelled
        | tonic::Code::ResourceExhausted => PeerError::Unreachable(message),
        _ => PeerError::Failed(message),
    }
}
