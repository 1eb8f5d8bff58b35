//! What becomes of proposals: none is lost, none is run twice.
use std::time::Duration;

use synod_abi::{MemberId, Revision, limits};
use synod_machine::{Caller, Rejection};

use crate::failure::{CallFailure, UnavailableReason, Value};
use crate::member::NewSpace;
use crate::propose::{ENTRIES_IN_FLIGHT, ProposerLimits};
use crate::testing::cluster::{Cluster, Mood, Pending, TIMEOUT, is_unavailable, look};
use crate::testing::recipe;
use crate::testing::sim::WALL_MS;
use crate::{CallAnswer, Reason};

fn adds(cluster: &Cluster, member: u64, from: u64, count: u64) -> Vec<Pending<CallAnswer>> {
    (from..from + count).map(|n| cluster.start_add(member, "k", n)).collect()
}

fn expect_all(pending: &mut [Pending<CallAnswer>]) {
    for one in pending {
        let result = look(one).expect("an answer");
        assert!(result.is_ok(), "{result:?}");
    }
}

fn numbers(cluster: &Cluster) -> Vec<u64> {
    cluster.committed_adds().into_iter().map(|(_, n)| n).collect()
}

#[test]
fn commands_gather_while_entries_are_in_flight() {
    let mut cluster = Cluster::ready(1);
    let before = cluster.committed().len();
    cluster.hold_commits(true);
    let mut pending = Vec::new();
    for n in 0..500 {
        pending.push(cluster.start_add(1, "k", n));
        cluster.run();
    }
    cluster.hold_commits(false);
    cluster.run();
    expect_all(&mut pending);
    let entries = cluster.committed().split_off(before);
    let sizes: Vec<usize> = entries.iter().map(|entry| entry.commands.len()).collect();
    assert_eq!(sizes[..ENTRIES_IN_FLIGHT], [1; ENTRIES_IN_FLIGHT]);
    assert_eq!(sizes.iter().sum::<usize>(), 500);
    assert!(sizes.iter().max() >= Some(&100), "{sizes:?}");
    assert_eq!(numbers(&cluster), (0..500).collect::<Vec<_>>());
}

#[test]
fn fuel_estimates_learned_from_apply_make_entries_larger() {
    let mut cluster = Cluster::ready(1);
    let most_unknown = (limits::ENTRY_FUEL / crate::propose::fuel::UNKNOWN_FUEL) as usize;
    let mut pending = adds(&cluster, 1, 0, 3 * most_unknown as u64);
    cluster.run();
    expect_all(&mut pending);
    let first = cluster.committed().into_iter().map(|entry| entry.commands.len()).max();
    assert_eq!(first, Some(most_unknown));
    let mut pending = adds(&cluster, 1, 0, 900);
    cluster.run();
    expect_all(&mut pending);
    assert_eq!(cluster.committed().last().map(|entry| entry.commands.len()), Some(900));
}

#[test]
fn a_follower_forwards_in_order_and_answers_from_its_own_apply() {
    let mut cluster = Cluster::ready(3);
    let mut pending = adds(&cluster, 2, 0, 300);
    cluster.hold_apply(2, true);
    cluster.run();
    assert!(pending.iter_mut().all(|one| look(one).is_none()));
    cluster.hold_apply(2, false);
    cluster.run();
    expect_all(&mut pending);
    assert_eq!(numbers(&cluster), (0..300).collect::<Vec<_>>());
    cluster.assert_members_agree();
}

#[test]
fn the_leader_packs_commands_of_several_members_into_one_entry() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_commits(true);
    let mut pending = adds(&cluster, 1, 0, 1);
    for _ in 0..ENTRIES_IN_FLIGHT {
        cluster.run();
        pending.extend(adds(&cluster, 1, 0, 1));
    }
    for n in 1..10 {
        pending.extend((1..=3).flat_map(|member| adds(&cluster, member, n, 1)));
        cluster.run();
    }
    cluster.hold_commits(false);
    cluster.run();
    expect_all(&mut pending);
    let entries = cluster.committed();
    let last = entries.last().expect("an entry");
    let mut members: Vec<MemberId> = last.commands.iter().map(|command| command.origin.member).collect();
    members.sort_unstable();
    members.dedup();
    assert_eq!(members.len(), 3);
}

