//! What the others in the list answered to a greeting, and what that means for forming a cluster.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use synod_abi::MemberId;
use synod_api::peer::HelloReply;
use synod_consensus::MemberInfo;
use tonic::{Code, Status};

use super::form::id_of;
use crate::server::net::identity::Identity;
use crate::server::net::peers::why;
use crate::server::net::roster::{Place, Roster};
use crate::server::peer::promise::two_lists;
use crate::settings::StartError;

/// Time until a member that does not answer is logged, and between two lines about such members.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// An answer, or why there is none.
type Answer = Result<HelloReply, Status>;

/// The answers, by the names in the list.
pub(super) struct Greeted(Vec<(String, Answer)>);

/// Logs whom a member waits for.
pub(super) struct Missing {
    logged: Instant,
}

impl Missing {
    /// Nobody was waited for yet.
    pub(super) fn new() -> Self {
        Self { logged: Instant::now() }
    }

    /// Logs who did not answer, and why, now and then.
    pub(super) fn say(&mut self, greeted: &Greeted) {
        let silent = |(name, answer): &(String, Answer)| {
            let status = answer.as_ref().err()?;
            Some(format!("{name} ({})", why(status)))
        };
        let missing = greeted.0.iter().filter_map(silent).collect::<Vec<_>>().join(", ");
        if !missing.is_empty() && self.logged.elapsed() >= LOG_INTERVAL {
            self.logged = Instant::now();
            tracing::info!(missing, "waiting for every member before the cluster is formed");
        }
    }
}

impl Greeted {
    /// Sorts answers.
    ///
    /// # Errors
    /// [`StartError::Usage`] if a member refuses this one, or another one answers.
    pub(super) fn of(answers: Vec<(String, Answer)>) -> Result<Self, StartError> {
        for (name, answer) in &answers {
            match answer {
                Ok(reply) if reply.name != *name => {
                    return Err(StartError::Usage(format!(
                        "at the address of member `{name}` in --peers is member `{}`: check --peers",
                        reply.name
                    )));
                }
                Err(status) if status.code() == Code::FailedPrecondition => {
                    return Err(refusal(name, status));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(Self(answers))
    }

    /// The answers that there are, whatever the others said: of a member that has its cluster.
    pub(super) fn lenient(answers: Vec<(String, Answer)>) -> Self {
        Self(answers)
    }

    /// The answers that there are.
    pub(super) fn replies(&self) -> impl Iterator<Item = &HelloReply> {
        self.0.iter().filter_map(|(_, answer)| answer.as_ref().ok())
    }

    /// Whether everybody answered.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().all(|(_, answer)| answer.is_ok())
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
