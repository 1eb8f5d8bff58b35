//! Who the members are: the leader gives the vote of a lost member to the one in its place, as the
//! node's duty of this name does.
use std::time::Duration;

use futures::FutureExt;
use synod_abi::MemberId;
use synod_consensus::MemberInfo;
use synod_world::Process;

use crate::net::Site;
use crate::observe::Observer;
use crate::peers::{Caller, Live, SimRaft};
use crate::runtime::within;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(100);
/// How often a new member asks for the log.
const JOINS_EVERY: Duration = Duration::from_millis(500);
/// How long a change may take to be committed before it is looked at again.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps the members, as long as the process lives.
pub async fn keep(process: Process, raft: SimRaft, observer: Observer) {
    while raft.is_running() {
        if raft.term_state().established_term().is_some() {
            lead(&process, &raft, &observer).await;
        }
        process.sleep(EVERY).await;
    }
}

async fn lead(process: &Process, raft: &SimRaft, observer: &Observer) {
    let status = raft.status();
    if status.is_changing {
        let _looked_at_again = within(process, CHANGE_TIMEOUT, raft.finish_change()).await;
    } else if let Some((lost, new)) = status.replaceable() {
        let replaced = within(process, CHANGE_TIMEOUT, raft.replace_voter(lost, new)).await;
        observer.tell(Site::Member(raft.id()), format_args!("m{new} votes for m{lost}: {replaced:?}"));
    }
}

/// A member with an empty disk asks whoever leads for the log, until it has a vote.
pub async fn join(caller: Caller, me: MemberId, info: MemberInfo) {
    loop {
        let leader = {
            let all = caller.roster.all();
            if all.get(&me).is_some_and(|live| live.raft.status().voters.contains_key(&me)) {
                return;
            }
            let leads = |live: &Live| live.raft.term_state().established_term().is_some();
            all.iter().find(|(_, live)| leads(live)).map(|(id, _)| *id)
        };
        if let Some(leader) = leader {
            let add = |live: Live| {
                let info = info.clone();
                async move {
                    let status = live.raft.status();
                    if status.voters.contains_key(&me) || status.learners.contains_key(&me) {
                        return Ok(());
                    }
                    live.raft.add_learner(me, info, Vec::new()).await
                }
                .boxed()
            };
            let _asked_again_until_it_votes = caller.request(leader, CHANGE_TIMEOUT, false, add).await;
        }
        caller.process.sleep(JOINS_EVERY).await;
    }
}
