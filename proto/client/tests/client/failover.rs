//! Calls and queries outside of sessions when members fail: what is tried again, where, and what is
//! not.
use std::time::{Duration, Instant};

use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Error, Options};

use crate::cluster::{Calls, Cluster, FIRST_REVISION, vacant_address};

/// Starts members that do this with calls; ids count from 1, and `leader` is one of them or 0.
async fn cluster(calls: &[Calls], leader: u64) -> Cluster {
    let cluster = Cluster::with_leader(calls.len(), leader).await;
    for (member, calls) in cluster.members.iter().zip(calls) {
        member.calls(*calls);
    }
    cluster
}

fn options(learn_members: bool) -> Options {
    let policy = Policy { give_up_ms: 3_000, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    Options {
        learn_members,
        policy,
        member_backoff: Backoff { base_ms: 20, max_ms: 100 },
        ..Options::default()
    }
}

async fn client(cluster: &Cluster, learn_members: bool) -> Client {
    Client::connect_with(cluster.endpoints(), options(learn_members)).await.expect("it connects")
}

#[tokio::test]
async fn many_calls_are_in_flight_at_once_and_each_gets_its_answer() {
    let cluster = cluster(&[Calls::ServeAny], 1).await;
    let client = client(&cluster, true).await;
    let answers = futures::future::join_all((0..500).map(|n| {
        let client = client.clone();
        async move { (n, client.call_json("s", "o", &n.to_string()).await.expect("echo").value) }
    }));
    assert!(answers.await.into_iter().all(|(n, answer)| answer == n.to_string()));
}

#[tokio::test]
async fn calls_go_to_the_leader_whichever_member_was_named() {
    let cluster = cluster(&[Calls::ServeAny; 3], 3).await;
    let client = synod_client::connect(cluster.members[0].address.to_string()).await.expect("it answers");
    let answer = client.call_json("s", "o", "1").await.expect("echo");
    assert_eq!((answer.member_id, answer.revision), (3, FIRST_REVISION));
    assert_eq!((cluster.members[0].received(), cluster.members[2].received()), (0, 1));
}

#[tokio::test]
async fn connecting_does_not_wait_for_the_status_of_all_members() {
    let cluster = cluster(&[Calls::ServeAny; 3], 3).await;
    let client = synod_client::connect(cluster.members[0].address.to_string()).await.expect("it answers");
    assert_eq!(client.addresses().len(), 3);
    assert_eq!(cluster.ledger().statuses, 0);
}

#[tokio::test]
async fn what_is_surely_not_applied_is_tried_on_the_next_member() {
    let cluster = cluster(&[Calls::NoLeader, Calls::ServeAny], 0).await;
    let client = client(&cluster, false).await;
    assert_eq!(client.call_json("s", "o", "1").await.expect("the second answers").member_id, 2);
    assert_eq!(cluster.members[0].received(), 1);
}

#[tokio::test]
async fn a_member_whose_disk_is_full_is_passed_over_at_once() {
    let cluster = cluster(&[Calls::DiskFull, Calls::DiskFull, Calls::ServeAny], 1).await;
    let client = client(&cluster, false).await;
    let began = Instant::now();
    assert_eq!(client.call_json("s", "o", "1").await.expect("the third answers").member_id, 3);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_call_to_a_cluster_that_is_wholly_full_soon_ends_and_says_so() {
    let cluster = cluster(&[Calls::DiskFull; 3], 1).await;
    let client = client(&cluster, true).await;
    let began = Instant::now();
    let refused = client.call_json("s", "o", "1").await.expect_err("nobody has space");
    assert!(matches!(&refused, Error::Unavailable(why) if why == "DISK_FULL"), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let asked = cluster.members.iter().map(|member| member.received());
    assert!(asked.min() >= Some(2), "everybody was asked more than once");
    cluster.members[1].calls(Calls::ServeAny);
    assert_eq!(client.call_json("s", "o", "1").await.expect("there is space again").member_id, 2);
}

#[tokio::test]
async fn a_member_that_is_down_is_passed_over() {
    let cluster = cluster(&[Calls::ServeAny; 2], 0).await;
    let down = vacant_address().await;
    let client = Client::connect_with(format!("{down},{}", cluster.members[1].address), options(false))
        .await
        .expect("nobody is contacted");
    assert_eq!(client.call_json("s", "o", "1").await.expect("the second answers").member_id, 2);
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_never_sent_again() {
    let cluster = cluster(&[Calls::HangUp, Calls::ServeAny], 0).await;
    let client = client(&cluster, false).await;
    let error = client.call_json("s", "o", "1").await.expect_err("the stream ends");
    assert!(matches!(&error, Error::OutcomeUnknown(_)), "{error}");
    assert_eq!((cluster.members[0].received(), cluster.members[1].received()), (1, 0));
    assert_eq!(client.call_json("s", "o", "2").await.expect("the next call goes elsewhere").member_id, 2);
}

#[tokio::test]
async fn a_query_whose_answer_is_lost_is_asked_again_and_never_of_an_older_state() {
    let cluster = cluster(&[Calls::HangUp, Calls::ServeAny], 0).await;
    let client = client(&cluster, false).await;
    let consistency = synod_client::api::Consistency::Linearizable;
    let answer = client.query_json("s", "q", "{}", consistency).await.expect("the second answers");
    assert_eq!((answer.member_id, answer.revision), (2, FIRST_REVISION));
    client.query_json("s", "q", "{}", consistency).await.expect("again");
    let at_least: Vec<u64> = cluster.ledger().asked.iter().map(|context| context.at_least_revision).collect();
    let (before, after) = at_least.split_at(2);
    assert_eq!(before, [0, 0]);
    assert!(!after.is_empty() && after.iter().all(|revision| *revision == FIRST_REVISION), "{after:?}");
}

#[tokio::test]
async fn a_refusal_is_told_at_once() {
    let cluster = cluster(&[Calls::Reject, Calls::ServeAny], 0).await;
    let client = client(&cluster, false).await;
    let error = client.call_json("s", "o", "1").await.expect_err("refused");
    assert!(matches!(&error, Error::Refused(refused) if refused.reason == "UNKNOWN_SPACE"), "{error}");
    assert_eq!((cluster.members[0].received(), cluster.members[1].received()), (1, 0));
}

#[tokio::test]
async fn when_nobody_answers_it_is_unavailable_within_the_time() {
    let down = vacant_address().await;
    let policy = Policy { give_up_ms: 200, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    let began = std::time::Instant::now();
    let result = Client::connect_with(down.to_string(), Options { policy, ..options(true) }).await;
    let error = result.err().expect("nobody is there");
    assert!(matches!(&error, Error::Unavailable(why) if why.contains(&down.to_string())), "{error}");
    assert!(began.elapsed().as_millis() < 2_000, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_and_harms_no_other() {
    let cluster = cluster(&[Calls::ServeAny], 1).await;
    let client = client(&cluster, false).await;
    let large = "1".repeat(synod_api::REQUEST_BYTES + 1);
    let (refused, fine) = tokio::join!(client.call_json("s", "o", &large), client.call_json("s", "o", "1"));
    assert!(matches!(&refused, Err(Error::Refused(refusal)) if refusal.reason == "REQUEST_TOO_LARGE"));
    assert_eq!(fine.expect("echo").value, "1");
}
