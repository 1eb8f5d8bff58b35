//! Electing, replicating, reading, and going on after a member is lost.
use std::time::Duration;

use synod_abi::MemberId;
use synod_storage::LogStore;

use super::cluster::{Cluster, eventually, propose, within};
use super::disk::{Disk, InMemory, OnDisk};
use crate::{
    InitializeError, NotProposed, PAYLOAD_BYTES, ProposalOutcome, ReadIndexError, Refusal, Role, Settings,
    TransferError,
};

/// How long handing over may take.
const HANDS_OVER: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_serves_alone_and_soon_after_a_restart() {
    let id = MemberId(1);
    let patient = Settings {
        election_timeout_min_ms: 20_000,
        election_timeout_max_ms: 30_000,
        quorum_loss_probe_interval_ms: 60_000,
        replication_idle_timeout_ms: 30_000,
        ..Settings::default()
    };
    let mut cluster = Cluster::<OnDisk>::new(1, patient);
    cluster.start(id).await;
    cluster.raft(id).initialize(cluster.all_members()).await.unwrap();
    cluster.write("a").await;
    cluster.stop(id).await;
    let begun = std::time::Instant::now();
    cluster.start(id).await;
    let written = cluster.write("b").await;
    assert!(begun.elapsed().as_secs() < 15, "it waited for others");
    assert!(cluster.raft(id).read_index().await.unwrap() >= written.index);
    cluster.raft(id).wait_applied(written.index).await.unwrap();
    assert_eq!(cluster.rows(id), ["a", "b"]);
    cluster.shut_down().await;
}

