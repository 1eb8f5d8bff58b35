//! What the others in the list answered to a greeting, and what that means for forming a cluster.
use std::collections::BTreeMap;

use synod_abi::MemberId;
use synod_api::peer::HelloReply;
use synod_consensus::MemberInfo;
use tonic::{Code, Status};

use super::form::id_of;
use crate::server::net::identity::Identity;
use crate::server::net::roster::{Place, Roster};
use crate::server::peer::promise::two_lists;
use crate::settings::StartError;

/// The answers, by the names in the list; `None` from those that did not answer.
pub(super) struct Greeted(Vec<(String, Option<HelloReply>)>);

impl Greeted {
    /// Sorts answers.
    ///
    /// # Errors
    /// [`StartError::Usage`] if a member refuses this one, or another one answers.
    pub(super) fn of(answers: Vec<(String, Result<HelloReply, Status>)>) -> Result<Self, StartError> {
        let mut sorted = Vec::with_capacity(answers.len());
        for (name, answer) in answers {
            let reply = match answer {
                Ok(reply) if reply.name != name => {
                    return Err(StartError::Usage(format!(
                        "at the address of member `{name}` in --peers is member `{}`: check --peers",
                        reply.name
                    )));
                }
                Ok(reply) => Some(reply),
                Err(status) if status.code() == Code::FailedPrecondition => {
                    return Err(refusal(&name, &status));
                }
                Err(_) => None,
            };
            sorted.push((name, reply));
        }
        Ok(Self(sorted))
    }

    /// The answers that there are, whatever the others said: of a member that has its cluster.
    pub(super) fn lenient(answers: Vec<(String, Result<HelloReply, Status>)>) -> Self {
        Self(answers.into_iter().map(|(name, answer)| (name, answer.ok())).collect())
    }

    /// The answers that there are.
    pub(super) fn replies(&self) -> impl Iterator<Item = &HelloReply> {
        self.0.iter().filter_map(|(_, reply)| reply.as_ref())
    }

    /// Whether everybody answered.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().all(|(_, reply)| reply.is_some())
    }

    /// Logs who did not answer, once in so many rounds.
    pub(super) fn say_missing(&self, round: u32, rounds_per_line: u32) {
        let silent = self.0.iter().filter(|(_, reply)| reply.is_none());
        let missing = silent.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        if !missing.is_empty() && round % rounds_per_line == rounds_per_line - 1 {
            tracing::info!(missing, "waiting for every member before the cluster is formed");
        }
    }
}

/// Checks that everybody was started with the same list.
///
/// # Errors
/// [`StartError::Usage`] that names both lists.
pub(super) fn same_lists(ours: &[String], greeted: &Greeted) -> Result<(), StartError> {
    match greeted.replies().find(|reply| reply.peers != ours) {
        None => Ok(()),
        Some(reply) => {
            Err(StartError::Usage(format!("member `{}`: {}", reply.name, two_lists(&reply.peers, ours))))
        }
    }
}

/// The members of the cluster that is to be formed.
///
/// # Errors
/// [`StartError::Usage`] if two of them have one id: one's folder is a copy of another's.
pub(super) fn members_of(
    roster: &Roster,
    identity: &Identity,
    greeted: &Greeted,
) -> Result<BTreeMap<MemberId, MemberInfo>, StartError> {
    let info = |name: &str, place: Place| MemberInfo {
        name: name.to_owned(),
        peer_address: place.peer,
        client_addresses: place.clients,
    };
    let mut members = BTreeMap::from([(identity.me, info(&identity.name, roster.own().clone()))]);
    for reply in greeted.replies() {
        let id = id_of(reply).ok_or_else(|| StartError::fatal("a member without an id answered"))?;
        let place = reply.place.clone().map(Place::from).unwrap_or_default();
        if let Some(other) = members.insert(id, info(&reply.name, place)) {
            return Err(StartError::Usage(format!(
                "members `{}` and `{}` have the same id, {id}: the folder of one is a copy of the other's",
                other.name, reply.name
            )));
        }
    }
    Ok(members)
}

/// A member refuses this one.
pub(super) fn refusal(name: &str, status: &Status) -> StartError {
    StartError::Usage(format!("member `{name}` refuses this one: {}", status.message()))
}
