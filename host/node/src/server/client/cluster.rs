//! `synod.v1.Cluster`: members, status, digests and scrubs.
use std::sync::Arc;
use std::time::Duration;

use synod_api::v1::cluster_server::Cluster;
use synod_api::v1::{
    DigestAtReply, DigestAtRequest, MembersReply, MembersRequest, ScrubReply, ScrubRequest, StatusReply,
    StatusRequest,
};
use tonic::{Request, Response, Status};

use super::Front;
use crate::server::peer::status::Reporter;

/// Longest wait for an entry.
const DIGEST_WAIT: Duration = Duration::from_secs(60);

/// Members, status, digests and scrubs.
pub(crate) struct ClusterService {
    /// What every service needs.
    pub(crate) front: Front,
    /// Reports the status of members.
    pub(crate) reporter: Arc<Reporter>,
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let members =
            if request.into_inner().local { vec![self.reporter.own()] } else { self.reporter.all().await };
        let leader_id = self.reporter.leader_id();
        Ok(Response::new(StatusReply { header: Some(self.front.present_header()), leader_id, members }))
    }

    async fn members(&self, _request: Request<MembersRequest>) -> Result<Response<MembersReply>, Status> {
        let (leader_id, members) = (self.reporter.leader_id(), self.reporter.members());
        Ok(Response::new(MembersReply { header: Some(self.front.present_header()), leader_id, members }))
    }

    async fn scrub(&self, request: Request<ScrubRequest>) -> Result<Response<ScrubReply>, Status> {
        let scrubs = self.reporter.scrub(request.into_inner().local).await;
        Ok(Response::new(ScrubReply { header: Some(self.front.present_header()), scrubs }))
    }

    async fn digest_at(&self, request: Request<DigestAtRequest>) -> Result<Response<DigestAtReply>, Status> {
        let DigestAtRequest { index, wait_ms } = request.into_inner();
        let applied = self.front.member.applied();
        let wait = Duration::from_millis(wait_ms).min(DIGEST_WAIT);
        if tokio::time::timeout(wait, applied.index.reach(index)).await.is_err() {
            let message = format!(
                "entry {index} is not applied here yet, the last one is {}; wait longer",
                applied.index.get()
            );
            return Err(Status::out_of_range(message));
        }
        let digest = applied.digest_at(index).ok_or_else(|| {
            Status::not_found(format!(
                "the digests after entry {index} are not kept any more, only the last {}",
                synod_service::DIGESTS
            ))
        })?;
        let chain_digest = digest.chain.to_vec();
        let state_digest = digest.state.to_vec();
        Ok(Response::new(DigestAtReply {
            header: Some(self.front.present_header()),
            index,
            chain_digest,
            state_digest,
        }))
    }
}
