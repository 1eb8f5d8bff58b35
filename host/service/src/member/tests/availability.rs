//! What a member does that cannot do its work: it ends waits, gives commands back, and serves again
//! once it can.
use std::time::Duration;

use synod_machine::Caller;

use crate::Lease;
use crate::availability::{BEHIND_LIMIT, Problem, UNCONFIRMED_LIMIT};
use crate::failure::{CallFailure, UnavailableReason};
use crate::read::Consistency;
use crate::sessions::SessionKey;
use crate::testing::client::request;
use crate::testing::cluster::{Cluster, TIMEOUT, is_unavailable, look};
use crate::{Args, CallAnswer, QueryOptions};

const TTL_MS: u64 = 3_600_000;
const WAIT: (&str, &str, u64) = ("wait", "k", 0);
/// A probe that fails, and the pauses around it.
const NOTICED: Duration = Duration::from_secs(2);

/// A cluster of three whose members keep their availability, with a session.
fn ready() -> (Cluster, SessionKey) {
    let mut cluster = Cluster::ready(3);
    let key = cluster.open(1, 1, TTL_MS);
    for number in 1..=3 {
        let member = cluster.member(number);
        drop(cluster.node_sim(number).start(async move { member.keep_available().await }));
    }
    cluster.advance(NOTICED);
    (cluster, key)
}

fn problem(cluster: &Cluster, number: u64) -> Option<Problem> {
    cluster.member(number).standing().get().problem(false)
}

fn read(cluster: &mut Cluster, number: u64) -> Result<CallAnswer, CallFailure> {
    let mut read = cluster.start_get(number, QueryOptions::default());
    cluster.run();
    look(&mut read).expect("it is answered at once")
}

#[test]
fn a_member_that_is_cut_off_leaves_its_clients_and_serves_them_again_when_it_is_back() {
    let (mut cluster, key) = ready();
    assert_eq!(problem(&cluster, 2), None);
    let mut waits = cluster.start_request(2, key, request(1), WAIT);
    cluster.run();
    cluster.isolate(2);
    let mut queued = cluster.start_add(2, "k", 1);
    cluster.advance(UNCONFIRMED_LIMIT / 2);
    assert_eq!((look(&mut waits), problem(&cluster, 2)), (None, None), "an election takes as long");
    cluster.advance(UNCONFIRMED_LIMIT / 2 + NOTICED);
    assert_eq!(problem(&cluster, 2), Some(Problem::NoMajority));
    assert!(matches!(look(&mut waits), Some(Err(CallFailure::OutcomeUnknown(_)))));
    assert!(is_unavailable(look(&mut queued), UnavailableReason::NoLeader));
    assert!(is_unavailable(Some(read(&mut cluster, 2)), UnavailableReason::NoLeader));
    let member = cluster.member(2);
    let touched = cluster.wait(async move { member.touch(key, TIMEOUT).await });
    assert!(is_unavailable(Some(touched), UnavailableReason::NoLeader));

    let mut elsewhere = cluster.start_request(3, key, request(1), WAIT);
    cluster.run();
    assert_eq!(look(&mut elsewhere), None, "it waits on");
    cluster.reconnect(2);
    cluster.advance(NOTICED);
    assert_eq!(problem(&cluster, 2), None);
    let member = cluster.member(2);
    let touched = cluster.wait(async move { member.touch(key, TIMEOUT).await });
    assert_eq!(touched, Ok(Lease::Alive { ttl_ms: TTL_MS }));
}

#[test]
fn a_member_that_does_not_apply_answers_no_wait_and_refuses_reads_and_commands() {
    let (mut cluster, key) = ready();
    let mut waits = cluster.start_request(3, key, request(1), WAIT);
    cluster.run();
    cluster.hold_apply(3, true);
    cluster.advance(2 * BEHIND_LIMIT);
    assert_eq!(problem(&cluster, 3), None, "nothing was committed that it lacks");
    let mut given = cluster.start_plain(1, ("give", "k", 5));
    cluster.run();
    assert!(look(&mut given).is_some());
    cluster.advance(BEHIND_LIMIT + NOTICED);
    assert_eq!(problem(&cluster, 3), Some(Problem::Behind));
    assert!(matches!(look(&mut waits), Some(Err(CallFailure::OutcomeUnknown(_)))));
    assert!(is_unavailable(Some(read(&mut cluster, 3)), UnavailableReason::NotReady));
    let mut call = cluster.start_add(3, "k", 1);
    cluster.run();
    assert!(is_unavailable(look(&mut call), UnavailableReason::NotReady));
    cluster.hold_apply(3, false);
    cluster.advance(NOTICED);
    assert_eq!(problem(&cluster, 3), None);
    assert!(read(&mut cluster, 3).is_ok());
}

