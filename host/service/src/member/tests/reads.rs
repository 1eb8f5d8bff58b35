//! Reads: what they wait for, and what they share.
use std::time::Duration;

use crate::failure::{CallFailure, Reason, UnavailableReason, Value};
use crate::member::QueryOptions;
use crate::read::Consistency;
use crate::testing::cluster::{Cluster, Pending, TIMEOUT, is_unavailable, look};
use crate::testing::recipe;
use crate::{Args, CallAnswer};

fn value(pending: &mut Pending<CallAnswer>) -> Option<Value> {
    look(pending).map(|result| result.expect("a result").value)
}

fn json(text: &str) -> Option<Value> {
    Some(Value::Json(text.into()))
}

#[test]
fn a_query_of_what_is_not_there_is_rejected_with_its_reason() {
    let mut cluster = Cluster::ready(1);
    let cases = [
        ("Counter!", "get", Reason::InvalidName),
        ("nowhere", "get", Reason::UnknownSpace),
        ("counter", "got", Reason::UnknownQuery),
    ];
    for (space, query, reason) in cases {
        let member = cluster.member(1);
        let result = cluster.wait(async move {
            let args = Args::Json("{\"key\":\"k\"}".into());
            member.query(space, query, args, QueryOptions::default(), TIMEOUT).await
        });
        let Err(CallFailure::Rejected(rejected)) = result else { panic!("{space}.{query} is rejected") };
        assert_eq!(rejected.reason, reason, "{space}.{query}");
    }
}

const LOCAL: QueryOptions =
    QueryOptions { consistency: Consistency::Serializable, at_least_revision: 0, session: None };

#[test]
fn reads_that_arrive_while_a_read_index_is_asked_for_share_the_next() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_commits(true);
    let asked = cluster.read_indexes_asked();
    let mut pending = vec![cluster.start_get(2, QueryOptions::default())];
    cluster.run();
    pending.extend((0..50).map(|_| cluster.start_get(2, QueryOptions::default())));
    cluster.run();
    assert_eq!(cluster.read_indexes_asked(), asked + 1);
    cluster.hold_commits(false);
    cluster.run();
    assert_eq!(cluster.read_indexes_asked(), asked + 2);
    assert!(pending.iter_mut().all(|one| value(one) == json("\"0\"")));
}

#[test]
fn a_linearizable_read_on_a_lagging_member_waits_and_a_serializable_one_does_not() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(2, true);
    let mut add = cluster.start_add(1, "k", 5);
    cluster.run();
    assert_eq!(value(&mut add), json("\"5\""));
    let (mut fresh, mut local) = (cluster.start_get(2, QueryOptions::default()), cluster.start_get(2, LOCAL));
    cluster.run();
    assert_eq!(value(&mut local), json("\"0\""));
    assert_eq!(value(&mut fresh), None);
    cluster.hold_apply(2, false);
    cluster.run();
    assert_eq!(value(&mut fresh), json("\"5\""));
}

#[test]
fn a_serializable_read_waits_for_the_revision_it_asks_for() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(2, true);
    let mut add = cluster.start_add(1, "k", 5);
    cluster.run();
    let revision = look(&mut add).expect("an answer").expect("a sum").revision.0;
    let mut read = cluster.start_get(2, QueryOptions { at_least_revision: revision, ..LOCAL });
    cluster.run();
    assert_eq!(value(&mut read), None);
    cluster.hold_apply(2, false);
    cluster.run();
    assert_eq!(value(&mut read), json("\"5\""));
}

#[test]
fn a_revision_that_the_cluster_has_not_reached_is_rejected() {
    let mut cluster = Cluster::ready(2);
    for consistency in [Consistency::Serializable, Consistency::Linearizable] {
        let mut read =
            cluster.start_get(2, QueryOptions { consistency, at_least_revision: 1_000, session: None });
        cluster.run();
        let Some(Err(CallFailure::Rejected(rejected))) = look(&mut read) else { panic!("a rejection") };
        assert_eq!(rejected.reason, Reason::RevisionNotReached);
    }
}

#[test]
fn without_a_leader_only_serializable_reads_are_answered() {
    let mut cluster = Cluster::ready(3);
    cluster.depose();
    let (mut fresh, mut local) = (cluster.start_get(2, QueryOptions::default()), cluster.start_get(2, LOCAL));
    cluster.advance(TIMEOUT + Duration::from_secs(1));
    assert!(is_unavailable(look(&mut fresh), UnavailableReason::Deadline));
    assert_eq!(value(&mut local), json("\"0\""));
}

#[test]
fn an_answer_in_postcard_carries_the_revision_of_the_state_it_read() {
    let mut cluster = Cluster::ready(2);
    let mut add = cluster.start_add(2, "k", 41);
    cluster.run();
    let added = look(&mut add).expect("an answer").expect("a sum");
    let member = cluster.member(2);
    let args = Args::Postcard { bytes: synod_abi::encode("k"), signature: recipe::GET_SIGNATURE };
    let read = cluster.wait(async move {
        member.query("counter", "get", args, QueryOptions::default(), TIMEOUT).await.map(|(answer, _)| answer)
    });
    let read = read.expect("a result");
    assert_eq!(read.value, Value::Postcard(synod_abi::encode(&41_u64)));
    assert_eq!((read.revision, read.time), (added.revision, added.time));
}
