//! What a member says to a snapshot before it takes it, what it cannot take, and what it has not to
//! be sent again.
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::stream;
use openraft::vote::leader_id_std::LeaderId;
use synod_abi::MemberId;
use synod_storage::{Checkpoint, Manifest, StateStore, Wanted};

use super::cluster::{Cluster, DEADLINE, TestRaft};
use super::disk::InMemory;
use crate::frames::OfferAnswer;
use crate::types::Vote;
use crate::{ServeError, Settings, TokioRuntime, frames};

const ABSENT: MemberId = MemberId(3);

/// A snapshot of two members of three, and how its leader announces it.
struct Sent {
    cluster: Cluster<InMemory>,
    vote: Vote,
    checkpoint: Checkpoint,
}

impl Sent {
    /// Two members of three with some entries, the third cut off and empty.
    async fn new() -> Self {
        let mut cluster = Cluster::<InMemory>::new(3, Settings::default());
        cluster.start(MemberId(1)).await;
        cluster.start(MemberId(2)).await;
        cluster.raft(MemberId(1)).initialize(cluster.all_members()).await.unwrap();
        let last = cluster.write("a").await;
        cluster.applied_everywhere(last).await;
        let leader = cluster.leader().await;
        let checkpoint = leader.state.checkpoint().unwrap();
        let leader_id = LeaderId { term: leader.term_state().term, voted_for: leader.id().0 };
        let vote = Vote { leader_id, committed: true };
        cluster.cut(ABSENT);
        cluster.start(ABSENT).await;
        Self { cluster, vote, checkpoint }
    }

    fn absent(&self) -> TestRaft<InMemory> {
        self.cluster.raft(ABSENT)
    }

    fn header(&self) -> Bytes {
        frames::encode_snapshot(self.vote, self.checkpoint.manifest())
    }

    fn contents(&self) -> Vec<u8> {
        self.checkpoint.read(0, 0, usize::MAX).unwrap()
    }

    async fn offered(&self) -> Option<Vec<Wanted>> {
        let answer = self.absent().serve_snapshot_offer(&self.header()).await.unwrap();
        match frames::decode_offer_answer::<TokioRuntime>(&answer).unwrap() {
            OfferAnswer::Wanted(wanted) => Some(wanted),
            OfferAnswer::NotNeeded(_) => None,
        }
    }

    /// Waits until nothing of it is wanted any more.
    async fn is_there(&self) {
        let begun = std::time::Instant::now();
        while self.offered().await.is_some() {
            assert!(begun.elapsed() < DEADLINE, "it is still wanted");
        }
    }

    async fn send(&self, pieces: &[(u64, &[u8])]) -> Result<Bytes, ServeError> {
        let pieces = pieces.iter().map(|(offset, data)| frames::encode_piece(0, *offset, data));
        let frames: Vec<Bytes> = std::iter::once(self.header()).chain(pieces).collect();
        self.absent().serve_snapshot(stream::iter(frames)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_is_refused_and_the_member_goes_on() {
    let sent = Sent::new().await;
    let (absent, contents) = (sent.absent(), sent.contents());
    sent.cluster.disks[&ABSENT].store().set_full(true);
    let refused = absent.serve_snapshot_offer(&sent.header()).await;
    assert!(matches!(refused, Err(ServeError::NoRoom(_))), "{refused:?}");
    sent.cluster.disks[&ABSENT].store().set_full(false);
    let foreign = Manifest { layout: "another".to_owned(), ..sent.checkpoint.manifest().clone() };
    let refused = absent.serve_snapshot_offer(&frames::encode_snapshot(sent.vote, &foreign)).await;
    assert!(matches!(refused, Err(ServeError::Damaged(_))), "{refused:?}");

    let all = Some(vec![Wanted { file: 0, from_byte: 0 }]);
    assert_eq!(sent.offered().await, all);
    for at in [0, contents.len() / 2, contents.len() - 1] {
        let mut damaged = contents.clone();
        damaged[at] ^= 1;
        let refused = sent.send(&[(0, &damaged)]).await;
        assert!(matches!(refused, Err(ServeError::Damaged(_))), "{refused:?}");
        assert_eq!(sent.offered().await, all, "all of it is wanted again");
    }
    sent.cluster.appliers[&ABSENT].unlike.store(true, Ordering::SeqCst);
    let refused = sent.send(&[(0, &contents)]).await;
    assert!(matches!(refused, Err(ServeError::BadState(_))), "{refused:?}");
    assert_eq!((absent.state.applied().unwrap().index, absent.is_running()), (None, true));
    assert_eq!(sent.offered().await, all, "all of it is wanted again");

    sent.send(&[(0, &contents)]).await.unwrap();
    sent.is_there().await;
    assert_eq!(sent.cluster.hub.snapshots_sent.load(Ordering::SeqCst), 0, "nobody else sent one");
    sent.cluster.heal(ABSENT);
    let last = sent.cluster.write("b").await;
    sent.cluster.applied_everywhere(last).await;
    assert_eq!(sent.cluster.rows(ABSENT), ["a", "b"]);
    sent.cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_breaks_off_goes_on_where_it_stopped() {
    let sent = Sent::new().await;
    let contents = sent.contents();
    for at in [3, 7] {
        let from = if at == 3 { 0 } else { 3 };
        let cut = sent.send(&[(from as u64, &contents[from..at])]).await;
        assert!(matches!(cut, Err(ServeError::Cut)), "{cut:?}");
        assert_eq!(sent.offered().await, Some(vec![Wanted { file: 0, from_byte: at as u64 }]));
        let refused = sent.send(&[(0, &contents)]).await;
        assert!(matches!(refused, Err(ServeError::Damaged(_))), "what is there comes again: {refused:?}");
    }
    assert!(matches!(sent.send(&[]).await, Err(ServeError::Cut)));
    sent.send(&[(7, &contents[7..9]), (9, &contents[9..])]).await.unwrap();
    sent.is_there().await;
    sent.cluster.shut_down().await;
}