async fn replicates_and_survives_the_loss_of_its_leader<D: Disk>() {
    let mut cluster = Cluster::<D>::of_three(Settings::default()).await;
    for write in ["a", "b", "c"] {
        cluster.write(write).await;
    }
    let lost = cluster.leader().await;
    let (lost_id, lost_term) = (lost.id(), lost.term_state().term);
    cluster.stop(lost_id).await;
    drop(lost);
    let next = cluster.leader().await;
    assert!(next.term_state().term > lost_term);
    drop(next);
    let last = cluster.write("d").await;
    cluster.start(lost_id).await;
    cluster.applied_everywhere(last).await;
    for id in [1, 2, 3] {
        assert_eq!(cluster.rows(MemberId(id)), ["a", "b", "c", "d"]);
    }
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_replicate_and_survive_the_loss_of_their_leader() {
    replicates_and_survives_the_loss_of_its_leader::<InMemory>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_on_rocksdb_replicate_and_survive_the_loss_of_their_leader() {
    replicates_and_survives_the_loss_of_its_leader::<OnDisk>().await;
}

async fn a_follower_restarts_from_its_disk<D: Disk>() {
    let mut cluster = Cluster::<D>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let leader = cluster.leader().await.id();
    let follower = MemberId(leader.0 % 3 + 1);
    cluster.stop(follower).await;
    cluster.write("b").await;
    cluster.start(follower).await;
    let last = cluster.write("c").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(follower), ["a", "b", "c"]);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_follower_catches_up_from_the_log() {
    a_follower_restarts_from_its_disk::<InMemory>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_follower_on_rocksdb_catches_up_from_the_log() {
    a_follower_restarts_from_its_disk::<OnDisk>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_restarts_with_everything_acknowledged() {
    let mut cluster = Cluster::<OnDisk>::of_three(Settings::default()).await;
    let last = cluster.write("a").await;
    for id in [1, 2, 3] {
        cluster.stop(MemberId(id)).await;
    }
    for id in [1, 2, 3] {
        cluster.start(MemberId(id)).await;
    }
    let leader = cluster.leader().await;
    assert!(leader.term_state().term > last.term, "a restarted leader is elected anew");
    let next = cluster.write("b").await;
    cluster.applied_everywhere(next).await;
    assert_eq!(cluster.rows(MemberId(1)), ["a", "b"]);
    assert_eq!(leader.initialize(cluster.all_members()).await, Err(InitializeError::AlreadyFormed));
    drop(leader);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_of_an_old_term_is_refused_and_never_appended() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let leader = cluster.leader().await;
    let term = leader.term_state().term;
    for stale in [0, term - 1, term + 1] {
        let outcome = propose(&leader, stale, "stale").await;
        assert!(
            matches!(outcome, ProposalOutcome::Refused { reason: Refusal::NotLeader, .. }),
            "{outcome:?}"
        );
    }
    let follower = cluster.raft(MemberId(leader.id().0 % 3 + 1));
    let outcome = propose(&follower, term, "elsewhere").await;
    assert_eq!(outcome, ProposalOutcome::Refused { leader: Some(leader.id()), reason: Refusal::NotLeader });
    let last = cluster.write("b").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(leader.id()), ["a", "b"]);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_off_leader_took_in_is_unknown_and_what_it_decides_later_is_refused() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let old = cluster.leader().await;
    let term = old.term_state().term;
    cluster.cut(old.id());
    let doomed = old.propose(term, "doomed".into()).await.unwrap();
    let next = cluster.write("b").await;
    assert!(next.term > term);
    cluster.heal(old.id());
    assert_eq!(within("the fate of the entry is settled", doomed.outcome()).await, ProposalOutcome::Unknown);
    let outcome = propose(&old, term, "late").await;
    assert!(matches!(outcome, ProposalOutcome::Refused { .. }), "{outcome:?}");
    let last = cluster.write("c").await;
    cluster.applied_everywhere(last).await;
    assert_eq!(cluster.rows(old.id()), ["a", "b", "c"]);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_are_appended_in_the_order_of_their_calls() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("first").await;
    let leader = cluster.leader().await;
    let term = leader.term_state().term;
    let mut proposals = Vec::new();
    for number in 0..500 {
        proposals.push(leader.propose(term, format!("{number}").into()).await.unwrap());
    }
    let mut last = None;
    for proposal in proposals {
        let ProposalOutcome::Committed(id) = proposal.outcome().await else { panic!("the leader changed") };
        assert!(last < Some(id));
        last = Some(id);
    }
    leader.wait_applied(last.unwrap().index).await.unwrap();
    let expected: Vec<String> =
        std::iter::once("first".to_owned()).chain((0..500).map(|number| number.to_string())).collect();
    assert_eq!(cluster.rows(leader.id()), expected);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_in_flight_share_their_fsyncs() {
    const ENTRIES: u64 = 2_000;
    let cluster = Cluster::<OnDisk>::of_three(Settings::default()).await;
    cluster.write("first").await;
    let leader = cluster.leader().await;
    let term = leader.term_state().term;
    let before = leader.state.syncs();
    let begun = std::time::Instant::now();
    let mut proposals = Vec::new();
    for _ in 0..ENTRIES {
        proposals.push(leader.propose(term, vec![7; 100].into()).await.unwrap());
    }
    for proposal in proposals {
        assert!(matches!(proposal.outcome().await, ProposalOutcome::Committed(_)));
    }
    let (syncs, took) = (leader.state.syncs() - before, begun.elapsed());
    eprintln!("{ENTRIES} entries: {syncs} fsyncs of the leader, {} ms", took.as_millis());
    assert!(syncs < ENTRIES / 4, "{syncs} fsyncs for {ENTRIES} entries");
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_over_the_limit_is_not_proposed() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let leader = cluster.leader().await;
    let term = leader.term_state().term;
    let error = leader.propose(term, vec![0; PAYLOAD_BYTES + 1].into()).await.unwrap_err();
    assert_eq!(error, NotProposed::TooLong { bytes: PAYLOAD_BYTES + 1, limit: PAYLOAD_BYTES });
    let largest = "x".repeat(PAYLOAD_BYTES);
    let id = cluster.write(&largest).await;
    cluster.applied_everywhere(id).await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_index_covers_what_was_acknowledged() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let leader = cluster.leader().await;
    for number in 0..20 {
        let id = cluster.write(&format!("{number}")).await;
        assert!(leader.read_index().await.unwrap() >= id.index);
    }
    let follower = cluster.raft(MemberId(leader.id().0 % 3 + 1));
    eventually("the follower knows its leader", || {
        (follower.term_state().leader == Some(leader.id())).then_some(())
    })
    .await;
    assert_eq!(follower.read_index().await, Err(ReadIndexError::NotLeader { leader: Some(leader.id()) }));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_leader_gives_no_read_index() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    cluster.write("a").await;
    let old = cluster.leader().await;
    cluster.cut(old.id());
    assert_eq!(within("the read ends", old.read_index()).await, Err(ReadIndexError::NoQuorum));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_request() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let last = cluster.write("a").await;
    cluster.applied_everywhere(last).await;
    let old = cluster.leader().await;
    let to = MemberId(old.id().0 % 3 + 1);
    assert_eq!(
        old.transfer_leader(MemberId(9), HANDS_OVER).await,
        Err(TransferError::NotAVoter(MemberId(9)))
    );
    old.transfer_leader(to, HANDS_OVER).await.unwrap();
    eventually("the old leader follows", || (old.term_state().role == Role::Follower).then_some(())).await;
    assert_eq!(cluster.leader().await.id(), to);
    assert_eq!(old.transfer_leader(to, HANDS_OVER).await, Err(TransferError::NotLeader { leader: Some(to) }));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_heir_is_lost_leads_again_if_nobody_else_stands() {
    const WAITED: Duration = Duration::from_millis(100);
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let last = cluster.write("a").await;
    cluster.applied_everywhere(last).await;
    let old = cluster.leader().await;
    let (heir, third) = (MemberId(old.id().0 % 3 + 1), MemberId((old.id().0 + 1) % 3 + 1));
    cluster.raft(third).stand(false);
    cluster.cut(heir);
    let failed = old.transfer_leader(heir, WAITED).await;
    assert_eq!(failed, Err(TransferError::TimedOut { to: heir, waited: WAITED }));
    cluster.write("b").await;
    assert_eq!(cluster.leader().await.id(), old.id());
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_that_believes_to_lead_an_older_term_follows_after_a_handover_to_it_failed() {
    const WAITED: Duration = Duration::from_millis(100);
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let last = cluster.write("a").await;
    cluster.applied_everywhere(last).await;
    let heir = cluster.leader().await;
    cluster.cut(heir.id());
    let old = cluster.leader().await;
    cluster.cut(old.id());
    let failed = old.transfer_leader(heir.id(), WAITED).await;
    assert_eq!(failed, Err(TransferError::TimedOut { to: heir.id(), waited: WAITED }));
    // Nobody else stands, so that the first of which the heir hears is what the other gave up with.
    (1..=3).filter(|id| *id != heir.id().0).for_each(|id| cluster.raft(MemberId(id)).stand(false));
    cluster.heal(old.id());
    cluster.heal(heir.id());
    let began = heir.term_state().term;
    let follows = || {
        assert!(heir.is_running(), "it has stopped");
        (heir.term_state().term > began).then_some(())
    };
    eventually("the former leader hears of another term", follows).await;
    (1..=3).for_each(|id| cluster.raft(MemberId(id)).stand(true));
    let last = cluster.write("b").await;
    cluster.applied_everywhere(last).await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_names_members_and_their_progress() {
    let cluster = Cluster::<InMemory>::of_three(Settings::default()).await;
    let last = cluster.write("a").await;
    cluster.applied_everywhere(last).await;
    let leader = cluster.leader().await;
    assert_eq!(leader.status().voters, cluster.all_members());
    assert!(leader.status().learners.is_empty());
    let up_to_date = || {
        let status = leader.status();
        let peers = status.peers?;
        (peers.len() == 3
            && peers.values().all(|peer| peer.matched >= Some(last))
            && status.applied >= Some(last))
        .then_some(())
    };
    eventually("the leader knows that all have the entry", up_to_date).await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_not_listed_forms_no_cluster() {
    let mut cluster = Cluster::<InMemory>::new(2, Settings::default());
    cluster.start(MemberId(1)).await;
    let mut others = cluster.all_members();
    others.remove(&MemberId(1));
    let raft = cluster.raft(MemberId(1));
    assert_eq!(raft.initialize(others).await, Err(InitializeError::NotAMember(MemberId(1))));
    drop(raft);
    cluster.shut_down().await;
}
