//! Order of a session's calls, and what only the leader of one term may propose.
use std::time::Duration;

use synod_abi::{RequestId, SessionId};
use synod_machine::{EndCause, Request, SessionCall};

use super::*;

fn step(sequence: u64, request: u64) -> Packed {
    let call = Call { space: SpaceId(1), operation: OperationId(2), args: Blob(vec![7; 10]) };
    let after = (request > 1).then(|| RequestId(request - 1));
    let request = Request { id: RequestId(request), after, ..Request::default() };
    let caller = Caller { session: Some(SessionId([1; 16])), ..Caller::default() };
    Packed::new(Origin { sequence, ..ME }, caller, &Action::SessionCall(SessionCall { call, request }))
}

fn submit_step(ledger: &mut Ledger, sequence: u64, request: u64) -> Reply1 {
    ledger.submit(step(sequence, request), None, LATER, NOW).expect("room")
}

fn rejected(sequence: u64, rejection: Rejection) -> CommandOutcome {
    let done = outcome(ME, sequence);
    CommandOutcome { outcome: Outcome { result: Err(rejection), ..done.outcome }, ..done }
}

fn early(sequence: u64) -> CommandOutcome {
    rejected(sequence, Rejection::OutOfOrder)
}

fn end(sequence: u64) -> Packed {
    let action = Action::EndSession { session: SessionId([1; 16]), cause: EndCause::Expired };
    Packed::new(Origin { sequence, ..ME }, Caller::default(), &action)
}

fn is_unavailable(reply: &mut Reply1) -> bool {
    matches!(reply.try_recv(), Ok(Some(Err(ProposalError::Unavailable { .. }))))
}

#[test]
fn calls_that_came_too_early_are_held_until_the_one_they_follow_has_run() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut replies: Vec<_> = (1..=4).map(|n| submit_step(&mut ledger, n, n)).collect();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![1, 2, 3, 4]));
    ledger.applied(1, vec![early(2), early(3), early(4)]).send();
    assert!(next(&mut ledger).is_none());
    ledger.applied(1, vec![outcome(ME, 1)]).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![2, 3, 4]));
    ledger.applied(1, vec![outcome(ME, 2), outcome(ME, 3), outcome(ME, 4)]).send();
    assert!(replies.iter_mut().all(|reply| matches!(reply.try_recv(), Ok(Some(Ok(_))))));
    assert!(ledger.waiters.held() == 0);
}

#[test]
fn calls_behind_a_deferred_one_follow_it_into_the_queue() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let _replies: Vec<_> = (1..=3).map(|n| submit_step(&mut ledger, n, n)).collect();
    assert!(next(&mut ledger).is_some());
    ledger.applied(1, vec![rejected(1, Rejection::Deferred), early(2), early(3)]).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![1, 2, 3]));
}

#[test]
fn a_call_whose_predecessor_is_in_the_queue_joins_it_there() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut second = submit_step(&mut ledger, 1, 2);
    assert!(next(&mut ledger).is_some());
    let _first = submit_step(&mut ledger, 2, 1);
    ledger.applied(1, vec![early(1)]).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![1, 2]));
    ledger.applied(1, vec![early(1), outcome(ME, 2)]).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![1]));
    ledger.applied(1, vec![outcome(ME, 1)]).send();
    assert!(matches!(second.try_recv(), Ok(Some(Ok(_)))));
}

#[test]
fn a_call_that_came_too_early_and_whose_predecessor_does_not_wait_here_is_told_so() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let (mut second, mut third) = (submit_step(&mut ledger, 1, 2), submit_step(&mut ledger, 2, 3));
    assert!(next(&mut ledger).is_some());
    ledger.applied(1, vec![early(1), early(2)]).send();
    for reply in [&mut second, &mut third] {
        assert!(
            matches!(reply.try_recv(), Ok(Some(Ok(outcome))) if outcome.result == Err(Rejection::OutOfOrder))
        );
    }
}

#[test]
fn held_calls_go_on_when_the_one_they_follow_is_given_up() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let soon = NOW.after(Duration::from_secs(1));
    let _first = ledger.submit(step(1, 1), None, soon, NOW).expect("room");
    let mut replies: Vec<_> = (2..=3).map(|n| submit_step(&mut ledger, n, n)).collect();
    assert!(next(&mut ledger).is_some());
    ledger.applied(1, vec![early(2), early(3)]).send();
    ledger.expire(soon).send();
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![2, 3]));
    ledger.applied(1, vec![early(2), early(3)]).send();
    assert!(replies.iter_mut().all(|reply| matches!(reply.try_recv(), Ok(Some(Ok(_))))));
    assert_eq!((ledger.stats().waiting, ledger.waiters.held()), (0, 0));
}

#[test]
fn a_held_call_whose_deadline_passes_is_surely_not_applied() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let soon = NOW.after(Duration::from_secs(1));
    let _first = submit_step(&mut ledger, 1, 1);
    let mut second = ledger.submit(step(2, 2), None, soon, NOW).expect("room");
    let mut third = submit_step(&mut ledger, 3, 3);
    assert!(next(&mut ledger).is_some());
    ledger.applied(1, vec![early(2), early(3)]).send();
    ledger.expire(soon).send();
    assert!(is_unavailable(&mut second));
    assert_eq!(next(&mut ledger).map(|entry| sequences(&entry)), Some(vec![3]));
    ledger.applied(1, vec![early(3)]).send();
    assert!(matches!(third.try_recv(), Ok(Some(Ok(_)))));
}

