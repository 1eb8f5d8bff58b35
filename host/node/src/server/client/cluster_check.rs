//! Refuses requests that name another cluster than this member's: its address has been another
//! member's, or the client's list mixes clusters.
use std::sync::Arc;

use synod_abi::Reason;
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;
use synod_api::{CLUSTER_METADATA, status_of_failure};
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};

use crate::server::net::identity::Identity;

/// Checks each request of a unary method, and each stream when it is opened.
#[derive(Clone)]
pub(super) struct ClusterCheck(pub(super) Arc<Identity>);

impl Interceptor for ClusterCheck {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let (Some(named), Some(ours)) = (request.metadata().get(CLUSTER_METADATA), self.0.cluster()) else {
            return Ok(request);
        };
        let ours = ours.to_string();
        if named.as_encoded_bytes() == ours.as_bytes() {
            return Ok(request);
        }
        let theirs = named.to_str().unwrap_or("another");
        Err(status_of_failure(&Failure {
            kind: Kind::Unavailable.into(),
            reason: Reason::WrongCluster.into(),
            message: format!(
                "member `{}` is of cluster {ours}, the request is for cluster {theirs}: check the addresses",
                self.0.name
            ),
            status_code: Code::Unavailable as u32,
            ..Failure::default()
        }))
    }
}

#[cfg(test)]
mod tests;
