//! The leader's part in replacing a lost member: it adds the new one as a learner of the same name.
//!
//! That is committed, so whoever leads goes on from there: a learner of a voter's name that has
//! caught up takes the voter's place (see `duties::members`).
use std::sync::Arc;
use std::time::Duration;

use synod_abi::MemberId;
use synod_api::peer::{ReplaceReply, ReplaceRequest};
use synod_consensus::{ChangeError, MemberInfo, Status as RaftStatus};
use tonic::Status;

use super::hello::Greeter;
use crate::server::net::peers::Peers;
use crate::server::net::roster::Place;
use crate::server::ports::NodeRaft;

/// How long a change of the members may take to be committed.
const CHANGE_TIMEOUT: Duration = Duration::from_millis(4_000);

/// Takes new members in for lost ones.
pub(crate) struct Replacer {
    /// This member's consensus.
    pub(crate) raft: NodeRaft,
    /// The connections to the others.
    pub(crate) peers: Peers,
    /// Asks whether a member is lost.
    pub(crate) greeter: Arc<Greeter>,
}

impl Replacer {
    /// Adds `from` as a learner in place of the lost member that `request` names.
    ///
    /// # Errors
    /// `UNAVAILABLE` if this member does not lead or another change is under way,
    /// `ABORTED` if the other member is not lost, or not of that name.
    pub(crate) async fn replace(
        &self,
        from: MemberId,
        request: ReplaceRequest,
    ) -> Result<ReplaceReply, Status> {
        let ReplaceRequest { name, lost_id, place, .. } = request;
        let lost = MemberId(lost_id);
        let status = self.raft.status();
        if self.raft.term_state().established_term().is_none() {
            return Err(Status::unavailable("this member does not lead; ask the leader"));
        }
        let reply = ReplaceReply { last_log_index: status.last_log_index.unwrap_or_default() };
        if status.voters.contains_key(&from) || status.learners.contains_key(&from) {
            return Ok(reply);
        }
        check_lost(&status, &name, lost)?;
        let earlier: Vec<_> =
            status.learners.iter().filter(|(_, info)| info.name == name).map(|(id, _)| *id).collect();
        for id in earlier.iter().copied().chain([lost]) {
            self.check_silent(&name, id).await?;
        }
        let place = place.map(Place::from).unwrap_or_default();
        let info =
            MemberInfo { name: name.clone(), peer_address: place.peer, client_addresses: place.clients };
        let adding = tokio::time::timeout(CHANGE_TIMEOUT, self.raft.add_learner(from, info, earlier));
        match adding.await {
            Ok(Ok(())) => {
                tracing::info!(member = name, new = %from, %lost, "a lost member is being replaced");
                Ok(reply)
            }
            Ok(Err(error @ ChangeError::NotAMember(_))) => Err(Status::aborted(error.to_string())),
            Ok(Err(error)) => Err(Status::unavailable(error.to_string())),
            Err(_) => Err(Status::unavailable("a majority did not commit the new member in time")),
        }
    }

    /// Refuses if the member answers.
    async fn check_silent(&self, name: &str, id: MemberId) -> Result<(), Status> {
        if self.peers.greet(id, self.greeter.request(Some(id))).await.is_err() {
            return Ok(());
        }
        Err(Status::aborted(format!(
            "member `{name}` is not lost: the one with id {id} answers; stop it first"
        )))
    }
}

/// Checks that the voter `lost` has that name.
#[allow(clippy::result_large_err, reason = "tonic's own error type")]
fn check_lost(status: &RaftStatus, name: &str, lost: MemberId) -> Result<(), Status> {
    let holder = status.voters.iter().find(|(_, info)| info.name == name).map(|(id, _)| *id);
    if holder == Some(lost) {
        return Ok(());
    }
    Err(Status::aborted(match holder {
        Some(holder) => format!(
            "member `{name}` has the id {holder} now, and not {lost} any more: it was replaced already. Move \
                this folder away"
        ),
        None => format!("no member of this cluster is called `{name}`"),
    }))
}
