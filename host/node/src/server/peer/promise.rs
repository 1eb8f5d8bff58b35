//! A member's promise to a cluster that is to be formed: to this list of members and this id, and
//! to no other. It is on disk before it is given, so that whoever collected all promises may form
//! the cluster, whatever crashes then.
use std::sync::Arc;

use synod_abi::ClusterId;
use synod_api::peer::{PromiseRequest, Route};
use synod_storage::{IdentityFile, Joined, StorageError};
use tonic::Status;

use crate::server::net::identity::Identity;
use crate::server::net::roster::Roster;
use crate::settings::KillPoint;

/// Gives this member's promise.
pub(crate) struct Promiser {
    /// Whose folder it is.
    pub(crate) file: Arc<IdentityFile>,
    /// Who this member is.
    pub(crate) identity: Arc<Identity>,
    /// The list that it was started with.
    pub(crate) roster: Arc<Roster>,
    /// Whether it waits for a cluster that was formed before.
    pub(crate) replaces: bool,
    /// For tests.
    pub(crate) crash_at: KillPoint,
}

impl Promiser {
    /// Promises this member to the cluster that `request` names.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if it has another list or is promised to another cluster.
    pub(crate) async fn promise(&self, request: PromiseRequest) -> Result<(), Status> {
        let PromiseRequest { route, peers } = request;
        let cluster = self.addressed(route)?;
        if peers != self.roster.lines() {
            return Err(Status::failed_precondition(two_lists(&peers, &self.roster.lines())));
        }
        if self.replaces && self.identity.cluster().is_none() {
            return Err(Status::failed_precondition(
                "this member was started with --replace-lost, and so takes part in forming no cluster",
            ));
        }
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.join(cluster, Joined::Formed(peers))).await;
        match written.map_err(|error| Status::internal(error.to_string()))? {
            Ok(()) => {}
            Err(StorageError::Unusable(why)) => return Err(Status::failed_precondition(why)),
            Err(error) => return Err(Status::unavailable(error.to_string())),
        }
        self.crash_at.reach("promised");
        self.identity.joined(cluster);
        Ok(())
    }

    #[allow(clippy::result_large_err, reason = "tonic's own error type")]
    fn addressed(&self, route: Option<Route>) -> Result<ClusterId, Status> {
        let (_, cluster) = self
            .identity
            .check_greeting(route.as_ref().filter(|route| route.to == self.identity.me.0))
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        cluster.ok_or_else(|| Status::invalid_argument("a promise to no cluster"))
    }
}

/// Two members have different lists.
pub(crate) fn two_lists(theirs: &[String], ours: &[String]) -> String {
    format!(
        "another member was started with --peers {}, this one with --peers {}: a cluster is formed by \
            members that have the same list",
        theirs.join(","),
        ours.join(",")
    )
}
