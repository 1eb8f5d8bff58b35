//! Addresses in `--peers` at which the member is not that they name: the members that are started
//! with them say so, go on trying, and serve where they have a majority.
use std::net::TcpStream;

use synod_api::peer::peer_client::PeerClient;
use synod_api::peer::{Frame, HelloRequest, ReadIndexRequest, Route};
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::stranger::{Manner, NOWHERE};
use synod_tests::wait::until;
use tonic::Code;

/// Exit code of wrong usage.
const USAGE: i32 = 2;

/// Waits until member `asked` says in its status that another one has a problem with these words.
async fn says(cluster: &Cluster, asked: usize, name: &str, words: &str) {
    until(&format!("the status of {name} to say `{words}`"), PATIENCE, || async {
        let members = cluster.client_of(asked).await?.status(false).await.ok()?.members;
        let member = members.into_iter().find(|member| member.name == name)?;
        member.problem.contains(words).then_some(())
    })
    .await;
}

async fn logs(cluster: &Cluster, member: usize, words: &str) {
    until(&format!("member {member} to log `{words}`"), PATIENCE, || {
        std::future::ready(cluster.log(member).contains(words).then_some(()))
    })
    .await;
}

fn words_for(manner: Manner) -> &'static str {
    match manner {
        Manner::Web | Manner::Ssh => "speaks no HTTP/2",
        Manner::Silent | Manner::Resets => "does not answer",
    }
}

