//! What a member refuses to start with: it says why, and changes nothing.
use synod_client::Error;
use synod_client::api::Consistency;
use synod_tests::cluster::Cluster;

/// Exit code of wrong usage.
const USAGE: i32 = 2;
/// Exit code of something that is not there yet.
const UNAVAILABLE: i32 = 3;

async fn refuses(cluster: &mut Cluster, member: usize, code: i32, words: &str) {
    cluster.start(member);
    let status = cluster.exited(member).await;
    let log = cluster.log(member);
    assert_eq!(status.code(), Some(code), "{log}");
    assert!(log.contains(words), "`{words}` is not in: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_a_newer_format_is_refused_and_left_as_it_is() {
    let mut cluster = Cluster::started(1, &[]).await;
    cluster.stop(0).await;
    let format = cluster.members[0].data.join("FORMAT");
    let known = std::fs::read(&format).expect("the folder says its format");
    std::fs::write(&format, "synod data format 9999\n").expect("the folder can be written");
    refuses(&mut cluster, 0, USAGE, "9999").await;
    std::fs::write(&format, known).expect("the folder can be written");
    cluster.start(0);
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_cluster_is_refused_by_its_members() {
    let mut ours = Cluster::started(3, &[]).await;
    let mut theirs = Cluster::started(3, &[]).await;
    ours.stop(0).await;
    theirs.stop(0).await;
    let (mine, foreign) = (ours.members[0].data.clone(), theirs.members[0].data.clone());
    let aside = mine.with_extension("aside");
    std::fs::rename(&mine, &aside).expect("the folder can be moved");
    std::fs::rename(&foreign, &mine).expect("the folder can be moved");
    refuses(&mut ours, 0, USAGE, "cluster").await;
    std::fs::rename(&mine, &foreign).expect("the folder can be moved back");
    std::fs::rename(&aside, &mine).expect("the folder can be moved back");
    ours.start(0);
    ours.ready().await;
    ours.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_member_or_program_and_a_folder_in_use_are_refused() {
    let mut cluster = Cluster::started(3, &[]).await;
    cluster.stop(0).await;
    cluster.stop(1).await;
    let (a, b) = (cluster.members[0].data.clone(), cluster.members[1].data.clone());
    cluster.members[0].data = b;
    refuses(&mut cluster, 0, USAGE, "member").await;
    let other = a.with_extension("other");
    std::fs::create_dir(&other).expect("a folder can be made");
    std::fs::write(other.join("thesis.txt"), "not a store").expect("a file can be written");
    cluster.members[0].data = other.clone();
    refuses(&mut cluster, 0, USAGE, "not empty").await;
    assert_eq!(std::fs::read_dir(&other).expect("it is there").count(), 1, "the folder was changed");
    cluster.members[0].data = cluster.members[2].data.clone();
    refuses(&mut cluster, 0, USAGE, "in use").await;
    cluster.members[0].data = a;
    cluster.start(0);
    cluster.start(1);
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_lost_its_databases_or_its_identity_is_refused_and_left_as_it_is() {
    let mut cluster = Cluster::started(1, &[]).await;
    cluster.stop(0).await;
    let data = cluster.members[0].data.clone();
    let aside = data.with_extension("aside");
    for (lost, words) in [("log", "its databases are gone"), ("identity", "file identity is lost")] {
        std::fs::rename(data.join(lost), &aside).expect("it can be moved");
        let before = std::fs::read_dir(&data).expect("it is there").count();
        refuses(&mut cluster, 0, USAGE, words).await;
        assert_eq!(std::fs::read_dir(&data).expect("it is there").count(), before, "the folder was changed");
        std::fs::rename(&aside, data.join(lost)).expect("it can be moved back");
    }
    cluster.start(0);
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_refused_by_another_cluster_that_came_to_its_address() {
    let mut ours = Cluster::started(1, &[]).await;
    let client = ours.client().await;
    client.call_json("counter", "add", r#"{"key": "a", "by": 1}"#).await.expect("the cluster takes calls");
    ours.stop(0).await;
    let mut theirs = Cluster::new(1, &[]);
    theirs.members[0].client_address = ours.members[0].client_address.clone();
    theirs.start(0);
    theirs.ready().await;
    let called = client.call_json("counter", "add", r#"{"key": "a", "by": 1}"#).await;
    let asked = client.query_json("counter", "get", r#"{"key": "a"}"#, Consistency::Linearizable).await;
    for refused in [called.map(drop), asked.map(drop)] {
        let error = refused.expect_err("it is another cluster");
        assert!(matches!(&error, Error::Unavailable(why) if why.contains("is of cluster")), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_several_is_not_started_alone() {
    let mut cluster = Cluster::started(3, &[]).await;
    cluster.stop(0).await;
    cluster.start_among(0, "", &[]);
    let status = cluster.exited(0).await;
    assert_eq!(status.code(), Some(USAGE), "{}", cluster.log(0));
    assert!(cluster.log(0).contains("start it with --peers"), "{}", cluster.log(0));
    cluster.start(0);
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_named() {
    let mut cluster = Cluster::new(1, &[]);
    let taken = std::net::TcpListener::bind(&cluster.members[0].client_address).expect("the port is free");
    refuses(&mut cluster, 0, UNAVAILABLE, "in use").await;
    drop(taken);
    cluster.start(0);
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_asked_to_stop_finishes_and_hands_over() {
    let mut cluster = Cluster::started(3, &[]).await;
    let leader = cluster.leader().await;
    let client = cluster.client().await;
    client.call_json("counter", "add", r#"{"key": "a", "by": 1}"#).await.expect("the cluster takes calls");
    let status = cluster.stop(leader).await;
    assert!(status.success(), "{}", cluster.log(leader));
    assert!(cluster.log(leader).contains("handed leadership over"), "{}", cluster.log(leader));
    let answer =
        client.call_json("counter", "add", r#"{"key": "a", "by": 1}"#).await.expect("the others go on");
    assert_eq!(answer.value, "\"2\"");
    cluster.start(leader);
    cluster.ready().await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_names_all_members_and_the_leader_without_asking_them() {
    let cluster = Cluster::started(3, &[]).await;
    let leader = cluster.leader().await;
    let leader_id = cluster.status(leader).await.expect("it runs").id;
    let follower = cluster.client_of((leader + 1) % 3).await.expect("it answers");
    cluster.pause((leader + 2) % 3);
    let reply = follower.members().await.expect("it answers");
    cluster.resume((leader + 2) % 3);
    assert_eq!(reply.leader_id, leader_id);
    let mut members = reply.members;
    members.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(members[leader].id, leader_id);
    let places = members.iter().map(|member| (&member.name, &member.client_address, &member.peer_address));
    let expected =
        cluster.members.iter().map(|member| (&member.name, &member.client_address, &member.peer_address));
    assert!(places.eq(expected) && members.iter().all(|member| member.votes), "{members:?}");
}
