//! The service of the cluster itself: its members and its leader, for clients that learn them.
use synod_api::v1::cluster_server;
use synod_api::v1::{
    DigestAtReply, DigestAtRequest, Member, MemberStatus, MembersReply, MembersRequest, Role, ScrubReply,
    ScrubRequest, StatusReply, StatusRequest,
};
use tonic::{Request, Response, Status};

use super::Served;

#[tonic::async_trait]
impl cluster_server::Cluster for Served {
    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        if !request.into_inner().local {
            self.0.ledger().statuses += 1;
        }
        let shared = &self.0.shared;
        let status = |(id, address): (u64, &std::net::SocketAddr)| MemberStatus {
            id,
            client_address: address.to_string(),
            reachable: true,
            role: if id == shared.leader_id { Role::Leader } else { Role::Follower }.into(),
            ..MemberStatus::default()
        };
        let members = (1..).zip(&shared.addresses).map(status).collect();
        let header = self.0.header();
        Ok(Response::new(StatusReply { header, leader_id: shared.leader_id, members }))
    }

    async fn members(&self, _request: Request<MembersRequest>) -> Result<Response<MembersReply>, Status> {
        let shared = &self.0.shared;
        let member = |(id, address): (u64, &std::net::SocketAddr)| Member {
            id,
            client_address: address.to_string(),
            votes: true,
            ..Member::default()
        };
        let members = (1..).zip(&shared.addresses).map(member).collect();
        let header = self.0.header();
        Ok(Response::new(MembersReply { header, leader_id: shared.leader_id, members }))
    }

    async fn scrub(&self, _request: Request<ScrubRequest>) -> Result<Response<ScrubReply>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn digest_at(&self, _request: Request<DigestAtRequest>) -> Result<Response<DigestAtReply>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }
}