#[test]
fn what_waits_to_be_up_to_date_ends_when_its_member_cannot_be() {
    let (mut cluster, _) = ready();
    let later =
        |consistency, at_least_revision| QueryOptions { consistency, at_least_revision, session: None };
    let at_once = QueryOptions::default();
    let of_now = |cluster: &Cluster| cluster.member(1).applied().revision.get();
    let to_come = later(Consistency::Serializable, of_now(&cluster) + 1);
    cluster.isolate(2);
    let mut unknown = {
        let member = cluster.member(2);
        let args = Args::Json("{}".to_owned());
        cluster
            .sim
            .start(async move { member.call("nowhere", "add", args, Caller::default(), TIMEOUT).await })
    };
    let mut reads = [at_once, to_come].map(|options| cluster.start_get(2, options));
    cluster.advance(UNCONFIRMED_LIMIT + NOTICED);
    assert!(is_unavailable(look(&mut unknown), UnavailableReason::NoLeader));
    assert!(
        reads.each_mut().map(look).into_iter().all(|read| is_unavailable(read, UnavailableReason::NoLeader))
    );
    cluster.reconnect(2);
    cluster.advance(NOTICED);

    cluster.hold_apply(3, true);
    let mut given = cluster.start_plain(1, ("give", "k", 5));
    cluster.run();
    assert!(look(&mut given).is_some());
    let to_come = later(Consistency::Serializable, of_now(&cluster));
    let mut reads = [at_once, to_come].map(|options| cluster.start_get(3, options));
    cluster.advance(BEHIND_LIMIT + NOTICED);
    assert!(
        reads.each_mut().map(look).into_iter().all(|read| is_unavailable(read, UnavailableReason::NotReady))
    );
}

#[test]
fn a_leader_that_stays_without_a_majority_takes_nothing_in() {
    let (mut cluster, _) = ready();
    cluster.isolate(1);
    cluster.advance(UNCONFIRMED_LIMIT + NOTICED);
    let mut call = cluster.start_add(1, "k", 1);
    cluster.run();
    assert!(is_unavailable(look(&mut call), UnavailableReason::NoLeader));
}

#[test]
fn a_read_index_that_a_deposed_leader_owes_is_asked_of_the_next_one() {
    let (mut cluster, _) = ready();
    cluster.hold_commits(true);
    let member = cluster.member(3);
    let mut barrier = cluster.sim.start(async move { member.barrier(TIMEOUT).await });
    cluster.run();
    let asked = cluster.read_indexes_asked();
    cluster.elect(2);
    assert!(cluster.read_indexes_asked() > asked);
    cluster.hold_commits(false);
    cluster.run();
    assert_eq!(look(&mut barrier), Some(Ok(())));
}

#[test]
fn a_member_that_stops_leaves_its_waiting_clients_at_once() {
    let (mut cluster, key) = ready();
    let mut waits = cluster.start_request(2, key, request(1), WAIT);
    cluster.run();
    cluster.hold_commits(true);
    let _under_way = cluster.start_add(2, "k", 1);
    cluster.run();
    let member = cluster.member(2);
    let _down = cluster.sim.start(async move { member.shut_down(TIMEOUT).await });
    cluster.run();
    assert!(matches!(look(&mut waits), Some(Err(CallFailure::OutcomeUnknown(_)))));
    let member = cluster.member(2);
    let refused = cluster.wait(async move {
        member
            .call("counter", "add", Args::Json("{\"key\":\"k\",\"n\":1}".into()), Caller::default(), TIMEOUT)
            .await
    });
    assert!(is_unavailable(Some(refused), UnavailableReason::ShuttingDown));
}
