//! A member that cannot do its work, and is named first: everything that clients do succeeds at
//! another one, soon, or fails in time with the true reason where no majority is left.
//!
//! One cluster for each fault, and all clients on it at once: some were connected to the member
//! before, as programs are that run; others come later, as commands do.
mod requests;

use std::time::Duration;

use synod_api::v1::Role;
use synod_kv::Kv;
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE, signal};
use synod_tests::dice::Dice;
use synod_tests::disk::{SmallDisk, length};
use synod_tests::proxy::Flow;
use synod_tests::wait::until;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use requests::{Connected, Holder, Needs, Outcome, PATIENCE_MS, begin, commands};

/// How long each may take: two seconds, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(5);
/// How long a client may take that gives up, beyond its patience.
const GIVES_UP_IN: Duration = Duration::from_millis(PATIENCE_MS + 3_000);
const LOCK: &str = "db";
/// A link on which the state takes seconds.
const SLOW: Flow = Flow::Narrow { bytes_per_second: 3_000_000 };
/// Descriptors beyond those that an idle member has: for its store, its peers, and some clients.
const SPARE: usize = 60;
/// Most connections that are tried to use up a member's descriptors.
const CROWD: usize = 1_000;
/// Values of 64 KiB each, not to be compressed, that make a state which takes a while to send.
const VALUES: usize = 256;

/// Who was there before the fault: one holds a lock through another member, one waits for it.
struct Clients {
    bad: usize,
    holder: Holder,
    connected: Connected,
}

impl Clients {
    async fn of(cluster: &Cluster, bad: usize) -> Self {
        let holder = Holder::at(cluster, (bad + 1) % 3, LOCK).await;
        Self { bad, holder, connected: Connected::to(cluster, bad, LOCK).await }
    }

    /// Everything that clients do, during the fault.
    async fn act(&mut self, cluster: &Cluster) -> Vec<Outcome> {
        let (mut outcomes, begun) =
            tokio::join!(self.connected.go_on(&self.holder), begin(cluster, self.bad));
        outcomes.extend(begun);
        outcomes.extend(commands(cluster, self.bad).await);
        outcomes
    }

    /// Everything succeeds.
    async fn are_served(&mut self, cluster: &Cluster) {
        let outcomes = self.act(cluster).await;
        let is_good = |outcome: &Outcome| {
            let is_known = outcome.result.is_ok()
                || outcome.what.ends_with("call without a session")
                    && outcome.result.as_ref().is_err_and(|error| error.contains("outcome unknown"));
            is_known && outcome.took < IN_TIME
        };
        let bad: Vec<_> = outcomes.iter().filter(|outcome| !is_good(outcome)).collect();
        assert!(bad.is_empty(), "{bad:#?}");
        assert!(!self.connected.is_lost());
    }

    /// After the fault: nothing is left of them, and the members agree.
    async fn leave(self, cluster: &Cluster) {
        cluster.ready().await;
        self.connected.close().await;
        self.holder.close().await;
        cluster.nothing_left().await;
        cluster.assert_equal_digests().await;
    }
}

async fn led_by(cluster: &Cluster, leads: bool) -> usize {
    let leader = cluster.leader().await;
    if leads { leader } else { (leader + 1) % 3 }
}