#[test]
fn a_leader_stamps_time_that_goes_on_from_the_last_and_never_back() {
    let mut cluster = Cluster::ready(2);
    let _ = adds(&cluster, 1, 0, 1);
    cluster.advance(Duration::from_millis(700));
    let _ = adds(&cluster, 1, 1, 1);
    cluster.run();
    cluster.elect(2);
    let _ = adds(&cluster, 2, 2, 1);
    cluster.run();
    let stamps: Vec<u64> = cluster.committed().into_iter().rev().take(3).map(|entry| entry.stamp.0).collect();
    assert_eq!(stamps[1], WALL_MS + 700);
    assert_eq!(stamps[2], WALL_MS);
    assert!(stamps[0] >= stamps[1]);
}

#[test]
fn entries_that_a_new_leader_does_not_have_are_proposed_again_once() {
    let mut cluster = Cluster::ready(3);
    let mut known = adds(&cluster, 1, 100, 1);
    cluster.run();
    expect_all(&mut known);
    cluster.hold_commits(true);
    let mut pending = adds(&cluster, 1, 0, 50);
    pending.extend(adds(&cluster, 3, 50, 50));
    cluster.run();
    cluster.elect(2);
    cluster.hold_commits(false);
    cluster.run();
    expect_all(&mut pending);
    let mut numbers = numbers(&cluster);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..=100).collect::<Vec<_>>());
    cluster.assert_members_agree();
    assert!(cluster.member(1).proposer().stats().resubmitted >= 50);
}

#[test]
fn entries_that_were_committed_before_the_change_are_not_proposed_again() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(3, true);
    let mut pending = adds(&cluster, 3, 0, 20);
    cluster.run();
    assert_eq!(numbers(&cluster).len(), 20);
    cluster.elect(2);
    assert!(pending.iter_mut().all(|one| look(one).is_none()));
    cluster.hold_apply(3, false);
    cluster.run();
    expect_all(&mut pending);
    assert_eq!(numbers(&cluster), (0..20).collect::<Vec<_>>());
}

#[test]
fn frames_lost_with_a_link_are_sent_again_on_the_next_in_order() {
    let mut cluster = Cluster::ready(2);
    let mut pending = adds(&cluster, 2, 0, 10);
    cluster.run();
    cluster.deafen_links(true);
    for n in 10..20 {
        pending.extend(adds(&cluster, 2, n, 1));
        cluster.run();
    }
    let opened = cluster.links_opened();
    cluster.deafen_links(false);
    cluster.cut_links();
    cluster.advance(Duration::from_millis(100));
    assert_eq!(cluster.links_opened(), opened + 1);
    expect_all(&mut pending);
    assert_eq!(numbers(&cluster), (0..20).collect::<Vec<_>>());
}