#[test]
fn held_calls_end_with_the_member() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut replies: Vec<_> = (1..=2).map(|n| submit_step(&mut ledger, n, n)).collect();
    assert!(next(&mut ledger).is_some());
    ledger.applied(1, vec![early(2)]).send();
    ledger.close("going").send();
    assert!(matches!(replies[0].try_recv(), Ok(Some(Err(ProposalError::OutcomeUnknown(_))))));
    assert!(is_unavailable(&mut replies[1]));
}

#[test]
fn a_follower_sends_nothing_in_a_term_whose_first_entry_it_has_not_applied() {
    let mut ledger = ledger();
    follow(&mut ledger, 5);
    ledger.welcomed(5, 0).send();
    let _first = submit_step(&mut ledger, 1, 1);
    assert!(ledger.next_frame(5, NOW).is_some());
    ledger
        .observe(Leadership { me: ME.member, term: 6, leader: Some(OTHER.member), role: Role::Follower })
        .send();
    ledger.welcomed(6, 0).send();
    let _second = submit_step(&mut ledger, 2, 2);
    assert!(ledger.next_frame(6, NOW).is_none());
    ledger.applied(6, Vec::new()).send();
    let frame = ledger.next_frame(6, NOW).expect("a frame");
    let crate::propose::forward::ToLeader::Commands { commands, .. } =
        synod_abi::decode(&frame).expect("a frame")
    else {
        panic!("commands")
    };
    let sequences: Vec<_> = commands.iter().map(|one| one.packed.origin.sequence).collect();
    assert_eq!(sequences, [1, 2]);
}

#[test]
fn a_decision_is_proposed_in_its_own_term_or_never() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    assert!(ledger.submit_as_leader(2, end(1), LATER).is_err());
    let mut refused = ledger.submit_as_leader(1, end(2), LATER).expect("it leads");
    let entry = next(&mut ledger).expect("an entry");
    assert_eq!((entry.term, sequences(&entry)), (1, vec![2]));
    assert!(proposed(&mut ledger, entry.id, Err(ProposeError::Refused("busy".into()))));
    assert_eq!(refused.try_recv(), Ok(None));
    follow(&mut ledger, 2);
    assert!(is_unavailable(&mut refused));
    ledger.welcomed(2, 0).send();
    assert!(ledger.next_frame(2, NOW).is_none());
    assert!(ledger.submit_as_leader(2, end(3), LATER).is_err());
    lead(&mut ledger, 3);
    assert!(next(&mut ledger).is_none());
}

#[test]
fn a_decision_that_was_on_its_way_when_its_term_ended_is_unavailable_once_that_is_sure() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut decided = ledger.submit_as_leader(1, end(1), LATER).expect("it leads");
    assert!(next(&mut ledger).is_some());
    ledger.observe(Leadership { me: ME.member, term: 2, leader: Some(ME.member), role: Role::Leader }).send();
    assert_eq!(decided.try_recv(), Ok(None));
    ledger.applied(2, Vec::new()).send();
    assert!(is_unavailable(&mut decided));
    assert!(next(&mut ledger).is_none());
}

#[test]
fn a_refused_decision_of_an_ended_term_does_not_go_back_into_the_queue() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut decided = ledger.submit_as_leader(1, end(1), LATER).expect("it leads");
    let entry = next(&mut ledger).expect("an entry");
    ledger.observe(Leadership { me: ME.member, term: 2, leader: Some(ME.member), role: Role::Leader }).send();
    assert!(proposed(
        &mut ledger,
        entry.id,
        Err(ProposeError::Refused("not the leader of that term".into()))
    ));
    assert!(is_unavailable(&mut decided));
}

#[test]
fn a_decision_that_a_snapshot_jumps_over_is_unknown() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut decided = ledger.submit_as_leader(1, end(1), LATER).expect("it leads");
    assert!(next(&mut ledger).is_some());
    ledger.restored(1).send();
    assert!(matches!(decided.try_recv(), Ok(Some(Err(ProposalError::OutcomeUnknown(_))))));
}

#[test]
fn a_full_queue_of_clients_does_not_keep_the_leader_from_deciding() {
    let limits = ProposerLimits { own_commands: 1, ..ProposerLimits::default() };
    let mut ledger = Ledger::new(ME, limits, 0);
    lead(&mut ledger, 1);
    let _client = submit(&mut ledger, 1);
    assert!(ledger.submit(packed(ME, 2), None, LATER, NOW).is_err());
    assert!(ledger.submit_as_leader(1, end(3), LATER).is_ok());
    ledger.set_availability(full()).send();
    assert!(ledger.submit_as_leader(1, end(4), LATER).is_err());
}

#[test]
fn a_leader_without_space_proposes_nothing_until_there_is_space() {
    let mut ledger = ledger();
    lead(&mut ledger, 1);
    let mut waits = submit(&mut ledger, 1);
    ledger.set_availability(full()).send();
    assert!(next(&mut ledger).is_none());
    assert_eq!(waits.try_recv(), Ok(None));
    ledger.set_availability(good()).send();
    assert_eq!(sequences(&next(&mut ledger).expect("an entry")), vec![1]);
    let mut moves = submit(&mut ledger, 2);
    ledger.set_availability(full()).send();
    follow(&mut ledger, 2);
    ledger.welcomed(2, 0).send();
    assert!(ledger.next_frame(2, NOW).is_some(), "what waits goes to another leader");
    assert_eq!(moves.try_recv(), Ok(None));
}
