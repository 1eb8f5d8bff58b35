//! Members lose their folders and are replaced, while clients write: in every order, half caught
//! up, killed, wiped again, with others that stand still, and with links that freeze or are cut.
//! Nothing acknowledged is lost, and an old id never comes back.
//!
//! The short form has a few random rounds, `make soak WHAT=replacing` 200.
use std::time::Duration;

use synod_api::v1::Role;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::dice::Dice;
use synod_tests::proxy::{End, Flow};
use synod_tests::wait::until;
use synod_tests::writers::{Writers, check, read_all};

/// Exit code of wrong usage.
const USAGE: i32 = 2;
const WRITERS: usize = 4;
const FLAGS: [&str; 2] = ["--snapshot-entries", "200"];
/// How often a replacement may have to begin again.
const BEGINNINGS: usize = 4;
const REPLACE: [&str; 1] = ["--replace-lost"];

fn rounds() -> usize {
    if std::env::var_os("SYNOD_SOAK").is_some() { 200 } else { 4 }
}

/// Waits for up to `most_ms`: what happens next happens at any moment of what runs.
async fn wait(dice: &mut Dice, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(dice.below(most_ms))).await;
}

/// Waits until a member has a vote again, and what all others have.
async fn has_its_vote(cluster: &Cluster, member: usize) {
    until("the member to have a vote", PATIENCE, || async {
        let role = cluster.status(member).await?.role();
        matches!(role, Role::Follower | Role::Leader).then_some(())
    })
    .await;
    cluster.ready().await;
}

/// Loses a member's folder, and disturbs its replacement at random.
async fn lose_and_replace(cluster: &mut Cluster, dice: &mut Dice, lost: usize) {
    cluster.kill(lost);
    cluster.wipe(lost);
    cluster.start_with(lost, &REPLACE);
    for _ in 0..dice.below(3) {
        wait(dice, 1_500).await;
        let other = (lost + 1 + dice.below(2) as usize) % 3;
        match dice.below(6) {
            0 => {
                cluster.kill(lost);
                cluster.start_with(lost, &REPLACE);
            }
            1 => {
                let had_its_vote = cluster.status(lost).await.is_some_and(|s| s.role() != Role::Learner);
                cluster.kill(lost);
                if !had_its_vote {
                    cluster.wipe(lost);
                }
                cluster.start_with(lost, &REPLACE);
            }
            2 => {
                cluster.pause(other);
                wait(dice, 1_500).await;
                cluster.resume(other);
            }
            3 | 4 => {
                let member = dice.below(3) as usize;
                cluster.reach(member, if dice.below(2) == 0 { Flow::Cut } else { Flow::Held });
                wait(dice, 2_500).await;
                cluster.reach(member, Flow::Open);
            }
            _ => {
                cluster.kill(other);
                cluster.start(other);
            }
        }
    }
    gets_its_vote(cluster, lost).await;
}

/// Waits until a replacement has its vote, and does what it is told if it ends: it begins again if
/// the one before it got its vote in the moment in which its folder was lost.
async fn gets_its_vote(cluster: &mut Cluster, lost: usize) {
    for _ in 0..BEGINNINGS {
        let has_ended = until("the member to have a vote, or to end", PATIENCE, || async {
            if !cluster.runs(lost) {
                return Some(true);
            }
            let role = cluster.status(lost).await?.role();
            matches!(role, Role::Follower | Role::Leader).then_some(false)
        })
        .await;
        if !has_ended {
            return cluster.ready().await;
        }
        begin_again(cluster, lost).await;
    }
    panic!("the member ended {BEGINNINGS} times: {}", cluster.log(lost));
}

