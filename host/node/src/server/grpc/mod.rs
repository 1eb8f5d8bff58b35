//! The client port: the services of `proto/v1/synod.proto`. They translate between prost types and the service crate's, which
//! no prost type passes, and decide nothing.
mod cluster;
mod convert;
mod recipes;
mod space_admin;
mod spaces;

use std::sync::Arc;
use std::time::Duration;

use synod_abi::{Revision, Time};
use synod_api::status_of_failure;
use synod_api::v1::Header;
use synod_service::CallFailure;
use tonic::{Request, Status};

use super::identity::Identity;
use super::member::{NodeMember, NodeRaft, NodeState};

pub(crate) use cluster::ClusterService;
pub(crate) use recipes::RecipesService;
pub(crate) use space_admin::SpaceAdminService;
pub(crate) use spaces::SpacesService;

/// What every service of the client port stands on.
#[derive(Clone)]
pub(crate) struct Front {
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// Its logic.
    pub(crate) member: NodeMember,
    /// Its consensus, for the term.
    pub(crate) raft: NodeRaft,
    /// Its rows, for schemas.
    pub(crate) state: NodeState,
    /// How long a call may wait.
    pub(crate) call_timeout: Duration,
    /// Whether an install may replace.
    pub(crate) replace: bool,
}

impl Front {
    fn header(&self, revision: Revision, time: Time) -> Header {
        Header {
            cluster_id: self.identity.cluster().map(|cluster| cluster.0.to_vec()).unwrap_or_default(),
            member_id: self.identity.me.0,
            term: self.raft.leadership().current().term,
            revision: revision.0,
            time_ms: time.0,
        }
    }

    fn present_header(&self) -> Header {
        self.header(Revision(self.member.applied().revision.get()), self.member.applied().time())
    }

    /// The status of a failed unary call.
    fn status(&self, failure: CallFailure) -> Status {
        status_of_failure(&convert::failure(self, failure))
    }

    /// How long `request` may wait: as long as its client says, but not longer than this member's limit.
    fn timeout<T>(&self, request: &Request<T>) -> Duration {
        let asked = request.metadata().get("grpc-timeout").and_then(|value| convert::grpc_timeout(value.to_str().ok()?));
        asked.map_or(self.call_timeout, |asked| asked.min(self.call_timeout))
    }
}
