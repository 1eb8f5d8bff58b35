//! Steps of the ledger that no cluster reaches easily: strange orders, wrong terms, limits of
//! links.
mod order;

use std::time::Duration;

use futures::channel::oneshot;
use synod_abi::{Blob, ClusterId, MemberId, OperationId, Revision, SpaceId, Time, limits};
use synod_machine::{Action, Call, Caller, CommandOutcome, Entry, Outcome, Rejection, Reply};

use super::leader::ReadyEntry;
use super::links::LINKS_PER_TERM;
use super::*;
use crate::availability::{Observed, UNCONFIRMED_LIMIT};
use crate::ports::ProposeError;
use crate::propose::limits::ENTRIES_IN_FLIGHT;

const ME: Origin = Origin { member: MemberId(1), incarnation: 5, sequence: 0 };
const OTHER: Origin = Origin { member: MemberId(2), incarnation: 9, sequence: 0 };
const NOW: Monotonic = Monotonic(Duration::ZERO);
const LATER: Monotonic = Monotonic(Duration::from_secs(9));

type Reply1 = oneshot::Receiver<DeliveryResult>;

fn packed(origin: Origin, sequence: u64) -> Packed {
    let call = Call { space: SpaceId(1), operation: OperationId(2), args: Blob(vec![7; 10]) };
    Packed::new(Origin { sequence, ..origin }, Caller::default(), &Action::Call(call))
}

fn ledger() -> Ledger {
    Ledger::new(ME, ProposerLimits::default(), 0)
}

fn lead(ledger: &mut Ledger, term: u64) {
    ledger.observe(Leadership { me: ME.member, term, leader: Some(ME.member), role: Role::Leader }).send();
    ledger.applied(term, Vec::new()).send();
}

fn follow(ledger: &mut Ledger, term: u64) {
    ledger
        .observe(Leadership { me: ME.member, term, leader: Some(OTHER.member), role: Role::Follower })
        .send();
    ledger.applied(term, Vec::new()).send();
}

fn good() -> Availability {
    Availability::default()
}

fn full() -> Availability {
    Availability::of(&Observed { disk_is_full: true, ..Observed::default() })
}

fn cut_off() -> Availability {
    Availability::of(&Observed { unconfirmed: UNCONFIRMED_LIMIT, ..Observed::default() })
}

fn submit(ledger: &mut Ledger, sequence: u64) -> Reply1 {
    ledger.submit(packed(ME, sequence), None, LATER, NOW).expect("room")
}

fn proposed(ledger: &mut Ledger, id: u64, result: Result<(), ProposeError>) -> bool {
    let mut answers = Answers::default();
    let refused = ledger.proposed(id, result, &mut answers);
    answers.send();
    refused
}

fn outcome(origin: Origin, sequence: u64) -> CommandOutcome {
    let outcome = Outcome { revision: Revision(1), time: Time(1), result: Ok(Reply::Done) };
    CommandOutcome { origin: Origin { sequence, ..origin }, outcome, fuel: 5, cost: 5 }
}

fn sequences(entry: &ReadyEntry) -> Vec<u64> {
    let entry: Entry = synod_abi::decode(&entry.bytes).expect("an entry");
    entry.commands.iter().map(|command| command.origin.sequence).collect()
}

fn next(ledger: &mut Ledger) -> Option<ReadyEntry> {
    ledger.next_entry(|_| Some(Time(1_000)))
}

#[test]
fn a_leader_proposes_nothing_before_it_has_applied_its_terms_first_entry() {
    let mut ledger = ledger();
    let _reply = submit(&mut ledger, 1);
    ledger.observe(Leadership { me: ME.member, term: 3, leader: Some(ME.member), role: Role::Leader }).send();
    assert!(next(&mut ledger).is_none());
    ledger.applied(3, Vec::new()).send();
    assert_eq!(next(&mut ledger).map(|entry| entry.term), Some(3));
}

#[test]
fn an_entry_has_the_stamp_of_its_term_and_none_is_proposed_once_that_has_ended() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let _reply = submit(&mut ledger, 1);
    assert_eq!(ledger.next_entry(|_| None), None);
    let entry = ledger.next_entry(|term| Some(Time(7_000 + term))).expect("an entry");
    let entry: Entry = synod_abi::decode(&entry.bytes).expect("an entry");
    assert_eq!((entry.stamp, entry.commands.len()), (Time(7_001), 1));
}

