//! Replacing a leader whose process ended, as the node's duty of this name does: the kernel closes
//! its connections and refuses new ones, which the others see if the network lets them.
use futures::FutureExt;
use synod_abi::MemberId;

use crate::net::{Net, Site};
use crate::observe::Observer;
use crate::peers::{Live, Roster};

/// Has every member that runs find out that this one has ended.
pub fn tell(ended: MemberId, roster: &Roster, net: &Net, observer: &Observer) {
    let others = roster.all().clone();
    for (me, live) in others {
        let process = live.process.clone();
        let found_out = find_out(ended, me, live, roster.clone(), net.clone(), observer.clone());
        process.spawn(found_out.boxed());
    }
}

async fn find_out(ended: MemberId, me: MemberId, live: Live, roster: Roster, net: Net, observer: Observer) {
    let (here, there) = (Site::Member(me), Site::Member(ended));
    if net.pass(there, here).await.is_err() {
        return;
    }
    let now = live.raft.term_state();
    if now.leader != Some(ended) || net.pass(here, there).await.is_err() || roster.get(ended).is_some() {
        return;
    }
    if net.pass(there, here).await.is_ok() {
        observer.tell(here, format_args!("m{ended}, the leader of term {}, has ended", now.term));
        let _it_stops_too = live.raft.leader_ended(ended, now.term).await;
    }
}