async fn begin_again(cluster: &mut Cluster, lost: usize) {
    let status = cluster.exited(lost).await;
    let log = cluster.log(lost);
    let last = log.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
    eprintln!("{last}");
    assert!(last.contains("it was replaced already. Move this folder away"), "{log}");
    assert_eq!(status.code(), Some(USAGE), "{log}");
    cluster.wipe(lost);
    cluster.start_with(lost, &REPLACE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_while_members_lose_their_folders_in_turn() {
    let mut dice = Dice::seeded();
    let mut cluster = Cluster::with_proxies(3, &FLAGS, dice.below(u64::from(u32::MAX)));
    (0..3).for_each(|member| cluster.start(member));
    cluster.ready().await;
    let writers = Writers::start(cluster.clients(WRITERS).await);
    for round in 0..rounds() {
        let leader = cluster.leader().await;
        let lost = if round % 2 == 0 { leader } else { (leader + 1 + dice.below(2) as usize) % 3 };
        eprintln!("round {round}: member {lost} loses its folder");
        lose_and_replace(&mut cluster, &mut dice, lost).await;
    }
    let records = writers.stop().await;
    let acknowledged: usize = records.iter().map(|record| record.acknowledged.len()).sum();
    eprintln!("{acknowledged} writes acknowledged, {} folders lost", rounds());
    check(&read_all(&cluster.client().await).await, &records);
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_replaced_never_comes_back_under_its_old_id() {
    let mut cluster = Cluster::started(3, &FLAGS).await;
    let member = (cluster.leader().await + 1) % 3;
    let data = cluster.members[member].data.clone();
    let aside = data.with_extension("aside");
    let old = cluster.status(member).await.expect("it runs").id;
    cluster.kill(member);
    std::fs::rename(&data, &aside).expect("the folder can be moved");
    cluster.start_with(member, &REPLACE);
    has_its_vote(&cluster, member).await;
    let new = cluster.status(member).await.expect("it runs").id;
    assert_ne!(old, new);
    cluster.stop(member).await;
    cluster.members[member].data = aside;
    cluster.start(member);
    let status = cluster.exited(member).await;
    assert_eq!(status.code(), Some(USAGE), "{}", cluster.log(member));
    assert!(cluster.log(member).contains("was replaced"), "{}", cluster.log(member));
    cluster.members[member].data = data;
    cluster.start(member);
    has_its_vote(&cluster, member).await;
    assert_eq!(cluster.status(member).await.expect("it runs").id, new);
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_answers_is_not_replaced() {
    let mut cluster = Cluster::started(3, &FLAGS).await;
    let member = (cluster.leader().await + 1) % 3;
    let data = cluster.members[member].data.clone();
    let peers = cluster.peers();
    let spare = Cluster::new(3, &[]);
    let (old_peer, old_client) =
        (cluster.members[member].peer_address.clone(), cluster.members[member].client_address.clone());
    let running = cluster.release(member);
    cluster.members[member].data = data.with_extension("second");
    cluster.members[member].peer_address = spare.members[member].peer_address.clone();
    cluster.members[member].client_address = spare.members[member].client_address.clone();
    let elsewhere = peers.replace(&old_peer, &cluster.members[member].peer_address);
    cluster.start_among(member, &elsewhere, &REPLACE);
    let status = cluster.exited(member).await;
    assert_eq!(status.code(), Some(USAGE), "{}", cluster.log(member));
    assert!(cluster.log(member).contains("is not lost"), "{}", cluster.log(member));
    cluster.members[member].data = data;
    cluster.members[member].peer_address = old_peer;
    cluster.members[member].client_address = old_client;
    cluster.take_back(member, running);
    cluster.ready().await;
    cluster.assert_equal_digests().await;
}

/// Cuts one side off from the other, or lets them reach one another again.
fn between(cluster: &Cluster, one: &[usize], other: &[usize], flow: Flow) {
    for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
        cluster.network().set_both(End::Member(a), End::Member(b), flow);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_a_deposed_leader_took_in_is_taken_in_again() {
    let mut cluster = Cluster::with_proxies(5, &FLAGS, 1);
    (0..5).for_each(|member| cluster.start(member));
    cluster.ready().await;
    let old = cluster.leader().await;
    let lost = (old + 1) % 5;
    let others: Vec<usize> = (0..5).filter(|member| ![old, lost].contains(member)).collect();
    cluster.kill(lost);
    cluster.wipe(lost);
    between(&cluster, &[old, lost], &others, Flow::Cut);
    cluster.start_with(lost, &REPLACE);
    until("it to have what no majority has", PATIENCE, || async {
        let (old, new) = (cluster.status(old).await?, cluster.status(lost).await?);
        let is_ahead = old.last_log_index > old.committed_index;
        (is_ahead && new.last_log_index >= old.last_log_index).then_some(())
    })
    .await;
    between(&cluster, &[old], &[lost], Flow::Cut);
    cluster.leader_except(old).await;
    between(&cluster, &[old], &others, Flow::Open);
    until("the former leader to follow", PATIENCE, || async {
        (cluster.status(old).await?.role() == Role::Follower).then_some(())
    })
    .await;
    cluster.network().open_all();
    has_its_vote(&cluster, lost).await;
}