async fn with_one_stopped(leads: bool) {
    let cluster = Cluster::started(3, &[]).await;
    let mut clients = Clients::of(&cluster, led_by(&cluster, leads).await).await;
    cluster.pause(clients.bad);
    clients.are_served(&cluster).await;
    cluster.resume(clients.bad);
    clients.leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_a_follower_is_stopped() {
    with_one_stopped(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_the_leader_is_stopped() {
    with_one_stopped(true).await;
}

async fn with_one_cut_off(leads: bool) {
    let mut cluster = Cluster::with_proxies(3, &[], 1);
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready().await;
    let mut clients = Clients::of(&cluster, led_by(&cluster, leads).await).await;
    cluster.isolate(clients.bad);
    clients.are_served(&cluster).await;
    cluster.network().open_all();
    clients.leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_a_follower_is_cut_off_from_its_peers() {
    with_one_cut_off(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_the_leader_is_cut_off_from_its_peers() {
    with_one_cut_off(true).await;
}

async fn with_one_full(leads: bool) {
    let Some((cluster, disks)) = SmallDisk::cluster().await else { return };
    let mut clients = Clients::of(&cluster, led_by(&cluster, leads).await).await;
    disks[clients.bad].fill();
    clients.are_served(&cluster).await;
    disks[clients.bad].free();
    clients.leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_on_when_a_followers_disk_is_full() {
    with_one_full(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_on_when_the_leaders_disk_is_full() {
    with_one_full(true).await;
}

/// Connections that live, until the member takes no more of them.
async fn crowd(cluster: &Cluster, n: usize) -> Vec<Channel> {
    let address = format!("http://{}", cluster.members[n].client_address);
    let mut crowd = Vec::new();
    while crowd.len() < CROWD {
        let endpoint = Endpoint::from_shared(address.clone()).expect("an address").timeout(IN_TIME);
        let Ok(channel) = endpoint.connect().await else { break };
        if HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.is_err() {
            break;
        }
        crowd.push(channel);
    }
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_a_member_has_no_descriptors_left() {
    let mut cluster = Cluster::started(3, &[]).await;
    let bad = led_by(&cluster, false).await;
    let limit = cluster.descriptors(bad) + SPARE;
    cluster.stop(bad).await;
    cluster.wrap(bad, &["prlimit", &format!("--nofile={limit}:{limit}"), "--"]);
    cluster.start(bad);
    cluster.ready().await;
    let mut clients = Clients::of(&cluster, bad).await;
    let crowd = crowd(&cluster, bad).await;
    assert!(crowd.len() < CROWD, "the member takes any number of connections");
    clients.are_served(&cluster).await;
    drop(crowd);
    clients.leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_while_a_member_receives_a_state() {
    let mut cluster = Cluster::with_proxies(3, &["--snapshot-entries", "50", "--write-buffer-mib", "16"], 1);
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready().await;
    let bad = led_by(&cluster, false).await;
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    let mut dice = Dice::new(7);
    for n in 0..VALUES {
        let value: Vec<u8> = (0..64 * 1_024).map(|_| dice.below(256) as u8).collect();
        kv.put(format!("large {n}"), Blob::from(value)).await.expect("it is put");
    }
    let mut clients = Clients::of(&cluster, bad).await;
    cluster.kill(bad);
    cluster.wipe(bad);
    cluster.reach(bad, SLOW);
    cluster.start_with(bad, &["--replace-lost"]);
    let received = cluster.members[bad].data.join("snapshots/received");
    until("a part of the state to come", PATIENCE, || {
        std::future::ready((length(&received) > 0).then_some(()))
    })
    .await;
    cluster.reach(bad, Flow::Held);
    clients.are_served(&cluster).await;
    assert!(received.exists(), "the state has come meanwhile");
    cluster.reach(bad, Flow::Open);
    until("the member to have its vote", PATIENCE, || async {
        let role = cluster.status(bad).await?.role();
        matches!(role, Role::Follower | Role::Leader).then_some(())
    })
    .await;
    clients.leave(&cluster).await;
}

async fn with_one_that_stops(leads: bool) {
    let mut cluster = Cluster::started(3, &[]).await;
    let mut clients = Clients::of(&cluster, led_by(&cluster, leads).await).await;
    signal(cluster.process_id(clients.bad), libc::SIGTERM);
    clients.are_served(&cluster).await;
    assert!(cluster.exited(clients.bad).await.success());
    cluster.start(clients.bad);
    clients.leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_a_follower_stops() {
    with_one_that_stops(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_elsewhere_when_the_leader_stops() {
    with_one_that_stops(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_reads_of_one_member_succeed_and_all_else_fails_in_time_and_says_why() {
    let cluster = Cluster::started(3, &[]).await;
    let leader = cluster.leader().await;
    let survivor = (leader + 2) % 3;
    let mut clients = Clients::of(&cluster, leader).await;
    let stopped = [leader, (leader + 1) % 3];
    stopped.iter().for_each(|n| cluster.pause(*n));
    until("the survivor to notice", PATIENCE, || async {
        cluster.status(survivor).await?.problem.contains("majority").then_some(())
    })
    .await;
    let outcomes = clients.act(&cluster).await;
    let why = |outcome: &Outcome, error: &str| {
        let was_sent = outcome.what == "a call without a session" && error.contains("outcome unknown");
        was_sent || error.contains("1 of 3 members answers: no majority")
    };
    let is_good = |outcome: &Outcome| match &outcome.result {
        _ if outcome.took >= GIVES_UP_IN => false,
        Ok(()) => outcome.needs == Needs::OneMember,
        Err(error) => outcome.needs == Needs::Majority && why(outcome, error),
    };
    let bad: Vec<_> = outcomes.iter().filter(|outcome| !is_good(outcome)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    stopped.iter().for_each(|n| cluster.resume(*n));
    clients.leave(&cluster).await;
}