#[test]
fn frames_that_arrived_before_a_link_broke_are_not_taken_twice() {
    let mut cluster = Cluster::ready(2);
    cluster.hold_commits(true);
    let mut pending = adds(&cluster, 2, 0, 10);
    cluster.run();
    cluster.cut_links();
    pending.extend(adds(&cluster, 2, 10, 10));
    cluster.advance(Duration::from_millis(100));
    cluster.hold_commits(false);
    cluster.run();
    expect_all(&mut pending);
    assert_eq!(numbers(&cluster), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_deadline_that_passes_while_the_command_may_be_in_the_log_leaves_the_outcome_unknown() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_commits(true);
    let mut own = cluster.start_add(1, "own", 1);
    let mut forwarded = cluster.start_add(2, "forwarded", 1);
    cluster.advance(TIMEOUT);
    for pending in [&mut own, &mut forwarded] {
        assert!(matches!(look(pending), Some(Err(CallFailure::OutcomeUnknown(_)))));
    }
    cluster.hold_commits(false);
    cluster.run();
    assert_eq!(numbers(&cluster).len(), 2);
}

#[test]
fn without_a_leader_a_command_waits_and_is_surely_not_applied_when_its_deadline_passes() {
    let mut cluster = Cluster::ready(3);
    cluster.depose();
    let mut early = cluster.start_add_for(2, "early", 1, Duration::from_secs(1));
    let mut late = cluster.start_add_for(2, "late", 1, Duration::from_secs(5));
    cluster.advance(Duration::from_secs(2));
    assert!(is_unavailable(look(&mut early), UnavailableReason::NoLeader));
    assert!(look(&mut late).is_none());
    cluster.elect(3);
    cluster.advance(Duration::from_millis(100));
    assert!(look(&mut late).is_some_and(|result| result.is_ok()));
    assert_eq!(cluster.committed_adds(), [("late".to_owned(), 1)]);
}

#[test]
fn a_refused_entry_is_proposed_again_by_the_same_leader() {
    let mut cluster = Cluster::ready(2);
    cluster.mood(Mood::Refuse);
    let mut pending = adds(&cluster, 1, 0, 5);
    pending.extend(adds(&cluster, 2, 5, 5));
    let mut short = cluster.start_add_for(1, "short", 1, Duration::from_secs(1));
    cluster.advance(Duration::from_secs(2));
    assert!(is_unavailable(look(&mut short), UnavailableReason::Refused));
    cluster.mood(Mood::Accept);
    cluster.advance(Duration::from_millis(100));
    expect_all(&mut pending);
    assert_eq!(cluster.committed_adds().len(), 10);
}

#[test]
fn what_a_deposed_leader_had_not_proposed_goes_back_to_its_follower() {
    let mut cluster = Cluster::ready(3);
    cluster.mood(Mood::Refuse);
    let mut pending = adds(&cluster, 3, 0, 5);
    cluster.run();
    cluster.mood(Mood::Accept);
    cluster.elect(2);
    cluster.advance(Duration::from_millis(100));
    expect_all(&mut pending);
    assert_eq!(numbers(&cluster), (0..5).collect::<Vec<_>>());
}

#[test]
fn a_proposal_with_unknown_fate_is_answered_by_apply() {
    let mut cluster = Cluster::ready(2);
    cluster.mood(Mood::UnknownKept);
    let mut pending = adds(&cluster, 1, 0, 3);
    cluster.run();
    expect_all(&mut pending);
    cluster.mood(Mood::UnknownLost);
    let mut lost = adds(&cluster, 1, 3, 3);
    cluster.run();
    assert!(lost.iter_mut().all(|one| look(one).is_none()));
    cluster.mood(Mood::Accept);
    cluster.elect(2);
    cluster.advance(Duration::from_millis(100));
    expect_all(&mut lost);
    assert_eq!(numbers(&cluster), (0..6).collect::<Vec<_>>());
}

#[test]
fn deferred_commands_are_packed_again() {
    let mut cluster = Cluster::ready(2);
    let before = cluster.committed().len();
    let calls = limits::ENTRY_WRITE_BYTES / limits::CALL_WRITE_BYTES + 8;
    let mut pending: Vec<_> = (0..calls).map(|_| cluster.start_fill(2)).collect();
    cluster.run();
    expect_all(&mut pending);
    let commands: usize =
        cluster.committed().split_off(before).iter().map(|entry| entry.commands.len()).sum();
    assert!(commands > calls, "nothing was deferred: {commands}");
    let revisions = cluster.member(1).applied().revision.get();
    assert_eq!(revisions, 4 + calls as u64);
    assert!(cluster.member(2).proposer().stats().resubmitted > 0);
    cluster.assert_members_agree();
}

#[test]
fn a_full_queue_refuses_with_its_limit_and_takes_commands_again_later() {
    let limits = ProposerLimits { own_commands: 8, ..ProposerLimits::default() };
    let mut cluster = Cluster::ready_with(1, limits);
    cluster.hold_commits(true);
    let mut pending = adds(&cluster, 1, 0, 9);
    cluster.run();
    let Some(Err(CallFailure::Unavailable { reason, message, retry_after_ms })) = look(&mut pending[8])
    else {
        panic!("the ninth command is refused")
    };
    assert_eq!(reason, UnavailableReason::QueueFull);
    assert!(message.contains('8') && retry_after_ms > 0, "{message}");
    cluster.hold_commits(false);
    cluster.run();
    expect_all(&mut pending[..8]);
    let mut again = adds(&cluster, 1, 9, 1);
    cluster.run();
    expect_all(&mut again);
}

#[test]
fn the_bytes_of_waiting_commands_are_limited() {
    let limits = ProposerLimits { own_bytes: 400, ..ProposerLimits::default() };
    let mut cluster = Cluster::ready_with(1, limits);
    cluster.hold_commits(true);
    let key = "k".repeat(200);
    let (mut first, mut second) = (cluster.start_add(1, &key, 1), cluster.start_add(1, &key, 2));
    cluster.run();
    assert!(is_unavailable(look(&mut second), UnavailableReason::QueueFull));
    cluster.hold_commits(false);
    cluster.run();
    assert!(look(&mut first).is_some_and(|result| result.is_ok()));
}

#[test]
fn a_leader_whose_queue_is_full_holds_its_followers_back_and_loses_nothing() {
    let limits = ProposerLimits { forwarded_commands: 4, entries_in_flight: 1, ..ProposerLimits::default() };
    let mut cluster = Cluster::ready_with(2, limits);
    cluster.hold_commits(true);
    let mut pending = adds(&cluster, 2, 0, 100);
    cluster.run();
    cluster.hold_commits(false);
    cluster.run();
    expect_all(&mut pending);
    assert_eq!(numbers(&cluster), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_that_jumps_over_commands_leaves_calls_unknown_and_repeats_installs() {
    let mut cluster = Cluster::ready(3);
    cluster.hold_apply(3, true);
    let mut call = cluster.start_add(3, "k", 1);
    let member = cluster.member(3);
    let mut install = cluster.sim.start(async move {
        let module = recipe::module(2);
        member.install(module, false, NewSpace::None, Caller::default(), TIMEOUT).await
    });
    cluster.run();
    assert!(look(&mut call).is_none());
    cluster.hold_apply(3, false);
    cluster.install_snapshot(1, 3);
    cluster.advance(Duration::from_millis(100));
    assert!(matches!(look(&mut call), Some(Err(CallFailure::OutcomeUnknown(_)))));
    let installed = look(&mut install).expect("an answer").expect("installed");
    assert!(installed.already);
    cluster.assert_members_agree();
}

#[test]
fn a_full_disk_refuses_commands_until_there_is_space_and_applies_what_is_committed() {
    let mut cluster = Cluster::ready(1);
    cluster.node(1).store.fill(3);
    let mut pending = adds(&cluster, 1, 1, 2);
    cluster.run();
    expect_all(&mut pending);
    cluster.member(1).standing().note(|observed| observed.disk_is_full = true);
    let mut refused = adds(&cluster, 1, 3, 1);
    cluster.run();
    assert!(is_unavailable(look(&mut refused[0]), UnavailableReason::DiskFull));
}

#[test]
fn shutting_down_waits_for_what_was_taken_in_and_refuses_the_rest() {
    let mut cluster = Cluster::ready(1);
    cluster.hold_commits(true);
    let mut before = adds(&cluster, 1, 0, 1);
    cluster.run();
    let member = cluster.member(1);
    let mut down = cluster.sim.start(async move {
        member.shut_down(TIMEOUT).await;
        Ok(())
    });
    cluster.run();
    let mut after = adds(&cluster, 1, 1, 1);
    cluster.run();
    assert!(is_unavailable(look(&mut after[0]), UnavailableReason::ShuttingDown));
    assert!(look(&mut down).is_none());
    cluster.hold_commits(false);
    cluster.run();
    expect_all(&mut before);
    assert!(look(&mut down).is_some());
}

#[test]
fn a_member_that_fails_tells_what_is_unknown_from_what_is_not() {
    let mut cluster = Cluster::ready(1);
    cluster.hold_commits(true);
    let mut bound: Vec<_> = (0..ENTRIES_IN_FLIGHT as u64)
        .map(|n| {
            let pending = cluster.start_add(1, "k", n);
            cluster.run();
            pending
        })
        .collect();
    let mut queued = adds(&cluster, 1, 9, 1);
    cluster.run();
    cluster.member(1).fail(synod_machine::Fatal("the disk is gone".into()));
    cluster.run();
    assert!(matches!(look(&mut bound[0]), Some(Err(CallFailure::OutcomeUnknown(_)))));
    assert!(is_unavailable(look(&mut queued[0]), UnavailableReason::ShuttingDown));
    let member = cluster.member(1);
    let cause = cluster.wait(async move { member.failed().await });
    assert_eq!(cause.0, "the disk is gone");
}

#[test]
fn a_rejection_of_the_recipe_keeps_its_code_and_changes_nothing() {
    let mut cluster = Cluster::ready(2);
    let mut pending = cluster.start_add(2, "k", recipe::MOST + 1);
    cluster.run();
    let Some(Err(CallFailure::Rejected(rejected))) = look(&mut pending) else { panic!("a rejection") };
    assert_eq!((rejected.reason, rejected.code), (Reason::RecipeError, 7));
    assert_eq!(
        rejected.error,
        Some(Value::Json(format!("{{\"TooMuch\":{{\"most\":\"{}\"}}}}", recipe::MOST)))
    );
    assert_eq!(rejected.status, synod_abi::schema::Status::ResourceExhausted);
    assert!(rejected.revision > Revision(0));
    assert!(rejected.message.contains("Add at most"), "{}", rejected.message);
    assert_ne!(crate::Rejected::of(&Rejection::Deferred).message, "");
}
