//! Keeping the members: every member follows who they are; the leader has new addresses committed,
//! gives the vote of a lost member to the one in its place, and finishes what a leader before it
//! left unfinished.
//!
//! Everything follows from committed state and from what is seen now, again and again, so that a
//! leader that dies leaves nothing to remember.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_abi::MemberId;
use synod_consensus::{ChangeError, MemberInfo, Status};

use crate::server::net::roster::{Listed, Place, Roster};
use crate::server::ports::NodeRaft;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(100);
/// How long a change may take to be committed before it is looked at again.
const CHANGE_TIMEOUT: Duration = Duration::from_millis(5_000);

/// Keeps the members until the member ends.
pub(crate) async fn keep(raft: NodeRaft, roster: Arc<Roster>) {
    while raft.is_running() {
        let status = raft.status();
        roster.set_members(listed(&status));
        if raft.term_state().established_term().is_some() {
            lead(&raft, &roster, &status).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The members, as the roster has them.
pub(crate) fn listed(status: &Status) -> BTreeMap<MemberId, Listed> {
    let listed = |votes: bool| {
        move |(id, info): (&MemberId, &MemberInfo)| {
            let place = Place { peer: info.peer_address.clone(), clients: info.client_addresses.clone() };
            (*id, Listed { name: info.name.clone(), place, votes })
        }
    };
    status.voters.iter().map(listed(true)).chain(status.learners.iter().map(listed(false))).collect()
}

async fn lead(raft: &NodeRaft, roster: &Roster, status: &Status) {
    if status.is_changing {
        return said("finished changing the members", within(raft.finish_change()).await);
    }
    if let Some((id, moved)) = roster.moved().into_iter().next() {
        let info = MemberInfo {
            name: moved.name.clone(),
            peer_address: moved.place.peer.clone(),
            client_addresses: moved.place.clients,
        };
        let what = format!("member {} is at {} now", moved.name, moved.place.peer);
        return said(&what, within(raft.set_member(id, info)).await);
    }
    if let Some((lost, new)) = status.replaceable() {
        let name = &status.learners[&new].name;
        let what = format!("member {name} has caught up and has the vote of the lost one, {lost}");
        said(&what, within(raft.replace_voter(lost, new)).await);
    }
}

async fn within(change: impl Future<Output = Result<(), ChangeError>>) -> Result<(), String> {
    match tokio::time::timeout(CHANGE_TIMEOUT, change).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("no majority committed it in time".to_owned()),
    }
}

fn said(what: &str, result: Result<(), String>) {
    match result {
        Ok(()) => tracing::info!("{what}"),
        Err(error) => tracing::debug!(error, "not yet: {what}"),
    }
}
