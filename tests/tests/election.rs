//! `synod elect` and `synod watch` as a shell script uses them: candidates that lead, die and are
//! stopped, and an observer that misses nothing.
use std::time::{Duration, Instant};

use serde_json::Value;
use synod_client::{Client, Session};
use synod_election::{Election, ElectionEvent};
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::command::Running;
use synod_tests::wait::until;

const TTL: Duration = Duration::from_secs(3);
const LEAD: &str = "echo $SYNOD_TOKEN; exec sleep 1000";
const PASS: &str = "echo $SYNOD_TOKEN";

/// A candidate whose command is `script`.
fn candidate(cluster: &Cluster, name: &str, script: &str) -> Running {
    let ttl = TTL.as_secs().to_string();
    Running::start(
        cluster,
        &["elect", "boss", "--candidate", name, "--ttl", &ttl, "--grace", "1", "--", "sh", "-c", script],
    )
}

async fn waits(client: &Client, candidate: &str) {
    until(&format!("{candidate} to wait"), PATIENCE, || async {
        let waiting = Election::client(client, "election").candidates("boss", None, None).await.ok()?;
        waiting.iter().any(|waiting| waiting.candidate == candidate).then_some(())
    })
    .await;
}

async fn session(cluster: &Cluster) -> Session {
    cluster.client().await.session().ttl(TTL).open().await.expect("a session is opened")
}

/// What an observer of `synod watch … --output json` read: each election's name and what became of
/// it.
async fn observed(observer: &mut Running, events: usize) -> Vec<Value> {
    let mut seen = Vec::new();
    while seen.len() < events {
        let event: Value = serde_json::from_str(&observer.line().await).expect("a line is JSON");
        if event["topic"] == "boss" {
            seen.push(event["payload"].clone());
        }
    }
    seen
}

fn elected(event: &Value) -> (&str, u64) {
    let of = &event["Elected"];
    let token = &of["token"];
    let token = token.as_u64().or_else(|| token.as_str()?.parse().ok());
    (of["candidate"].as_str().unwrap_or_else(|| panic!("{event} is no election")), token.expect("a token"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_passes_from_a_killed_leader_and_an_observer_sees_each_change_through_failovers() {
    let mut cluster = Cluster::started(3, &[]).await;
    let mut observer =
        Running::start(&cluster, &["watch", "election", "boss", "--from", "oldest", "--output", "json"]);
    let mut first = candidate(&cluster, "first", LEAD);
    let token = first.token().await;
    let mut second = candidate(&cluster, "second", LEAD);
    let client = cluster.client().await;
    waits(&client, "second").await;

    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader_except(leader).await;
    cluster.start(leader);
    cluster.ready().await;

    let killed = Instant::now();
    first.kill();
    let next = second.token().await;
    let took = killed.elapsed();
    assert!(next > token, "token {next} after {token}");
    assert!(
        took >= TTL / 2,
        "leadership moved {took:?} after its leader was killed, which had a session of {TTL:?}"
    );
    let mut third = candidate(&cluster, "third", PASS);
    waits(&client, "third").await;
    second.terminate();
    assert_eq!(second.ended().await.code(), Some(128 + libc::SIGTERM));
    let last = third.token().await;
    assert!(last > next);
    assert!(third.ended().await.success());

    let events = observed(&mut observer, 4).await;
    assert_eq!(
        events[..3].iter().map(elected).collect::<Vec<_>>(),
        [("first", token), ("second", next), ("third", last)]
    );
    assert!(events[3]["Vacant"].is_object(), "{events:?}");
    cluster.nothing_left().await;
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_proclaims_transfers_to_a_named_candidate_and_its_former_token_is_worth_nothing() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    let mut watch =
        client.watch("election").topic("boss").typed::<ElectionEvent>().open().await.expect("a watch");
    let (ann, bob, cid) = (session(&cluster).await, session(&cluster).await, session(&cluster).await);
    let held = Election::client(&ann, "election")
        .campaign("boss", "ann", Blob::from("a:1"))
        .await
        .expect("nobody leads");
    let campaign = |session: &Session, name: &'static str| {
        let session = session.clone();
        tokio::spawn(async move {
            Election::client(&session, "election").campaign("boss", name, Blob::from(name)).await
        })
    };
    let (bobs, cids) = (campaign(&bob, "bob"), campaign(&cid, "cid"));
    waits(&client, "bob").await;
    waits(&client, "cid").await;
    let election = Election::client(&ann, "election");
    election.proclaim("boss", held.token, Blob::from("a:2")).await.expect("the leader may");
    election.transfer("boss", held.token, "cid").await.expect("cid waits");
    let heir = cids.await.expect("no panic").expect("cid leads");
    assert!(heir.token > held.token && !bobs.is_finished());
    assert!(
        election.proclaim("boss", held.token, Blob::from("late")).await.is_err(),
        "a former leader proclaims nothing"
    );
    let leader = Election::client(&client, "election")
        .leader("boss")
        .await
        .expect("it can be asked")
        .expect("somebody leads");
    assert_eq!((leader.candidate.as_str(), leader.token), ("cid", heir.token));
    cid.close().await.expect("closed");
    let last = bobs.await.expect("no panic").expect("bob leads");

    let mut seen = Vec::new();
    while seen.len() < 4 {
        if let synod_client::WatchItem::Events { events, .. } =
            watch.next().await.expect("the watch goes on").expect("nobody cancelled it")
        {
            seen.extend(events.into_iter().map(|event| match event.payload {
                ElectionEvent::Elected { candidate, token, .. } => format!("{candidate} leads with {token}"),
                ElectionEvent::Proclaimed { value, token } => {
                    format!("{} says {token}", String::from_utf8_lossy(&value))
                }
                ElectionEvent::Vacant { token } => format!("nobody follows {token}"),
            }));
        }
    }
    let expected = [
        format!("ann leads with {}", held.token),
        format!("a:2 says {}", held.token),
        format!("cid leads with {}", heir.token),
        format!("bob leads with {}", last.token),
    ];
    assert_eq!(seen, expected);
    ann.close().await.expect("closed");
    bob.close().await.expect("closed");
    cluster.nothing_left().await;
}