#[test]
fn refused_entries_go_back_to_their_places_in_the_queue() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let _replies: Vec<_> = (1..=2).map(|sequence| submit(&mut ledger, sequence)).collect();
    let first = next(&mut ledger).expect("an entry");
    let _reply = submit(&mut ledger, 3);
    let second = next(&mut ledger).expect("an entry");
    let _reply4 = submit(&mut ledger, 4);
    assert!(proposed(&mut ledger, second.id, Err(ProposeError::Refused("busy".into()))));
    assert!(proposed(&mut ledger, first.id, Err(ProposeError::Refused("busy".into()))));
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![1, 2, 3, 4]));
    assert!(!proposed(&mut ledger, first.id, Err(ProposeError::Refused("late".into()))));
}

#[test]
fn a_client_that_has_gone_is_not_proposed_for() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    drop(submit(&mut ledger, 1));
    let _reply = submit(&mut ledger, 2);
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![2]));
}

#[test]
fn an_outcome_is_taken_once_and_others_are_not_ours() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut reply = submit(&mut ledger, 1);
    let _entry = next(&mut ledger);
    ledger.applied(1, vec![outcome(OTHER, 1), outcome(Origin { incarnation: 4, ..ME }, 1)]).send();
    assert_eq!(reply.try_recv(), Ok(None));
    ledger.applied(1, vec![outcome(ME, 1)]).send();
    assert!(matches!(reply.try_recv(), Ok(Some(Ok(_)))));
    ledger.applied(1, vec![outcome(ME, 1)]).send();
    assert_eq!(ledger.stats().waiting, 0);
}

#[test]
fn entries_in_flight_are_freed_by_apply_and_by_the_next_term() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut replies = Vec::new();
    for sequence in 1..=ENTRIES_IN_FLIGHT as u64 {
        replies.push(submit(&mut ledger, sequence));
        let entry = next(&mut ledger).expect("an entry");
        assert!(!proposed(&mut ledger, entry.id, Ok(())));
    }
    replies.push(submit(&mut ledger, 99));
    assert!(next(&mut ledger).is_none());
    ledger.applied(1, vec![outcome(ME, 2)]).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![99]));
    lead(&mut ledger, 2);
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![1, 3, 4, 99]));
}

#[test]
fn a_command_waits_for_two_entries_full_of_another_spaces_and_for_its_share_of_the_third() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let costly = Call { space: SpaceId(9), operation: OperationId(9), args: Blob(vec![]) };
    let costly =
        |sequence| Packed::new(Origin { sequence, ..ME }, Caller::default(), &Action::Call(costly.clone()));
    let mut replies = vec![ledger.submit(costly(1), None, LATER, NOW).expect("room")];
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![1]));
    let cost = limits::ENTRY_FUEL / 4;
    ledger.applied(1, vec![CommandOutcome { cost, ..outcome(ME, 1) }]).send();
    replies.extend((2..=64).map(|sequence| ledger.submit(costly(sequence), None, LATER, NOW).expect("room")));
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![2, 3, 4, 5]));
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![6, 7, 8, 9]));
    replies.push(submit(&mut ledger, 99));
    assert_eq!(next(&mut ledger), None);
    ledger.applied(1, vec![CommandOutcome { cost, ..outcome(ME, 2) }]).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![10, 11, 12, 99]));
    ledger.applied(1, vec![CommandOutcome { cost, ..outcome(ME, 6) }]).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![13, 14, 15, 16]));
}

#[test]
fn a_snapshot_of_an_earlier_term_leaves_later_proposals_alone() {
    let mut ledger = ledger();
    follow(&mut ledger, 5);
    ledger.welcomed(5, 0).send();
    let mut reply = submit(&mut ledger, 1);
    assert!(ledger.next_frame(5, NOW).is_some());
    ledger.restored(4).send();
    assert_eq!(reply.try_recv(), Ok(None));
    ledger.restored(5).send();
    assert!(matches!(reply.try_recv(), Ok(Some(Err(ProposalError::OutcomeUnknown(_))))));
}

