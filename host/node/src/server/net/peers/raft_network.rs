//! Raft's frames on the connections to the other members: votes, entries, snapshots, transfers.
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use synod_api::peer::Frame;
use synod_consensus::{Peer, PeerError, PeerNetwork};
use tonic::Status;

use super::{Peers, Way};

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

    async fn offer_snapshot(&self, peer: &Peer, header: Bytes) -> Result<Bytes, PeerError> {
        let mut way = self.way_to(peer)?;
        let answer = way.client.offer_snapshot(self.frame(peer.id, header)).await;
        way.noted(answer).map(|frame| frame.into_inner().payload).map_err(peer_error)
    }

    async fn send_snapshot(
        &self,
        peer: &Peer,
        frames: BoxStream<'static, Bytes>,
    ) -> Result<Bytes, PeerError> {
        let frames = self.frames(peer.id, frames);
        let mut way = self.way_to(peer)?;
        let answer = way.client.send_snapshot(frames).await;
        way.noted(answer).map(|frame| frame.into_inner().payload).map_err(peer_error)
    }

    async fn transfer_leader(&self, peer: &Peer, request: Bytes) -> Result<Bytes, PeerError> {
        let mut way = self.way_to(peer)?;
        let answer = way.client.transfer_leader(self.frame(peer.id, request)).await;
        way.noted(answer).map(|frame| frame.into_inner().payload).map_err(peer_error)
    }
}

fn peer_error(status: Status) -> PeerError {
    let message = status.message().to_owned();
    match status.code() {
        tonic::Code::Unavailable
        | tonic::Code::DeadlineExceeded
        | tonic::Code::Cancelled
        | tonic::Code::ResourceExhausted => PeerError::Unreachable(message),
        tonic::Code::DataLoss => PeerError::BadSnapshot(message),
        _ => PeerError::Failed(message),
    }
}
