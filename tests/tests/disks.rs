//! Disks that fill up, are freed and fill up again, that are read-only, and folders that vanish:
//! small tmpfs, where mounting one is allowed.
//!
//! `make soak WHAT=disks` goes on for 20 rounds.
use std::time::{Duration, Instant};

use synod_api::v1::Role;
use synod_kv::Kv;
use synod_sdk::prelude::*;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::disk::SmallDisk;
use synod_tests::wait::until;

/// Exit code of a member that cannot go on.
const FAILED: i32 = 5;
/// Exit code of wrong usage.
const USAGE: i32 = 2;
/// Leaders that are killed beside a full member.
const ELECTIONS: u32 = 4;
const ROUNDS: u32 = 2;
const ROUNDS_OF_SOAK: u32 = 20;

fn rounds() -> u32 {
    if std::env::var_os("SYNOD_SOAK").is_some() { ROUNDS_OF_SOAK } else { ROUNDS }
}

async fn are_full(cluster: &Cluster, full: bool) {
    until("all members to notice", PATIENCE, || async {
        for n in 0..3 {
            let status = cluster.status(n).await?;
            (status.problem.contains("disk is full") == full).then_some(())?;
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_that_fill_together_lose_nothing_and_reads_go_on() {
    let Some((cluster, disks)) = SmallDisk::cluster().await else { return };
    let mut written = 0u32;
    for round in 0..rounds() {
        let client = cluster.client().await;
        let kv = Kv::client(&client, "kv");
        for _ in 0..50 {
            kv.put(format!("{written:06}"), Blob::from("x".repeat(200).as_str()))
                .await
                .expect("it is written");
            written += 1;
        }
        disks.iter().for_each(SmallDisk::fill);
        are_full(&cluster, true).await;
        // What a member notices, its door does a little later.
        let began = Instant::now();
        while kv.put(format!("{written:06}"), Blob::from("late")).await.is_ok() {
            written += 1;
            assert!(began.elapsed() < PATIENCE, "round {round}: full disks go on taking writes");
        }
        eprintln!("round {round}: refused after {} ms", began.elapsed().as_millis());
        for n in [0, written / 2, written - 1] {
            let read = kv.get(format!("{n:06}")).await.expect("reads go on");
            assert!(read.is_some(), "round {round}: {n} is lost");
        }
        disks.iter().for_each(SmallDisk::free);
        let freed = Instant::now();
        until("writes to be taken again", PATIENCE, || async {
            kv.put(format!("{written:06}"), Blob::from("again")).await.ok()
        })
        .await;
        written += 1;
        eprintln!("round {round}: writes are back after {} ms", freed.elapsed().as_millis());
        are_full(&cluster, false).await;
    }
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    for n in 0..written {
        assert!(kv.get(format!("{n:06}")).await.expect("it can be read").is_some(), "{n} is lost");
    }
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_is_full_hands_over_and_writes_go_on() {
    let Some((cluster, disks)) = SmallDisk::cluster().await else { return };
    let leader = cluster.leader().await;
    disks[leader].fill();
    until("another member to lead", PATIENCE, || async { (cluster.leader().await != leader).then_some(()) })
        .await;
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    let written = Duration::from_secs(5);
    until("writes to go on", written, || async { kv.put("a".to_owned(), Blob::from("b")).await.ok() }).await;
    disks[leader].free();
    are_full(&cluster, false).await;
    cluster.assert_equal_digests().await;
}

/// Waits until a member says that its disk is full.
async fn is_full(cluster: &Cluster, member: usize) {
    until("the member to notice", PATIENCE, || async {
        cluster.status(member).await?.problem.contains("disk is full").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_disk_is_full_is_not_elected_while_another_has_space() {
    let Some((mut cluster, disks)) = SmallDisk::cluster().await else { return };
    let full = (cluster.leader().await + 1) % 3;
    disks[full].fill();
    is_full(&cluster, full).await;
    for round in 0..ELECTIONS {
        let leader = cluster.leader_except(full).await;
        cluster.kill(leader);
        let next = until("another leader", PATIENCE, || async {
            for n in (0..3).filter(|n| *n != leader) {
                if cluster.status(n).await.is_some_and(|status| status.role() == Role::Leader) {
                    return Some(n);
                }
            }
            None
        })
        .await;
        assert_ne!(next, full, "round {round}: the full member was elected");
        cluster.start(leader);
        until("the member to be back", PATIENCE, || async {
            let (back, ahead) = (cluster.status(leader).await?, cluster.status(next).await?);
            (back.applied_index >= ahead.applied_index).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_member_that_alone_has_the_newest_entries_leads_until_another_has_them() {
    let Some((mut cluster, disks)) = SmallDisk::cluster().await else { return };
    let leader = cluster.leader().await;
    let (full, behind) = ((leader + 1) % 3, (leader + 2) % 3);
    disks[full].fill();
    is_full(&cluster, full).await;
    cluster.kill(behind);
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    for n in 0..20 {
        kv.put(format!("{n:02}"), Blob::from("new")).await.expect("two of three take writes");
    }
    cluster.kill(leader);
    cluster.start(behind);
    until("the member with space to lead", PATIENCE, || async {
        (cluster.status(behind).await?.role() == Role::Leader).then_some(())
    })
    .await;
    let written = until("reads to go on", PATIENCE, || async { kv.get("19".to_owned()).await.ok() }).await;
    assert!(written.is_some(), "what was acknowledged is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_all_full_still_elect_a_leader_and_calls_soon_say_why_they_fail() {
    let Some((mut cluster, disks)) = SmallDisk::cluster().await else { return };
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    kv.put("a".to_owned(), Blob::from("b")).await.expect("it is written");
    disks.iter().for_each(SmallDisk::fill);
    are_full(&cluster, true).await;
    // What a member notices, its door does a little later.
    until("writes to be refused", PATIENCE, || async {
        kv.put("a".to_owned(), Blob::from("c")).await.is_err().then_some(())
    })
    .await;
    // A leader that was the first to be full may still hand over to one that was not yet.
    let (refused, took) = until("a put during which the leader stays", PATIENCE, || async {
        let (leader, began) = (cluster.leader().await, Instant::now());
        let refused = kv.put("a".to_owned(), Blob::from("d")).await.expect_err("nobody has space");
        let took = began.elapsed();
        (cluster.leader().await == leader).then_some((refused, took))
    })
    .await;
    assert!(refused.to_string().contains("disk"), "{refused}");
    assert!(took < Duration::from_secs(3), "it failed after {took:?} only");
    eprintln!("a put on a full cluster fails after {} ms", took.as_millis());
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader_except(leader).await;
    until("reads to go on", PATIENCE, || async { kv.get("a".to_owned()).await.ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_folder_is_refused_and_taken_again_once_it_can_be_written() {
    let mut cluster = Cluster::new(1, &["--bundled=false"]);
    let Some(disk) = SmallDisk::mount(&cluster.members[0].data) else {
        return eprintln!("skipped: no right to mount a tmpfs");
    };
    for what in ["a new one", "one of a member"] {
        disk.remount("ro");
        cluster.start(0);
        let status = cluster.exited(0).await;
        let log = cluster.log(0);
        assert_eq!(status.code(), Some(USAGE), "{what}: {log}");
        assert!(log.contains("cannot be used") && log.contains("Read-only"), "{what}: {log}");
        disk.remount("rw");
        cluster.start(0);
        cluster.leader().await;
        cluster.stop(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_folder_vanishes_ends_and_says_so() {
    let mut cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    let kv = Kv::client(&client, "kv");
    let leader = cluster.leader().await;
    let other = (leader + 1) % 3;
    for (member, how) in [(leader, "removed"), (other, "moved"), (other, "replaced")] {
        let data = cluster.members[member].data.clone();
        let aside = data.with_extension("aside");
        match how {
            "removed" => std::fs::remove_dir_all(&data).or_else(|_| std::fs::remove_dir_all(&data)),
            "moved" => std::fs::rename(&data, &aside),
            _ => std::fs::rename(&data, &aside).and_then(|()| std::fs::create_dir(&data)),
        }
        .expect("the folder can go");
        let status = cluster.exited(member).await;
        let log = cluster.log(member);
        assert_eq!(status.code(), Some(FAILED), "{log}");
        assert!(log.contains("removed, moved or replaced"), "{log}");
        if how == "removed" {
            cluster.start_with(member, &["--replace-lost"]);
        } else {
            let _what_took_its_place = std::fs::remove_dir_all(&data);
            std::fs::rename(&aside, &data).expect("it can be moved back");
            cluster.start(member);
        }
        cluster.ready().await;
        kv.put("a".to_owned(), Blob::from(how)).await.expect("it is written");
    }
    cluster.assert_equal_digests().await;
}
