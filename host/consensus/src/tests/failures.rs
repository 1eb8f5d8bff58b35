//! Broken disks, broken appliers, silent peers and garbage.
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{StreamExt, stream};
use synod_abi::MemberId;

use super::cluster::{Cluster, within};
use super::disk::{InMemory, Unsteady};
use crate::{FRAME_BYTES, ServeError, Settings, StartError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_applier_stops_its_member_and_not_the_cluster() {
    let mut cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let broken = MemberId(cluster.leader().await.id().0 % 3 + 1);
    cluster.appliers[&broken].broken.store(true, Ordering::SeqCst);
    let raft = cluster.raft(broken);
    cluster.write("b").await;
    let fatal = within("the member stops", raft.stopped()).await.unwrap_err();
    assert!(fatal.0.contains("the test broke it"), "{fatal}");
    assert!(!raft.is_running());
    drop(raft);
    cluster.stop(broken).await;
    cluster.write("c").await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_gone_is_tried_a_few_times_a_second_however_much_is_written() {
    let mut cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let gone = MemberId(cluster.leader().await.id().0 % 3 + 1);
    cluster.stop(gone).await;
    cluster.hub.refused.store(0, Ordering::SeqCst);
    let begun = std::time::Instant::now();
    let mut written = 0;
    while begun.elapsed() < std::time::Duration::from_secs(2) {
        cluster.write("b").await;
        written += 1;
    }
    let (tried, seconds) = (cluster.hub.refused.load(Ordering::SeqCst), begun.elapsed().as_secs_f64());
    assert!(written > 200, "{written} entries");
    assert!((tried as f64) < 20.0 * seconds, "tried {tried} times in {seconds} s, with {written} entries");
    cluster.start(gone).await;
    let last = cluster.write("c").await;
    cluster.applied_everywhere(last).await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_disk_stops_its_member_and_not_the_cluster() {
    let mut cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let broken = cluster.leader().await;
    let id = broken.id();
    let term = broken.term_state().term;
    cluster.disks[&id].store().fail("the disk is gone");
    let _ = broken.propose(term, "lost".into()).await;
    let fatal = within("the member stops", broken.stopped()).await.unwrap_err();
    assert!(fatal.0.contains("the disk is gone"), "{fatal}");
    drop(broken);
    cluster.stop(id).await;
    cluster.write("b").await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_holds_a_follower_up_and_frees_it_again() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let full = MemberId(cluster.leader().await.id().0 % 3 + 1);
    cluster.disks[&full].store().set_full(true);
    cluster.write("b").await;
    cluster.disks[&full].store().set_full(false);
    let last = cluster.write("c").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(full), ["a", "b", "c"]);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_a_power_cut_of_all_members() {
    let mut cluster = Cluster::<Unsteady>::of_three(Settings::default()).await;
    let mut acknowledged = Vec::new();
    for round in 0..4_usize {
        for number in 0..10 {
            let payload = format!("{round}.{number}");
            cluster.write(&payload).await;
            acknowledged.push(payload);
        }
        let leader = cluster.leader().await;
        let term = leader.term_state().term;
        for _ in 0..5 {
            drop(leader.propose(term, "perhaps".into()).await);
        }
        drop(leader);
        for (id, disk) in &cluster.disks {
            disk.lose_power((round + id.0 as usize) % 4);
        }
        for id in [1, 2, 3] {
            cluster.stop(MemberId(id)).await;
        }
        for id in [1, 2, 3] {
            cluster.start(MemberId(id)).await;
        }
    }
    let last = cluster.write("end").await;
    acknowledged.push("end".to_owned());
    cluster.applied_everywhere(last).await;
    for id in [1, 2, 3] {
        let rows: Vec<String> =
            cluster.rows(MemberId(id)).into_iter().filter(|row| row != "perhaps").collect();
        assert_eq!(rows, acknowledged);
    }
    assert_eq!(cluster.rows(MemberId(1)), cluster.rows(MemberId(2)));
    assert_eq!(cluster.rows(MemberId(1)), cluster.rows(MemberId(3)));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_is_not_a_failure() {
    let mut cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let raft = cluster.raft(MemberId(1));
    let mut terms = raft.term_watch();
    cluster.stop(MemberId(1)).await;
    within("it has stopped", raft.stopped()).await.unwrap();
    assert!(raft.propose(1, "late".into()).await.is_err());
    assert!(raft.read_index().await.is_err());
    within("the watch ends", async { while terms.changed().await.is_ok() {} }).await;
    drop(raft);
    cluster.shut_down().await;
}

#[tokio::test]
async fn bad_settings_do_not_start() {
    let cluster = Cluster::<InMemory>::new(1, Settings::default());
    let store = cluster.disks[&MemberId(1)].store();
    let applier = std::sync::Arc::new(super::cluster::Rows::new(store.clone()));
    let settings = Settings { heartbeat_interval_ms: 0, ..Settings::default() };
    let error = crate::Raft::<crate::TokioRuntime, _, _>::start(
        MemberId(1),
        settings,
        store.clone(),
        store,
        applier,
        super::encodings::Nobody::default(),
    )
    .await
    .unwrap_err();
    assert!(matches!(&error, StartError::Settings(bad) if bad.setting == "heartbeat_interval_ms"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_frames_are_refused_and_the_member_serves_on() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let raft = cluster.raft(MemberId(1));
    let mut frames: Vec<Bytes> = vec![
        Bytes::new(),
        Bytes::from_static(&[9, 1, 1]),
        Bytes::from_static(&[1]),
        vec![1; FRAME_BYTES + 1].into(),
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for length in 1..300 {
        let random = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        let mut frame: Vec<u8> = (0..length).map(random).collect();
        frame[0] = 1;
        frames.push(frame.into());
    }
    for frame in frames {
        let decodes = |result: Result<Bytes, ServeError>| !matches!(result, Err(ServeError::Decode(_)));
        let answers: Vec<_> = raft.serve_append(stream::iter([frame.clone()])).collect().await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(ServeError::Decode(_)))), "{answers:?}");
        assert_eq!(answers.len(), 1);
        if frame.len() < 8 || frame.len() > FRAME_BYTES {
            assert!(!decodes(raft.serve_vote(frame.clone()).await));
            assert!(!decodes(raft.serve_pre_vote(frame.clone()).await));
            assert!(!decodes(raft.serve_transfer(frame.clone()).await));
        }
        assert!(!decodes(raft.serve_snapshot_offer(&frame).await));
        assert!(!decodes(raft.serve_snapshot(stream::iter([frame])).await));
    }
    let last = cluster.write("b").await;
    cluster.applied_everywhere(last).await;
    assert!(raft.is_running());
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_ends_a_stream_after_the_answers_before_it() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let last = cluster.write("a").await;
    cluster.applied_everywhere(last).await;
    let leader = cluster.leader().await;
    let term = leader.term_state().term;
    let follower = cluster.raft(MemberId(leader.id().0 % 3 + 1));
    let heartbeat = super::encodings::heartbeat(term, leader.id().0);
    let requests = [heartbeat.clone(), Bytes::from_static(b"\x01garbage"), heartbeat];
    let answers: Vec<_> = follower.serve_append(stream::iter(requests)).collect().await;
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(ServeError::Decode(_))));
    cluster.shut_down().await;
}