/// Waits until nobody listens at an address any more.
async fn gone_from(address: &str) {
    until("the address to be free", PATIENCE, || async {
        TcpStream::connect(address).is_err().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_form_say_who_is_at_an_address_instead_of_a_member_and_form_when_it_comes() {
    let mut cluster = Cluster::new(3, &["--bundled=false"]);
    cluster.start(0);
    cluster.start(1);
    let address = cluster.members[2].peer_address.clone();
    for manner in Manner::ALL {
        let stranger = manner.start_at(&address).await;
        says(&cluster, 0, "c", words_for(manner)).await;
        says(&cluster, 1, "c", words_for(manner)).await;
        if manner == Manner::Web {
            logs(&cluster, 0, "speaks no HTTP/2").await;
        }
        drop(stranger);
        gone_from(&address).await;
    }
    cluster.start(2);
    cluster.leader().await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_to_form_with_a_client_port_or_an_unknown_name_says_so() {
    let mut cluster = Cluster::new(2, &[]);
    let list = |cluster: &Cluster, other: &str| {
        let [a, b] = [&cluster.members[0], &cluster.members[1]];
        format!("a={},b={},c={other}", a.peer_address, b.peer_address)
    };
    cluster.start_among(1, &list(&cluster, NOWHERE), &[]);
    says(&cluster, 1, "c", "lookup").await;
    logs(&cluster, 1, "lookup").await;
    cluster.kill(1);
    let port_of_clients = cluster.members[0].client_address.clone();
    cluster.start_among(0, &list(&cluster, &port_of_clients), &[]);
    says(&cluster, 0, "c", "is it the port for clients?").await;
}

/// The same address in other characters.
fn spelled_otherwise(address: &str) -> String {
    address.replacen("127.", "0x7f.", 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_with_the_members_own_address_twice_is_refused() {
    let mut cluster = Cluster::new(2, &[]);
    let own = cluster.members[0].peer_address.clone();
    let again = spelled_otherwise(&own);
    for (list, words) in [
        (format!("a={own},b={own}"), "both have the address"),
        (format!("a={own},b={again}"), "at the address of member `b` in --peers is member `a`"),
    ] {
        cluster.start_among(0, &list, &[]);
        let status = cluster.exited(0).await;
        assert_eq!(status.code(), Some(USAGE), "{}", cluster.log(0));
        assert!(cluster.log(0).contains(words), "`{words}` is not in: {}", cluster.log(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_cluster_serves_whatever_its_list_says_of_the_others() {
    let mut cluster = Cluster::started(3, &[]).await;
    let web = Manner::Web.start().await;
    let [a, b, c] = [&cluster.members[0], &cluster.members[1], &cluster.members[2]];
    let (own, port_of_clients) = (b.peer_address.clone(), c.client_address.clone());
    let own_again = spelled_otherwise(&own);
    let theirs = a.peer_address.clone();
    let table = [
        (web.address.as_str(), port_of_clients.as_str(), &["speaks no HTTP/2", "the port for clients"][..]),
        (own_again.as_str(), theirs.as_str(), &["another member is at an address"][..]),
        (NOWHERE, port_of_clients.as_str(), &["the port for clients"][..]),
    ];
    for (of_a, of_c, lines) in table {
        cluster.stop(1).await;
        let before = cluster.log(1).len();
        cluster.start_among(1, &format!("a={of_a},b={own},c={of_c}"), &[]);
        cluster.ready().await;
        for line in lines {
            until(&format!("member b to log `{line}`"), PATIENCE, || {
                std::future::ready(cluster.log(1)[before..].contains(line).then_some(()))
            })
            .await;
        }
    }
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_serves_while_a_stranger_is_where_a_member_was_and_takes_it_back() {
    let mut cluster = Cluster::started(3, &[]).await;
    let address = cluster.members[2].peer_address.clone();
    for manner in Manner::ALL {
        cluster.kill(2);
        let stranger = manner.start_at(&address).await;
        let client = cluster.client().await;
        client.call_json("counter", "add", r#"{"key": "n", "by": 1}"#).await.expect("a majority serves");
        says(&cluster, 0, "c", words_for(manner)).await;
        drop(stranger);
        gone_from(&address).await;
        cluster.start(2);
        cluster.ready().await;
    }
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_another_cluster_or_for_another_member_is_refused_and_changes_nothing() {
    let cluster = Cluster::started(1, &[]).await;
    let status = cluster.status(0).await.expect("it answers");
    let route = |cluster_id: &[u8], to| Some(Route { cluster_id: cluster_id.to_vec().into(), from: 7, to });
    let (ours, other) = (status.cluster_id.clone(), [7; 16]);
    let wrong = [
        (route(&other, status.id), Code::FailedPrecondition),
        (route(&ours, status.id + 1), Code::FailedPrecondition),
        (route(b"short", status.id), Code::FailedPrecondition),
        (None, Code::FailedPrecondition),
    ];
    let address = format!("http://{}", cluster.members[0].peer_address);
    let mut peer = PeerClient::connect(address).await.expect("it listens");
    for (route, code) in wrong {
        let frame = Frame { route: route.clone(), payload: vec![0xff; 64].into(), sequence: 1 };
        let frames = || tokio_stream::iter([frame.clone()]);
        let vote = peer.vote(frame.clone()).await.expect_err("it is refused").code();
        let pre_vote = peer.pre_vote(frame.clone()).await.expect_err("it is refused").code();
        let offer = peer.offer_snapshot(frame.clone()).await.expect_err("it is refused").code();
        let snapshot = peer.send_snapshot(frames()).await.expect_err("it is refused").code();
        let transfer = peer.transfer_leader(frame.clone()).await.expect_err("it is refused").code();
        let append = match peer.append(frames()).await {
            Ok(answers) => answers.into_inner().message().await.expect_err("it is refused").code(),
            Err(status) => status.code(),
        };
        let read = peer.read_index(ReadIndexRequest { route: route.clone() }).await;
        let read = read.expect_err("it is refused").code();
        let seen = [vote, pre_vote, offer, snapshot, transfer, append, read];
        assert_eq!(seen, [code; 7], "{route:?}");
        if route.as_ref().is_none_or(|route| route.cluster_id != ours || route.to != status.id) {
            let hello = HelloRequest { route, ..HelloRequest::default() };
            assert_eq!(peer.hello(hello).await.expect_err("it is refused").code(), code);
        }
    }
    let right = Frame { route: route(&ours, status.id), payload: vec![0xff; 64].into(), sequence: 1 };
    peer.vote(right.clone()).await.expect_err("garbage of a member is no vote");
    peer.pre_vote(right.clone()).await.expect_err("garbage of a member is no vote");
    let after = cluster.status(0).await.expect("it answers");
    assert_eq!((after.term, after.leader_id), (status.term, status.leader_id));
    cluster.client().await.call_json("counter", "add", r#"{"key": "n", "by": 1}"#).await.expect("it serves");
}