#[test]
fn nothing_is_forwarded_before_the_greeting_of_that_term() {
    let mut ledger = ledger();
    follow(&mut ledger, 5);
    let _reply = submit(&mut ledger, 1);
    assert!(ledger.next_frame(5, NOW).is_none());
    ledger.welcomed(5, 0).send();
    assert!(ledger.next_frame(4, NOW).is_none());
    assert!(ledger.next_frame(5, NOW).is_some());
    assert!(ledger.next_frame(5, NOW).is_none());
}

#[test]
fn what_the_leader_has_not_received_is_sent_again_at_the_same_positions() {
    let mut ledger = ledger();
    follow(&mut ledger, 5);
    ledger.welcomed(5, 0).send();
    let _replies: Vec<_> = (1..=3).map(|sequence| submit(&mut ledger, sequence)).collect();
    let first = ledger.next_frame(5, NOW).expect("a frame");
    ledger.welcomed(5, 0).send();
    assert_eq!(ledger.next_frame(5, NOW), Some(first));
    ledger.welcomed(5, 3).send();
    assert_eq!(ledger.next_frame(5, NOW), None);
    ledger.welcomed(5, u64::MAX).send();
    assert_eq!(ledger.next_frame(5, NOW), None);
}

#[test]
fn a_command_that_the_leader_cannot_read_is_surely_not_applied() {
    let mut ledger = ledger();
    follow(&mut ledger, 5);
    ledger.welcomed(5, 0).send();
    let (mut first, mut second) = (submit(&mut ledger, 1), submit(&mut ledger, 2));
    assert!(ledger.next_frame(5, NOW).is_some());
    ledger.dropped_by_leader(4, vec![(1, DropReason::Unreadable)]).send();
    assert_eq!(first.try_recv(), Ok(None));
    ledger
        .dropped_by_leader(
            5,
            vec![(1, DropReason::Unreadable), (2, DropReason::NotLeading), (77, DropReason::Expired)],
        )
        .send();
    assert!(matches!(first.try_recv(), Ok(Some(Err(ProposalError::Unavailable { .. })))));
    assert_eq!(second.try_recv(), Ok(None));
    assert!(ledger.next_frame(5, NOW).is_some());
}

#[test]
fn a_link_is_opened_only_for_the_term_that_is_led() {
    let mut ledger = ledger();
    assert_eq!(ledger.open_link(OTHER.member, OTHER.incarnation, 0).err(), Some(0));
    lead(&mut ledger, 3);
    assert_eq!(ledger.open_link(OTHER.member, OTHER.incarnation, 2).err(), Some(3));
    assert!(ledger.open_link(OTHER.member, OTHER.incarnation, 3).is_ok());
}

#[test]
fn positions_are_taken_once_and_in_order_and_a_newer_link_ends_the_older() {
    let mut ledger = ledger();
    lead(&mut ledger, 3);
    let command = packed(OTHER, 1);
    let open =
        |ledger: &mut Ledger| ledger.open_link(OTHER.member, OTHER.incarnation, 3).expect("leads term 3");
    let (old, received) = open(&mut ledger);
    assert_eq!(received, 0);
    assert!(matches!(ledger.take_forwarded(&old, 2, Some(&command), LATER), Taken::Gap));
    assert!(matches!(ledger.take_forwarded(&old, 1, Some(&command), LATER), Taken::Queued));
    assert!(matches!(ledger.take_forwarded(&old, 1, Some(&command), LATER), Taken::Duplicate));
    let (new, received) = open(&mut ledger);
    assert_eq!(received, 1);
    assert!(matches!(ledger.take_forwarded(&old, 2, Some(&command), LATER), Taken::Ended));
    assert!(ledger.take_dropped(&old).is_none());
    assert!(matches!(ledger.take_forwarded(&new, 2, Some(&command), LATER), Taken::Queued));
    assert!(next(&mut ledger).is_some());
    assert!(!new.is_of(ME) && new.is_of(OTHER));
}

#[test]
fn drops_that_a_broken_link_did_not_carry_are_told_on_the_next() {
    let mut ledger = ledger();
    lead(&mut ledger, 3);
    let (old, _) = ledger.open_link(OTHER.member, OTHER.incarnation, 3).expect("leads term 3");
    assert!(matches!(ledger.take_forwarded(&old, 1, None, LATER), Taken::Queued));
    let (new, received) = ledger.open_link(OTHER.member, OTHER.incarnation, 3).expect("leads term 3");
    assert_eq!(received, 1);
    assert_eq!(ledger.take_dropped(&new), Some(vec![(1, DropReason::Unreadable)]));
    assert_eq!(ledger.take_dropped(&new), Some(vec![]));
}

