//! What a member says to a snapshot before it takes it, and what it cannot take.
use std::sync::atomic::Ordering;

use bytes::Bytes;
use openraft::vote::leader_id_std::LeaderId;
use synod_abi::MemberId;
use synod_storage::StateStore;

use super::cluster::Cluster;
use super::disk::InMemory;
use crate::types::Vote;
use crate::{OutgoingSnapshot, ServeError, Settings, SnapshotOffer, frames, snapshot};

const ABSENT: MemberId = MemberId(3);

/// Two members of three with some entries, the third cut off and empty; and the header and the file
/// of a snapshot of theirs.
async fn with_a_snapshot() -> (Cluster<InMemory>, Bytes, Vec<u8>) {
    let mut cluster = Cluster::<InMemory>::new(3, Settings::default());
    cluster.start(MemberId(1)).await;
    cluster.start(MemberId(2)).await;
    cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
    let last = cluster.write("a").await;
    cluster.applied_everywhere(last).await;
    let leader = cluster.leader().await;
    let file = leader.state.build_snapshot().unwrap();
    let bytes = std::fs::read(&file.path).unwrap();
    let checksum = snapshot::checksum(&file.path).unwrap();
    let leader_id = LeaderId { term: leader.term_state().term, voted_for: leader.id().0 };
    let vote = Vote { leader_id, committed: true };
    let header = frames::encode_snapshot(vote, &OutgoingSnapshot { file, checksum });
    cluster.cut(ABSENT);
    cluster.start(ABSENT).await;
    (cluster, header, bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_is_refused_and_the_member_goes_on() {
    let (cluster, header, bytes) = with_a_snapshot().await;
    let absent = cluster.raft(ABSENT);
    cluster.disks[&ABSENT].store().set_full(true);
    let refused = absent.serve_snapshot_offer(&header).await;
    assert!(matches!(refused, Err(ServeError::NoRoom(_))), "{refused:?}");
    cluster.disks[&ABSENT].store().set_full(false);
    let wanted = SnapshotOffer::Wanted { length_bytes: bytes.len() as u64 };
    assert_eq!(absent.serve_snapshot_offer(&header).await.unwrap(), wanted);
    for at in [9, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let path = absent.state.receive_path().unwrap();
        std::fs::write(&path, damaged).unwrap();
        let refused = absent.serve_snapshot(header.clone(), path.clone()).await;
        assert!(matches!(refused, Err(ServeError::Damaged(_))), "{refused:?}");
        assert!(!path.exists() && absent.is_running());
    }
    assert_eq!(absent.state.applied().unwrap().index, None);
    let path = absent.state.receive_path().unwrap();
    std::fs::write(&path, bytes).unwrap();
    absent.serve_snapshot(header.clone(), path.clone()).await.unwrap();
    assert!(!path.exists());
    let offer = absent.serve_snapshot_offer(&header).await.unwrap();
    assert!(matches!(offer, SnapshotOffer::NotNeeded { .. }), "{offer:?}");
    assert_eq!(cluster.hub.snapshots_sent.load(Ordering::SeqCst), 0, "nobody else sent one");
    cluster.heal(ABSENT);
    let last = cluster.write("b").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(ABSENT), ["a", "b"]);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_former_leader_or_of_what_is_there_is_not_taken() {
    let (cluster, header, _) = with_a_snapshot().await;
    for id in [1, 2] {
        let offer = cluster.raft(MemberId(id)).serve_snapshot_offer(&header).await.unwrap();
        assert!(matches!(offer, SnapshotOffer::NotNeeded { .. }), "{offer:?}");
    }
    let garbage = cluster.raft(ABSENT).serve_snapshot_offer(b"garbage").await;
    assert!(matches!(garbage, Err(ServeError::Decode(_))));
    cluster.shut_down().await;
}
