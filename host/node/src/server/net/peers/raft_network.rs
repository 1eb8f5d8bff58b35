//! Raft's frames on the connections to the other members: votes, entries, snapshots, transfers.
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use synod_api::peer::SnapshotChunk;
use synod_consensus::{OutgoingSnapshot, Peer, PeerError, PeerNetwork};
use tokio::io::AsyncReadExt;
use tonic::Status;

use super::{CHUNK_BYTES, Peers};

/// Chunks of a snapshot that are read ahead of the network.
const CHUNKS_AHEAD: usize = 8;

impl PeerNetwork for Peers {
    async fn vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let answer = self.client(&peer.member.peer_address)?.vote(self.frame(peer.id, request)).await;
        answer.map(|frame| frame.into_inner().payload).map_err(peer_error)
    }

    async fn pre_vote(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let answer = self.client(&peer.member.peer_address)?.pre_vote(self.frame(peer.id, request)).await;
        answer.map(|frame| frame.into_inner().payload).map_err(peer_error)
    }

    async fn append(
        &self,
        peer: &Peer,
        requests: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, PeerError>>, PeerError> {
        let frames = self.frames(peer.id, requests);
        let answers =
            self.client(&peer.member.peer_address)?.append(frames).await.map_err(peer_error)?.into_inner();
        Ok(answers.map(|answer| answer.map(|frame| frame.payload).map_err(peer_error)).boxed())
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
        let mut client = self.client(&peer.member.peer_address)?;
        let (answer, read) = futures::join!(client.snapshot(chunks), reading);
        let answer = answer.map(|frame| frame.into_inner().payload).map_err(peer_error);
        read.map_err(|error| PeerError::Failed(format!("the snapshot cannot be read: {error}")))?;
        answer
    }

    async fn transfer_leader(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let answer =
            self.client(&peer.member.peer_address)?.transfer_leader(self.frame(peer.id, request)).await;
        answer.map(|frame| frame.into_inner().payload).map_err(peer_error)
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
        tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => {
            PeerError::Unreachable(message)
        }
        _ => PeerError::Failed(message),
    }
}