#[test]
fn forwarded_commands_leave_the_queue_with_the_term_and_with_their_deadline() {
    let mut ledger = ledger();
    lead(&mut ledger, 3);
    let (link, _) = ledger.open_link(OTHER.member, OTHER.incarnation, 3).expect("leads term 3");
    let soon = NOW.after(Duration::from_secs(1));
    assert!(matches!(ledger.take_forwarded(&link, 1, Some(&packed(OTHER, 1)), soon), Taken::Queued));
    assert!(matches!(ledger.take_forwarded(&link, 2, Some(&packed(OTHER, 2)), LATER), Taken::Queued));
    ledger.expire(soon).send();
    assert_eq!(ledger.take_dropped(&link), Some(vec![(1, DropReason::Expired)]));
    ledger.observe(Leadership { me: ME.member, term: 3, leader: None, role: Role::Follower }).send();
    assert_eq!(ledger.take_dropped(&link), Some(vec![(2, DropReason::NotLeading)]));
    assert!(matches!(ledger.take_forwarded(&link, 3, Some(&packed(OTHER, 3)), LATER), Taken::Queued));
    assert_eq!(ledger.take_dropped(&link), Some(vec![(3, DropReason::NotLeading)]));
    assert_eq!((ledger.leader.backlog.commands, ledger.leader.backlog.bytes), (0, 0));
}

#[test]
fn the_links_of_a_term_are_limited() {
    let mut ledger = ledger();
    lead(&mut ledger, 3);
    for incarnation in 0..LINKS_PER_TERM as u64 {
        assert!(ledger.open_link(OTHER.member, incarnation, 3).is_ok());
    }
    assert!(ledger.open_link(OTHER.member, u64::MAX, 3).is_err());
    assert!(ledger.open_link(OTHER.member, 0, 3).is_ok());
    lead(&mut ledger, 4);
    assert!(ledger.open_link(OTHER.member, u64::MAX, 4).is_ok());
}

#[test]
fn an_install_travels_alone_and_what_waited_behind_it_follows() {
    let mut ledger = ledger();
    follow(&mut ledger, 5);
    ledger.welcomed(5, 0).send();
    let _first = submit(&mut ledger, 1);
    let install = Action::InstallRecipe { module: Blob(vec![0; 100]), replace: false };
    let install = Packed::new(Origin { sequence: 2, ..ME }, Caller::default(), &install);
    let _second = ledger.submit(install, None, LATER, NOW).expect("room");
    let _third = submit(&mut ledger, 3);
    lead(&mut ledger, 6);
    let sizes: Vec<_> = std::iter::from_fn(|| next(&mut ledger)).map(|entry| sequences(&entry)).collect();
    assert_eq!(sizes, [vec![1], vec![2], vec![3]]);
}

#[test]
fn a_ledger_that_has_ended_is_not_opened_by_a_disk_with_space() {
    let mut ledger = ledger();
    ledger.close("going").send();
    ledger.set_availability(Availability::default()).send();
    let form = Packed::new(
        Origin { sequence: 1, ..ME },
        Caller::default(),
        &Action::FormCluster { cluster: ClusterId([0; 16]) },
    );
    let refused = ledger.submit(form, None, LATER, NOW).err();
    assert_eq!(refused, Some(ProposalError::unavailable(UnavailableReason::ShuttingDown, "going")));
}

#[test]
fn a_member_without_a_majority_gives_back_what_is_queued_and_keeps_what_may_be_in_the_log() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut bound = submit(&mut ledger, 1);
    assert!(next(&mut ledger).is_some());
    let mut queued = submit(&mut ledger, 2);
    ledger.set_availability(cut_off()).send();
    let refused = ProposalError::from(Problem::NoMajority);
    assert_eq!(queued.try_recv(), Ok(Some(Err(refused.clone()))));
    assert_eq!(bound.try_recv(), Ok(None));
    assert_eq!(ledger.submit(packed(ME, 3), None, LATER, NOW).err(), Some(refused));
    ledger.set_availability(good()).send();
    assert!(ledger.submit(packed(ME, 4), None, LATER, NOW).is_ok());
}
